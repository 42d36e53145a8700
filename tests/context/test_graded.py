"""Graded rows of the public scripts, with and without our fields, and what is wrong with them."""

import json
import lzma

import pytest

from clbench.context.graded import read_graded, read_tasks, rows
from clbench.context.grades import files_of, load_grades
from clbench.core.errors import DataError
from tests.builders.context_rows import graded_row, task_row, write

ROW = task_row("t1", "c1", rubrics=2)


def read_one(tmp_path, row):
    (found,) = read_graded(write(tmp_path / "a.jsonl", [row]))
    return found


@pytest.mark.parametrize(
    ("statuses", "extra", "state", "score"),
    [
        ("yy", {}, "ok", 1),
        ("yn", {"score": 1}, "ok", 0),
        ("yyy", {"score": 1}, "ok", 0),
        ("y", {"score": 1}, "ok", 0),
        ([True, 1], {}, "ok", 1),
        (["YES ", "Yes"], {}, "ok", 1),
        (["yes", "n/a"], {}, "ok", 0),
        (["yes", "partial"], {}, "ok", 0),
        ("", {}, "judge_error", 0),
        ("", {"model_output": " \n"}, "empty", 0),
        ("yy", {"model_output": None}, "empty", 0),
        ("yy", {"state": "truncated"}, "truncated", 0),
        ("", {"state": "infra_error"}, "infra_error", 0),
        ("yy", {"requirement_status": "yes"}, "judge_error", 0),
        ("yy", {"requirement_status": None}, "judge_error", 0),
    ],
)
def test_the_score_is_that_of_the_rubrics(tmp_path, statuses, extra, state, score):
    found = read_one(tmp_path, graded_row(ROW, statuses, **extra))
    assert (found.state, found.score) == (state, score)


def test_a_task_without_rubrics_is_never_solved(tmp_path):
    assert read_one(tmp_path, graded_row(ROW, "yy", rubrics=[], score=1)).score == 0
    assert read_one(tmp_path, graded_row(ROW, "", rubrics=[], score=1)).score == 0


def test_objects_and_blank_ones_among_rubrics(tmp_path):
    row = graded_row(ROW, "yy", rubrics=[{"rubric_criteria": "a"}, "  ", "b", None])
    assert read_one(tmp_path, row).score == 1


@pytest.mark.parametrize(
    ("metadata", "context", "sub"),
    [
        ({"task_id": "t", "context_id": "c", "sub_category": "s"}, "c", "s"),
        ({"task_id": "t", "context_subcategory": "s"}, "t", "s"),
        (None, "t1", "Unknown"),
        ({}, "t1", "Unknown"),
    ],
)
def test_contexts_of_all_shapes(tmp_path, metadata, context, sub):
    found = read_one(tmp_path, graded_row(ROW, "yy", metadata=metadata))
    assert (found.task.context, found.task.sub_category) == (context, sub)


def test_the_old_shape_names_contexts_where_tasks_should_be_named(tmp_path):
    old = [task_row("x", "x", turn=n) for n in (1, 2)]
    for row in old:
        del row["metadata"]["context_id"]
    found = load_grades([write(tmp_path / "a.jsonl", [graded_row(row, "yyy") for row in old])])
    assert found.contexts == ["x", "x"]
    lacking = load_grades([write(tmp_path / "b.jsonl", [graded_row(old[1], "yyy"), graded_row(old[0], "yyy")])])
    assert {t.id for t in lacking.tasks} == {t.id for t in found.tasks}
    assert all(t.id.startswith("x#") for t in found.tasks)
    known = read_tasks(write(tmp_path / "data.jsonl", old))
    turned = write(tmp_path / "b.jsonl", [graded_row(row, "yyy") for row in reversed(old)])
    assert [g.task.id for g in read_graded(turned, known)] == ["x#2", "x#1"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"idx": None, "metadata": None}, "metadata.task_id nor idx"),
        ({"idx": -1, "metadata": {}}, "metadata.task_id nor idx"),
        ({"trial": "two"}, "trial is 'two'"),
        ({"trial": -1}, "trial is -1"),
        ({"trial": True}, "trial is True"),
        ({"state": "okay"}, "state is 'okay', which is not a state"),
        ({"rubrics": "one"}, "rubrics is not a list but str"),
        ({"messages": {}}, "messages is not a list but dict"),
        ({"messages": ["hello"]}, "messages holds something that is not an object"),
    ],
)
def test_errors_name_file_line_and_field(tmp_path, change, said):
    path = write(tmp_path / "a.jsonl", [graded_row(task_row("t0"), "yyy"), graded_row(ROW, "yy") | change])
    with pytest.raises(DataError, match=said) as error:
        read_graded(path)
    assert error.value.where == f"{path}:2"
    assert error.value.mend


def test_lines_that_are_not_rows(tmp_path, heard):
    whole = json.dumps(graded_row(ROW, "yy"))
    for bad in ("[1]", "{", "nul", "[" * 100_000):
        with pytest.raises(DataError, match="JSON"):
            read_graded(write(tmp_path / "a.jsonl", [bad, whole]))
    for nothing in ("", "\n\n"):
        (tmp_path / "a.jsonl").write_text(nothing)
        with pytest.raises(DataError, match="holds no rows"):
            read_graded(tmp_path / "a.jsonl")
    with pytest.raises(DataError, match="no such file"):
        read_graded(tmp_path / "absent.jsonl")
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + whole.encode() + b"\n\n" + whole[:50].encode())
    assert len(read_graded(tmp_path / "a.jsonl")) == 1
    assert "cut short" in heard[0]


def test_packed_files(tmp_path):
    text = json.dumps(graded_row(ROW, "yy")).encode() + b"\n"
    (tmp_path / "a.jsonl.xz").write_bytes(lzma.compress(text))
    assert len(list(rows(tmp_path / "a.jsonl.xz"))) == 1
    (tmp_path / "a.jsonl.xz").write_bytes(lzma.compress(text * 50)[:-20])
    with pytest.raises(DataError, match="damaged"):
        list(rows(tmp_path / "a.jsonl.xz"))


def test_half_characters_and_large_numbers_are_read(tmp_path):
    row = graded_row(ROW, "yy", answer="x")
    text = json.dumps(row).replace('"x"', '"\\ud800"').replace('"score": 1', '"score": 1e999')
    (found,) = read_graded(write(tmp_path / "a.jsonl", [text]))
    assert (found.score, found.judge_score) == (1, None)


def test_slim_rows_take_their_tasks_from_the_data_set(tmp_path):
    slim = {"idx": "t1", "requirement_status": ["yes", "yes"], "score": 1}
    path = write(tmp_path / "a.jsonl", [slim])
    with pytest.raises(DataError, match="has no rubrics"):
        read_graded(path)
    known = read_tasks(write(tmp_path / "data.jsonl", [ROW]))
    (found,) = read_graded(path, known)
    assert (found.score, found.task.context, found.task.turn) == (1, "c1", 1)
    with pytest.raises(DataError, match="task t2 is not in"):
        read_graded(write(tmp_path / "a.jsonl", [slim | {"idx": "t2"}]), known)


def test_rows_of_a_data_set_that_repeat_a_task_count_once_and_are_told(tmp_path, capsys):
    found = read_tasks(write(tmp_path / "data.jsonl", [ROW, {**ROW, "rubrics": ["another"]}]))
    (task,) = found.tasks.values()
    assert task.rubrics == read_tasks(write(tmp_path / "one.jsonl", [ROW])).tasks[task.id].rubrics, "the first of them"
    assert "1 rows repeat a task; each task counts once" in capsys.readouterr().err


def test_two_rows_of_one_task_and_trial_are_refused(tmp_path):
    twice = write(tmp_path / "a.jsonl", [graded_row(ROW, "yy"), graded_row(ROW, "yn")])
    with pytest.raises(DataError, match="graded twice, also in line 1"):
        load_grades([twice])
    assert (
        load_grades([write(tmp_path / "b.jsonl", [graded_row(ROW, "yy"), graded_row(ROW, "yn", trial=1)])]).trials == 2
    )


def test_files_are_trials_where_they_grade_the_same_tasks_and_else_parts(tmp_path, heard):
    one, two = (task_row(name, rubrics=2) for name in ("t1", "t2"))
    a = write(tmp_path / "a.jsonl", [graded_row(one, "yy"), graded_row(two, "yn")])
    b = write(tmp_path / "b.jsonl", [graded_row(one, "yn")])
    c = write(tmp_path / "c.jsonl", [graded_row(two, "yn")])
    assert load_grades([b, c]).trials == 1
    found = load_grades([a, b])
    assert (found.trials, found.states()) == (2, {"ok": 3, "missing": 1})
    assert "one lacks 1 tasks" in heard[0]
    assert found.passed().tolist() == [[1, 0], [0, 0]]
    assert len(files_of(tmp_path)) == 3


def test_a_trial_without_rows_between_others_counts_as_missing(tmp_path):
    found = load_grades([write(tmp_path / "a.jsonl", [graded_row(ROW, "yy", trial=t) for t in (1, 3)])])
    assert (found.trials, found.states()) == (3, {"ok": 2, "missing": 1})


def test_files_of_several_models_give_a_notice(tmp_path, heard):
    paths = [write(tmp_path / f"{m}.jsonl", [graded_row(ROW, "yy", served_model=m)]) for m in ("m", "n")]
    load_grades(paths)
    assert "several models: m, n" in heard[0]


def test_a_folder_stands_for_its_graded_files(tmp_path):
    for name in ("a.jsonl", "b.jsonl.xz", "a.log.jsonl", "notes.txt"):
        (tmp_path / name).write_text("")
    assert [p.name for p in files_of(tmp_path)] == ["a.jsonl", "b.jsonl.xz"]
    (tmp_path / "a_graded.jsonl").write_text("")
    assert [p.name for p in files_of(tmp_path)] == ["a_graded.jsonl"]


@pytest.mark.parametrize(
    ("judge", "name"),
    [
        ("gpt", "gpt"),
        (None, ""),
        ({"name": "exact", "model": "gpt"}, "exact ("),
        ({"name": "openai", "model": "gpt"}, "gpt ("),
        ({"model": "gpt"}, "gpt"),
        ({"sees": "all"}, "judge"),
    ],
)
def test_judges_are_named_as_the_rows_say(tmp_path, judge, name):
    found = read_one(tmp_path, graded_row(ROW, "yy", judge=judge)).judge
    assert found.startswith(name)
    other = {**judge, "sees": "task"} if isinstance(judge, dict) else "other"
    assert read_one(tmp_path, graded_row(ROW, "yy", judge=other)).judge != found


def test_trials_with_other_rubrics_are_refused(tmp_path, heard):
    other = ROW | {"rubrics": ["other", "words"]}
    paths = [write(tmp_path / f"{n}.jsonl", [graded_row(row, "yy")]) for n, row in enumerate((ROW, other))]
    with pytest.raises(DataError, match="are not those of an earlier row"):
        load_grades(paths)
    assert load_grades(paths, force=True).trials == 2
    assert "1 rows" in heard[0]


def test_the_real_sample_scores_as_its_judge_says(data_root):
    path = data_root / "context" / "clbench_graded_sample.jsonl.xz"
    if not path.exists():
        pytest.skip("the sample of real rows is not here")
    found = read_graded(path)
    assert len(found) == 16
    assert all(g.score == g.judge_score and g.fits and g.state == "ok" for g in found)
    assert all(g.task.context != g.task.id and g.task.chars > 5000 for g in found)
