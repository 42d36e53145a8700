import itertools
import json
import lzma

import pytest

from clbench.context.export import export_public, export_slim
from clbench.context.order import by_context, sample
from clbench.context.rows import Reader, dumped, read_index, require_sound, rubrics_of
from clbench.core.errors import DataError
from tests.builders.asked import task, write


def test_rows_are_found_again_by_their_index(tmp_path):
    rows = [task("a", 0), task("é", 1), task("a", 2)]
    index = read_index(write(tmp_path / "d.jsonl", rows))
    assert [e.task_id for e in index.entries] == ["a-0", "é-1", "a-2"]
    assert (index.schema, index.bad, index.duplicates, index.torn) == ("clbench", (), (), False)
    with Reader(index.path) as reader:
        assert [reader.read(e) for e in reversed(index.entries)] == rows[::-1]


def test_a_byte_order_mark_is_skipped(tmp_path):
    path = write(tmp_path / "d.jsonl", [task("a", 0)])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    (entry,) = read_index(path).entries
    with Reader(path) as reader:
        assert reader.read(entry) == task("a", 0)


def test_an_xz_file_is_the_same_data_set(tmp_path):
    path = write(tmp_path / "d.jsonl", [task("a", 0), task("a", 1)])
    with lzma.open(tmp_path / "d.jsonl.xz", "wb") as f:
        f.write(path.read_bytes())
    assert read_index(tmp_path / "d.jsonl.xz").sha256 == read_index(path).sha256


def test_a_torn_last_line_is_told_and_not_fatal(tmp_path, heard):
    path = write(tmp_path / "d.jsonl", [task("a", 0), task("a", 1)])
    path.write_bytes(path.read_bytes()[:-30])
    index = require_sound(read_index(path))
    assert index.torn
    assert [e.task_id for e in index.entries] == ["a-0"]
    assert "cut short" in heard[0]


@pytest.mark.parametrize("line", ["{not json", "[1]", "null"])
def test_a_line_that_is_not_a_row_is_refused_with_its_number(tmp_path, line):
    path = tmp_path / "d.jsonl"
    path.write_text(f"{json.dumps(task('a', 0))}\n{line}\n{json.dumps(task('a', 1))}\n")
    with pytest.raises(DataError, match=r"d\.jsonl:2: is not"):
        require_sound(read_index(path))


def test_a_file_without_rows_and_a_file_that_is_not_there(tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(DataError, match="holds no rows"):
        require_sound(read_index(tmp_path / "empty.jsonl"))
    with pytest.raises(DataError, match="no such file"):
        read_index(tmp_path / "none.jsonl")


def test_duplicates_are_set_apart_and_told(tmp_path, heard):
    index = require_sound(read_index(write(tmp_path / "d.jsonl", [task("a", 0), task("b", 0), task("a", 0)])))
    assert [e.task_id for e in index.entries] == ["a-0", "b-0"]
    assert [e.line for e in index.duplicates] == [3]
    assert "repeat a task, the first is a-0 in line 3" in heard[0]


def test_the_old_shape_gets_ids_of_its_own(tmp_path):
    rows = [task("a", n) for n in range(3)]
    for row in rows:
        row["metadata"] = {"task_id": "a", "context_category": "A"}
    index = read_index(write(tmp_path / "d.jsonl", rows))
    assert index.schema == "old"
    assert [(e.task_id, e.context_id) for e in index.entries] == [("a#1", "a"), ("a#2", "a"), ("a#3", "a")]
    again = [{"idx": e.task_id, **row, "model_output": "x"} for e, row in zip(index.entries, rows, strict=True)]
    assert [e.task_id for e in read_index(write(tmp_path / "i.jsonl", again)).entries] == ["a#1", "a#2", "a#3"]


def test_life_rows(tmp_path):
    metadata = {"task_id": "x", "context_category": "C", "context_subcategory": "Group"}
    index = read_index(write(tmp_path / "l.jsonl", [{**task("a", 0), "metadata": metadata}]))
    (entry,) = index.entries
    assert (index.schema, entry.context_id, entry.sub_category) == ("life", "x", "Group")


@pytest.mark.parametrize("metadata", [None, {}, "text"])
def test_rows_without_metadata_have_identities(tmp_path, metadata):
    rows = [{**task("a", n), "metadata": metadata} for n in range(2)]
    assert [e.task_id for e in read_index(write(tmp_path / "d.jsonl", rows)).entries] == ["line-1", "line-2"]


def test_rubrics_in_every_form():
    assert rubrics_of({"rubrics": ["a", "", {"rubric_criteria": "b"}, {"rubric_criteria": None}]}) == ["a", "b"]
    assert rubrics_of({"rubrics": None}) == rubrics_of({}) == []


def test_half_a_character_is_written_as_an_escape():
    row = {"model_output": "a\ud83d"}
    assert json.loads(dumped(row)) == row


def test_order_groups_contexts_and_begins_with_the_shortest(tmp_path):
    rows = [task("a", 2), task("b", 1), task("a", 0), task("b", 0), task("a", 1)]
    groups = by_context(read_index(write(tmp_path / "d.jsonl", rows)).entries)
    assert [[e.task_id for e in group] for group in groups] == [["a-0", "a-1", "a-2"], ["b-0", "b-1"]]


def test_samples_are_drawn_by_seed_and_in_the_order_of_the_file(tmp_path):
    rows = [task(f"c{c}", n, category="AB"[c % 2]) for c in range(8) for n in range(3)]
    entries = read_index(write(tmp_path / "d.jsonl", rows)).entries
    for by, num in (("task", 6), ("stratified", 6), ("context", 12)):
        found = sample(entries, 6 if by != "context" else 4, by, 0)
        assert len(found) == num
        assert found == sorted(found, key=lambda e: e.line)
        assert found == sample(entries, 6 if by != "context" else 4, by, 0)
        assert sample(entries, 100, by, 0) == list(entries)
    assert {e.category for e in sample(entries, 6, "stratified", 1)} == {"A", "B"}
    assert sample(entries, 6, "task", 0) != sample(entries, 6, "task", 1)


@pytest.mark.data
def test_real_rows_come_through_load_slim_and_export_byte_for_byte(data_root, tmp_path):
    path = data_root / "context" / "clbench_graded_sample.jsonl.xz"
    if not path.exists():
        pytest.skip("the sample of real rows is not here: context/clbench_graded_sample.jsonl.xz below $CLBENCH_DATA")
    index = require_sound(read_index(path))
    with Reader(path) as reader:
        rows = [reader.read(e) for e in index.entries]
    with lzma.open(path) as f:
        original = f.read()
    assert b"".join(map(dumped, rows)) == original
    fields = ("messages", "rubrics", "metadata")
    dataset = read_index(write(tmp_path / "d.jsonl", [{name: row[name] for name in fields} for row in rows]))
    assert export_slim(index, dataset, tmp_path / "slim.jsonl") == len(rows)
    assert (tmp_path / "slim.jsonl").stat().st_size < len(original) / 5
    (whole,) = export_public(read_index(tmp_path / "slim.jsonl"), dataset, tmp_path / "full.jsonl", 95)
    assert whole.read_bytes() == original
    shards = export_public(read_index(tmp_path / "slim.jsonl"), dataset, tmp_path / "part.jsonl", 1)
    assert b"".join(p.read_bytes() for p in shards) == original
    for group in by_context(dataset.entries):
        with Reader(dataset.path) as reader:
            conversations = [reader.read(e)["messages"] for e in group]
        for before, after in itertools.pairwise(conversations):
            assert after[: len(before)] == before


@pytest.mark.data
def test_scores_of_real_rows_follow_from_their_statuses(data_root):
    from clbench.scoring.rubric.verdicts import label_of, score_of

    path = data_root / "context" / "clbench_graded_sample.jsonl.xz"
    if not path.exists():
        pytest.skip("the sample of real rows is not here: context/clbench_graded_sample.jsonl.xz below $CLBENCH_DATA")
    with Reader(path) as reader:
        for entry in read_index(path).entries:
            row = reader.read(entry)
            status = [label_of(s) for s in row["requirement_status"]]
            assert score_of(status, len(rubrics_of(row))) == row["score"]


def test_a_slim_row_of_another_data_set_is_refused(tmp_path):
    one, other = (read_index(write(tmp_path / f"{c}.jsonl", [task(c, 0)])) for c in "ab")
    row = {"idx": "a-0", "model_output": "x", "metadata": task("a", 0)["metadata"], "dataset": one.sha256}
    slim = read_index(write(tmp_path / "slim.jsonl", [row]))
    for source in (other, None):
        with pytest.raises(DataError, match="a-0 is slim"):
            export_public(slim, source, tmp_path / "full.jsonl", 95)


@pytest.mark.parametrize("messages", [None, []])
def test_a_row_without_messages_is_told_where_it_stands(tmp_path, messages):
    index = read_index(write(tmp_path / "d.jsonl", [{**task("a", 0), "messages": messages}]))
    assert index.entries[0].problem == "the row has no messages"


@pytest.mark.parametrize(("field", "value", "said"), [
    ("messages", "hi", "messages is not a list but str"),
    ("messages", {"role": "user"}, "messages is not a list but dict"),
    ("messages", [["user", "hi"]], "messages holds something that is not an object"),
    ("rubrics", "one", "rubrics is not a list but str"),
])  # fmt: skip
def test_what_figures_could_not_read_is_refused_before_it_is_paid_for(tmp_path, field, value, said):
    path = write(tmp_path / "d.jsonl", [task("a", 0), {**task("a", 1), field: value}])
    with pytest.raises(DataError, match=said) as error:
        require_sound(read_index(path))
    assert error.value.where.endswith(":2")
    require_sound(read_index(write(tmp_path / "d.jsonl", [{**task("a", 0), "rubrics": None}])))


@pytest.mark.parametrize("odd", [b"\xed\xa0\x80", b"\xe4", b"\xff\xfe"])
def test_bytes_that_are_not_utf_8_are_refused_with_their_line(tmp_path, odd):
    path = tmp_path / "d.jsonl"
    path.write_bytes(dumped(task("a", 0)) + dumped(task("a", 1)).replace(b"Task 0", b"Task" + odd))
    with pytest.raises(DataError, match="is not JSON") as error:
        require_sound(read_index(path))
    assert error.value.where.endswith(":2")
