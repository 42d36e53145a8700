"""Bounds on strangers' files: templates that loop or explode, rows without an end, packed files that fill a memory."""

import gzip
import json
import lzma

import pytest

from clbench.core.errors import DataError
from clbench.data.readers import limits, open_rows, parquet
from clbench.models import bounds
from clbench.models.template import FAULTS, render

GROWS = "{% set n = namespace(a='aaaaaaaa') %}{% for i in range(99) %}{% set n.a = HOW %}{% endfor %}{{ n.a }}"
EXPLODING = [
    "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
    "{{ 'a' * 10**10 }}",
    "{{ 'a'.ljust(10**12) }}",
    "{{ 'a'|center(1000000000) }}",
    "{{ '%999999999d' % 5 }}",
    "{{ '{:>999999999}'.format(5) }}",
    "{{ '%999999999d'|format(5) }}",
    "{{ lipsum(100000000) }}",
    "{{ (['a'] * 100000)|join('b' * 100000) }}",
    "{{ ('b' * 100000).join(['a'] * 100000) }}",
    "{{ ['a']|batch(1000000000, 'x')|list }}",
    "{% set n = namespace(a=9) %}{% for i in range(90) %}{% set n.a = n.a * n.a %}{% endfor %}",
    "{% set x %}{% for i in range(100000) %}{{ 'a' * 10000 }}{% endfor %}{% endset %}",
    "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
    "{% for m in messages recursive %}{{ loop(messages) }}{% endfor %}",
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
    "a" * (bounds.MOST_SOURCE + 1),
    *[GROWS.replace("HOW", how) for how in ("n.a ~ n.a", "n.a + n.a", "[n.a, n.a]|join", "n.a.replace('a', 'aaa')")],
    "{{ ''.__class__.__mro__ }}",
]


@pytest.mark.parametrize("source", EXPLODING, ids=range(len(EXPLODING)))
def test_templates_that_loop_or_explode_end(source, monkeypatch):
    monkeypatch.setattr(bounds, "MOST_STEPS", 20_000)
    with pytest.raises(FAULTS):
        render(source, [("user", "hi")], {})


def test_long_conversations_are_within_the_bounds():
    source = "{% for m in messages %}{{ '<' + m.role + '>' ~ m['content'] | trim }}{% endfor %}{{ '>' * 3 }}"
    turns = [("user", "x" * 200_000), ("assistant", "y")] * 10
    assert render(source, turns, {}) == "".join(f"<{role}>{text}" for role, text in turns) + ">>>"


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(limits, "MOST_ROW", 1 << 16)
    monkeypatch.setattr(limits, "MOST_UNPACKED", 1 << 20)
    monkeypatch.setattr(parquet, "MOST_COLUMN", 1 << 18)


def test_rows_without_an_end_are_refused(small, tmp_path):
    long = "x" * (1 << 17)
    many = '"a\n",' * (1 << 15)
    for name, text in {
        "a.jsonl": json.dumps({"a": long}),
        "a.json": json.dumps([{"a": long}, {"a": 1}]),
        "a.csv": f"a\n{long}\n",
        "b.csv": f"a\n{many}1\n",
        "a.tsv": f"a\n{long}\n",
    }.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match="a row has more than 65,536 bytes"):
            list(open_rows(tmp_path / name))


@pytest.mark.parametrize(("pack", "ending"), [(gzip.compress, "gz"), (lzma.compress, "xz")])
def test_packed_bombs_are_refused(small, tmp_path, pack, ending):
    path = tmp_path / f"a.jsonl.{ending}"
    path.write_bytes(pack(b'{"a": 1}\n' * 200_000))
    with pytest.raises(DataError, match="unpacked, the file has more than 1,048,576 bytes"):
        list(open_rows(path))
    path.write_bytes(pack(b"\0" * (1 << 22)))
    with pytest.raises(DataError, match="a row has more than"):
        list(open_rows(path))


def test_parquet_that_unpacks_to_too_much_is_refused(small, tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": ["x" * 1000] * 4000}), path)  # a text once, as a dictionary
    with pytest.raises(DataError, match="unpacked, the file has more than"):
        list(open_rows(path))
    pq.write_table(pa.table({"a": ["x" * 1000 + str(i) for i in range(4000)]}), path, use_dictionary=False)
    with pytest.raises(DataError, match="column 'a' unpacks to"):
        list(open_rows(path))
