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
ALIAS = "{% set n = namespace(a=FIRST, b=FIRST) %}{% for i in range(45) %}{% set n.a = HOW %}{% endfor %}LAST"
PAIRS = [
    ("['x']", "[n.a, n.a]", "{{ n.a }}"),
    ("['x']", "[n.a, n.a]", "{{ 'a' ~ n.a }}"),
    ("['x']", "[n.a, n.a]", "{{ n.a|string|length }}"),
    ("['x']", "[n.a, n.a]", "{{ n.a|tojson }}"),
    ("['x']", "[n.a, n.a]", "{{ '%s' % (n.a,) }}"),
    ("['x']", "[n.a, n.a]", "{{ '{}'.format(n.a) }}"),
    ("['x']", "[n.a, n.a]", "{{ [n.a]|join }}"),
    ("['x']", "[n.a, n.a]{% set n.b = [n.b, n.b] %}", "{{ n.a == n.b or n.a in [n.b] }}"),
    ("('x',)", "(n.a, n.a)", "{{ {n.a: 1}|length }}"),
    ("{'x': 1}", "{'a': n.a, 'b': n.a}", "{{ n.a }}"),
    ("{'x': 1}", "dict(a=n.a, b=n.a)", "{{ n.a }}"),
    ("1", "namespace(a=n.a, b=n.a)", "{{ n.a }}"),
    ("['x']", "[{'a': n.a, 'b': n.a}.values()]", "{{ n.a }}"),
    ("[1]", "n.a * 100", "{{ [n.a] * 100000 }}"),
]
EXPLODING = [
    *[
        ALIAS.replace("FIRST", first).replace("HOW %}", how if "%}" in how else f"{how} %}}").replace("LAST", last)
        for first, how, last in PAIRS
    ],
    "{{ messages|tojson(indent=900000000) }}",
    "{{ (range(9000)|list)|tojson(separators=('x' * 1000000, 'y')) }}",
    "{{ '{:>{w}}'.format(1, w=900000000)|length }}",
    "{{ '{:>{w}}'.format(1, w='900000000')|length }}",
    "{{ 1.5|round(30000000, 'ceil') }}",
    "{{ (('a ' * 100000)|wordwrap(1, True, 'x' * 1000000))|length }}",
    "{{ (('a\n' * 100000)|indent('x' * 1000000))|length }}",
    "{{ (1).to_bytes(900000000, 'little')|length }}",
    "{{ ('\u00e9a' * 1000000).encode('idna')|length }}",
    "{{ strftime_now('%c' * 4000000)|length }}",
    "{{ (('f' * 8000000)|int(0, 16)) // 3 }}",
    "{{ ('a' * 1000000).translate({97: 'b' * 1000000})|length }}",
    "{{ ([[1]] * 100000)|sum(start=[])|length }}",
    "{{ ('<!---->' * 1000000)|striptags }}",
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


@pytest.mark.slow
@pytest.mark.parametrize("source", EXPLODING, ids=range(len(EXPLODING)))
def test_templates_that_loop_or_explode_end(source, monkeypatch):
    monkeypatch.setattr(bounds, "MOST_STEPS", 20_000)
    with pytest.raises(FAULTS):
        render(source, [("user", "hi")], {})


def test_long_conversations_are_within_the_bounds():
    source = "{% for m in messages %}{{ '<' + m.role + '>' ~ m['content'] | trim }}{% endfor %}{{ '>' * 3 }}"
    turns = [("user", "x" * 200_000), ("assistant", "y")] * 10
    assert render(source, turns, {}) == "".join(f"<{role}>{text}" for role, text in turns) + ">>>"


def test_looking_up_for_ever_ends(monkeypatch):
    monkeypatch.setattr(bounds, "MOST_SECONDS", 0.2)
    with pytest.raises(FAULTS, match=r"more than 0\.2 seconds"):
        render("{{ (range(100000)|map(attribute='a.' * 400000 ~ 'a', default=1))|list|length }}", [("user", "hi")], {})


def test_what_templates_do_with_lists_and_numbers_goes_on():
    source = (
        "{% set ns = namespace(seen=[], first=messages[0]) %}"
        "{% for m in messages[1:] %}{% set ns.seen = ns.seen + [m.role] %}{% endfor %}"
        "{{ ns.seen|join(',') }} {{ [1, {'a': (2, 3)}]|tojson }} {{ {'b': 1}|tojson(indent=2)|length }} "
        "{{ ns.first == {'role': 'user', 'content': 'hi'} }} {{ 'user' in ns.seen }} {{ 2.345|round(1) }} "
        "{{ '{:>4}|{}'.format(7, 'x') }} {{ '%s-%d' % ('a', 3) }} {{ '12'|int + 1 }} "
        "{% for a, b in [(1, 2)] %}{{ b }}{% endfor %}"
    )
    written = render(source, [("user", "hi"), ("assistant", "ho"), ("user", "he")], {})
    assert written == 'assistant,user [1, {"a": [2, 3]}] 12 True True 2.3    7|x a-3 13 2'


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


@pytest.mark.slow
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
