"""Files of rows as other people write them: each is read right, or one line says what, where and how to mend."""

import bz2
import gzip
import json
import lzma
import os
import re

import pytest

from clbench.context.graded import read_graded, read_tasks, rows
from clbench.context.lines import is_cut_short
from clbench.context.rows import Reader, read_index, require_sound
from clbench.core.errors import DataError
from tests.builders.asked import answered, clbench, task, write

ROWS = [answered(name, "It is polite.", requirement_status=["yes"], score=1) for name in "ab"]
LINES = [json.dumps(row, ensure_ascii=False) for row in ROWS]
TEXT = "".join(line + "\n" for line in LINES)
LONG = json.dumps({**ROWS[1], "model_output": "x" * 3_000_000})
READ = {
    "byte order mark": b"\xef\xbb\xbf" + TEXT.encode(),
    "line ends of Windows": TEXT.replace("\n", "\r\n").encode(),
    "blank lines": f"\n{LINES[0]}\n  \n\t\n{LINES[1]}\n\n".encode(),
    "no line end at the end": TEXT.rstrip().encode(),
    "a line separator in a text": TEXT.replace("polite.", "polite.\u2028\x85").encode(),
    "xz": lzma.compress(TEXT.encode()),
    "gzip": gzip.compress(TEXT.encode()),
    "bzip2": bz2.compress(TEXT.encode()),
    "half a line at the end": (TEXT + LINES[0][:80]).encode(),
    "half a character at the end": TEXT.encode() + '{"idx": "ü'.encode()[:-1],
    "a line of three megabytes": f"{LINES[0]}\n{LONG}\n".encode(),
    "numbers that are not numbers": TEXT.replace('"score": 1', '"score": NaN').encode(),
}
REFUSED = {
    "one list": (f"[{', '.join(LINES)}]".encode(), 1, "one JSON list", r"jq -c '\.\[\]'"),
    "one list over lines": (json.dumps(ROWS, indent=1).encode(), 1, "one JSON list over several lines", "jq"),
    "objects over lines": ("\n".join(json.dumps(r, indent=1) for r in ROWS).encode(), 1, "goes on in the next", "jq"),
    "two objects in a line": ("".join(LINES).encode() + b"\n", 1, "holds several objects", "jq -c"),
    "commas between lines": (",\n".join(LINES).encode(), 1, "a comma stands behind the object", "delete the comma"),
    "a comma too many": (f"{LINES[0]}\n{LINES[1][:-1]},}}\n".encode(), 2, "is not JSON: .* near", "mend or delete"),
    "Python, not JSON": (f"{LINES[0]}\n{ROWS[1]!r}".encode(), 2, "is not JSON", "mend or delete"),
    "half a line within": (f"{LINES[0][:90]}\n{LINES[1]}\n".encode(), 1, "is not JSON", "mend or delete"),
    "zeros after a crash": (TEXT.encode() + b"\0" * 50 + b"\n", 3, "is not JSON", "mend or delete"),
    "another encoding": (TEXT.replace("polite", "höflich").encode("latin-1"), 1, "byte 0xf6", "iconv"),
    "UTF-16": (TEXT.encode("utf-16"), None, "is UTF-16", "iconv -f UTF-16 "),
    "UTF-16 without a mark": (TEXT.encode("utf-16-le"), None, "is UTF-16", "iconv -f UTF-16LE"),
    "UTF-32": (TEXT.encode("utf-32"), None, "is UTF-32", "iconv -f UTF-32"),
    "a zip archive": (b"PK\x03\x04" + bytes(50), None, "zip archive", "unzip"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(50), None, "zstd", "zstd -d"),
    "Parquet": (b"PAR1" + bytes(50), None, "Parquet", "read_parquet"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\n", None, "Git LFS", "git lfs pull"),
    "a page": (b"<!DOCTYPE html>", None, "web page", "raw form"),
    "damaged xz": (lzma.compress(TEXT.encode() * 50)[:-20], None, "damaged", "fetch it again"),
    "damaged gzip": (gzip.compress(TEXT.encode() * 50)[:-20], None, "damaged", "fetch it again"),
    "nothing": (b"\n \n", None, "holds no rows", "name"),
}
CHANGED = {
    "a list as text": ({"rubrics": '["one"]'}, "rubrics is not a list but str", "not a text that holds it"),
    "messages as text": ({"messages": "[]"}, "messages is not a list but str", "not a text that holds it"),
    "a rubric of a list": ({"rubrics": [["one"]]}, "neither a text nor an object but a list", "as a text"),
    "a rubric by another name": ({"rubrics": [{"criterion": "one"}]}, "without rubric_criteria; it has 'crit", "name"),
    "a message by other names": ({"messages": [{"from": "human", "value": "hi"}]}, "has no role and no cont", "role"),
    "a message of a number": ({"messages": [{"role": "user", "content": 5}]}, "content of a message is a num", "text"),
    "metadata as text": ({"metadata": '{"task_id": "b"}'}, "metadata is not an object but a text", "object itself"),
    "a trial as text": ({"trial": "1"}, "trial is '1'", "whole number"),
    "a trial below 0": ({"trial": -1}, "trial is -1", "whole number"),
}  # fmt: skip


@pytest.mark.parametrize("kind", READ)
def test_it_is_read_right_by_both_readers(tmp_path, heard, kind):
    path = tmp_path / "a.jsonl"
    path.write_bytes(READ[kind])
    index = require_sound(read_index(path))
    assert [e.task_id for e in index.entries] == ["a-0", "b-0"]
    with Reader(path) as reader:
        again = [reader.read(e) for e in index.entries]
    assert [row for _, row in rows(path)] == again or "NaN" in kind or "numbers" in kind
    assert [g.score for g in read_graded(path)] == [1, 1]
    assert ("cut short" in " ".join(heard)) == kind.startswith("half a")


@pytest.mark.parametrize("kind", REFUSED)
def test_it_is_refused_alike_by_both_readers(tmp_path, kind):
    content, line, said, mend = REFUSED[kind]
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    for read in (lambda: require_sound(read_index(path)), lambda: read_graded(path)):
        with pytest.raises(DataError, match=said) as error:
            read()
        assert error.value.where == (f"{path}:{line}" if line else str(path))
        assert re.search(mend, error.value.mend)


@pytest.mark.parametrize("kind", CHANGED)
def test_rows_of_another_shape_are_refused_alike_by_both_readers(tmp_path, kind):
    change, said, mend = CHANGED[kind]
    path = write(tmp_path / "a.jsonl", [ROWS[0], {**ROWS[1], **change}])
    for read in (lambda: require_sound(read_index(path)), lambda: read_graded(path)):
        with pytest.raises(DataError, match=said) as error:
            read()
        assert error.value.where == f"{path}:2"
        assert mend in error.value.mend


def test_an_answer_that_is_no_text_is_not_taken_for_an_empty_one(tmp_path):
    path = write(tmp_path / "a.jsonl", [{**ROWS[0], "model_output": [{"type": "text", "text": "x"}]}])
    with pytest.raises(DataError, match="model_output is not a text but list"):
        require_sound(read_index(path))


@pytest.mark.parametrize(
    ("status", "score"),
    [
        (["Yes"], 1), (["1"], 1), ([True], 1), ([1], 1), (["Met"], 1), (["满足"], 1), ("['yes']", 1), ('["yes"]', 1),
        ({"1": "yes"}, 1), ([{"requirement": 1, "status": "Yes"}], 1), (["No"], 0), (["部分满足"], 0), ([0], 0),
    ],
)  # fmt: skip
def test_marks_of_other_people(tmp_path, status, score):
    (found,) = read_graded(write(tmp_path / "a.jsonl", [{**ROWS[0], "requirement_status": status, "score": "x"}]))
    assert (found.state, found.score, found.odd, found.judge_score) == ("ok", score, 0, None)


def test_what_is_left_out_by_policy_does_not_fail_an_answer(tmp_path):
    """The figure of `eval --na-policy exclude` and that of `stats` are of the same rule."""
    row = answered("a", "x", rubrics=("one", "two"), requirement_status=["yes", "n/a"], score=1)
    judged = {"name": "exact", "na": "exclude"}
    (found,) = read_graded(write(tmp_path / "a.jsonl", [{**row, "judge": judged}]))
    assert (found.score, found.odd) == (1, 0)
    (found,) = read_graded(write(tmp_path / "a.jsonl", [{**row, "judge": {**judged, "na": "fail"}}]))
    assert (found.score, found.odd) == (0, 1)
    nothing = {**row, "judge": judged, "requirement_status": ["n/a", "n/a"]}
    assert read_graded(write(tmp_path / "a.jsonl", [nothing]))[0].score == 0


def test_folders_and_pipes_are_told_apart_from_files(tmp_path):
    with pytest.raises(DataError, match="is a folder"):
        read_index(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    for read in (read_index, read_tasks):
        with pytest.raises(DataError, match="is a pipe or a device"):
            read(tmp_path / "pipe")
    (tmp_path / "answers.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match="no such file") as error:
        read_index(tmp_path / "answer.jsonl")
    assert "did you mean" in error.value.mend


@pytest.mark.parametrize(
    "line",
    [b'{"a": "b', b'{"a": {"b": 1}', b'{"a": tr', b"{", b'{"a": "\xc3', b'{"a": 1, "b'],
)
def test_the_beginning_of_a_row_is_cut_short(line):
    assert is_cut_short(line)
    assert not is_cut_short(line + b"\n")


def test_a_data_set_that_repeats_a_task_is_held_against_line_by_line(tmp_path, heard):
    """Rows behind a repeated one are matched with their own task."""
    from clbench.context.audit import audit
    from clbench.context.reference import read_references
    from clbench.context.verify import verify

    data = write(tmp_path / "d.jsonl", [task("a", 0), task("a", 0), task("b", 0, rubrics=("Another one.", "two"))])
    known, found = read_references(data)
    assert {name: each.num_rubrics for name, each in found.items()} == {"a-0": 1, "b-0": 2}
    assert known.lines == {1: "a-0", 3: "b-0"}
    row = {**task("b", 0, rubrics=("Another one.", "two")), "idx": "b-0", "model_output": "x"}
    graded = write(tmp_path / "g.jsonl", [{**row, "requirement_status": ["no", "no"], "score": 0}])
    assert {f.kind for f in verify([graded], data).findings} == {"missing"}
    assert audit(data, read_graded(graded, known), (), known).rows == 3


@pytest.mark.parametrize(
    "verb", ["infer", "eval", "stats", "compare", "report", "audit", "errors", "export", "estimate"]
)
def test_on_the_command_line_it_is_one_line_and_how_to_mend_it(tmp_path, capsys, verb):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(REFUSED["one list"][0])
    given = {
        "infer": ["--input", path, "--base-url", "http://127.0.0.1:1", "--output", tmp_path / "o.jsonl"],
        "eval": ["--input", path, "--judge", "exact", "--output", tmp_path / "g.jsonl"],
        "compare": [path, path],
        "export": ["--input", path, "--output", tmp_path / "e.jsonl"],
        "report": [path, "--out", tmp_path],
        "errors": [path, "--base-url", "http://127.0.0.1:1"],
        "estimate": ["--input", path],
    }.get(verb, [path])
    code, lines, said = clbench(capsys, verb, *given)
    if verb == "audit":  # which lists what is wrong
        assert (code, any("one JSON list" in line for line in lines)) == (0, True)
        return
    assert (code, said.count("\n")) == (2, 2)
    assert f"{path}:1: the file is one JSON list, not JSON Lines\n  to mend: write one object a line" in said
    assert not list(tmp_path.glob("*.log*"))
