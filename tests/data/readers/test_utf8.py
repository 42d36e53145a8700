"""Data files that are not what their names say, or are written otherwise: right, or one line with the way in."""

import gzip
import json

import pytest

from clbench.core.errors import DataError
from clbench.data.intake.audit import audit
from clbench.data.intake.files import sources
from clbench.data.intake.text import Words
from clbench.data.readers import open_rows
from clbench.data.readers.utf8 import other_encoding

RUSSIAN, GREEK, HEBREW = "какая сегодня погода в городе", "τι καιρό κάνει σήμερα στην πόλη", "מה מזג האוויר היום בעיר"


def checked(path):
    return audit(sources([path], []), Words())


def first(path, kind):
    return checked(path).findings.first[kind][0]


@pytest.mark.parametrize(
    ("name", "beginning", "said"),
    [
        ("a.csv", b"PK\x03\x04\x14\x00", "ZIP archive"),
        ("a.csv", b"\xd0\xcf\x11\xe0\xa1\xb1", "workbook of Excel"),
        ("a.jsonl", gzip.compress(b'{"prompt": "q", "answer": "a"}', mtime=0), "packed by gzip"),
        ("a.json", b"\xfd7zXZ\x00\x00", "packed by xz"),
        ("a.tsv", b"\x28\xb5\x2f\xfd\x04", "packed by zstd"),
        ("a.jsonl", b"PAR1\x15\x04", "this is Parquet"),
    ],
)
def test_another_kind_of_file_is_told_by_its_first_bytes(tmp_path, name, beginning, said):
    (tmp_path / name).write_bytes(beginning)
    found = first(tmp_path / name, "broken")
    assert said in found.what
    assert found.mend


def test_a_column_may_have_the_name_of_a_kind_of_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("PAR1,answer\nq,a\n", encoding="utf-8")
    assert not audit(sources([path], []), Words(), prompt="{PAR1}", target="{answer}").findings.counts


@pytest.mark.parametrize(
    ("text", "encoding", "said"),
    [
        (RUSSIAN, "cp1251", "WINDOWS-1251"),
        (RUSSIAN, "koi8-r", "KOI8-R"),
        (RUSSIAN, "cp866", "CP866"),
        (GREEK, "cp1253", "WINDOWS-1253"),
        (HEBREW, "cp1255", "WINDOWS-1255"),
        ("où est le café là-bas", "cp1252", "WINDOWS-1252"),
    ],
)
def test_the_way_in_names_the_encoding_that_gives_the_text_back(text, encoding, said):
    assert f"iconv -f {said} -t UTF-8" in other_encoding(text.encode(encoding))


def test_halves_of_characters_are_no_other_encoding():
    """The way in was Windows-1252, which makes three signs of each."""
    for bad in (b'{"text": "x \xed\xa0\xbd"}', "天 ".encode() + b"\xed\xa0\xbd\xed\xb8\x80"):
        assert "halves of characters" in other_encoding(bad)
        assert "iconv" not in other_encoding(bad)


def test_an_encoding_that_cannot_be_told_is_not_guessed():
    assert other_encoding("zażółć gęślą jaźń".encode("cp1250")) == ""


def test_utf_32_is_no_utf_16(tmp_path):
    (tmp_path / "a.csv").write_bytes("prompt,answer\nq,a\n".encode("utf-32"))
    assert "iconv -f UTF-32" in first(tmp_path / "a.csv", "bytes").mend


def test_a_broken_line_names_its_file_in_the_command(tmp_path):
    (tmp_path / "a.jsonl").write_bytes('{"prompt": "天气怎么样", "answer": "很好"}'.encode("gbk"))
    assert first(tmp_path / "a.jsonl", "bytes").mend.endswith("UTF-8 a.jsonl")


def test_a_blank_before_a_quote_is_refused_and_one_inside_of_quotes_is_meant(tmp_path):
    path = tmp_path / "a.csv"
    for row in ('q, "a"', 'q, "a, b"', '"q", "a"'):
        path.write_text(f"prompt,answer\n{row}\n", encoding="utf-8")
        with pytest.raises(DataError, match="a blank stands before the quote") as told:
            list(open_rows(path))
        assert told.value.where == f"{path}:2"
    path.write_text('prompt,answer\n"q"," ""a"""\nq, a "b"\n', encoding="utf-8")
    assert [row["answer"] for _, row in open_rows(path)] == [' "a"', ' a "b"']


def test_the_line_of_the_columns_is_no_row(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("prompt,answer\nq,a\n\ufeffprompt,answer\nr,b\n", encoding="utf-8")
    with pytest.raises(DataError, match="once more") as told:
        list(open_rows(path))
    assert told.value.where == f"{path}:3"


def test_a_comma_inside_of_a_name_sets_nothing_apart(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('"prompt";"answer, short"\n"q";"a"\n', encoding="utf-8")
    assert [row for _, row in open_rows(path)] == [{"prompt": "q", "answer, short": "a"}]


def test_commas_in_a_tsv_file_are_read_and_told(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('prompt,answer\n"q, r",a\n', encoding="utf-8")
    found = checked(path)
    assert found.main.seen == 1
    assert found.findings.first["reader"][0].what == "values are separated by ',', not by a tab"
    path.write_text("text\na, b\n", encoding="utf-8")  # one column, and a comma in its text
    assert [row for _, row in open_rows(path)] == [{"text": "a, b"}]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_an_empty_file_holds_no_row(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    assert first(tmp_path / name, "none").what == "the file holds no row"


def test_chosen_answers_alone_follow_their_prompt(tmp_path):
    path = tmp_path / "a.jsonl"
    said = [{"role": "assistant", "content": "a"}]
    asked = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]
    rows = [
        {"prompt": p, "chosen": c, "rejected": said} for p, c in ((asked, said), ("q", said), ("p", [*asked, *said]))
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    form = checked(path).form
    assert form is not None
    assert [[t for _, t in form.read(row).turns] for row in rows] == [["s", "q"], ["q"], ["s", "q"]]


def test_keys_of_turns_that_are_not_read_are_noted(tmp_path):
    path = tmp_path / "a.jsonl"
    said = {"role": "assistant", "content": "a", "weight": 0, "reasoning_content": "hm", "name": "bot"}
    path.write_text(json.dumps({"messages": [{"role": "user", "content": "q"}, said]}), encoding="utf-8")
    found = [f.what for f in checked(path).findings.first["unread"]]
    assert sorted(found) == ["'reasoning_content' of the turns in 'messages'", "'weight' of the turns in 'messages'"]


@pytest.mark.parametrize("text", ["inf", "#REF!", "#DIV/0!"])
def test_what_a_program_wrote_for_no_value_is_warned_of(tmp_path, text):
    path = tmp_path / "a.csv"
    path.write_text(f"prompt,answer\nq,{text}\nr,a\n", encoding="utf-8")
    assert first(path, "missing").what == f"the answer is the text '{text}'"
