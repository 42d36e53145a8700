"""`clbench context audit`: each defect, planted, is found by its kind alone."""

import copy
import json

import pytest

from clbench.cli.main import main
from clbench.context.audit import MEANINGS, audit
from clbench.context.findings import counted
from clbench.context.graded import read_graded, read_tasks
from clbench.context.versions import MEANINGS as VERSIONS
from clbench.context.versions import changes
from tests.builders.context_rows import data_set, graded_row, task_row, write

DATA = data_set(contexts=3, each=3)


def changed(place, change):
    rows = copy.deepcopy(DATA)
    change(rows[place])
    return rows


def old_shape():
    rows = [task_row("x", "x", turn=n) for n in (1, 2)]
    for row in rows:
        del row["metadata"]["context_id"]
    return [*DATA, *rows]


DEFECTS = {
    "garbage": ([*DATA, "{"], {"not a row"}),
    "rubrics of another type": (changed(0, lambda r: r.update(rubrics="one")), {"not a row"}),
    "no id": (changed(0, lambda r: r["metadata"].pop("task_id")), {"no id"}),
    "id twice": ([*DATA, DATA[0]], {"id twice"}),
    "old shape": (old_shape(), {"old shape"}),
    "no category": (changed(0, lambda r: r["metadata"].pop("context_category")), {"no category"}),
    "no messages": (changed(0, lambda r: r.update(messages=[])), {"messages"}),
    "an answer at the end": (
        changed(2, lambda r: r["messages"].append({"role": "assistant", "content": "x"})),
        {"messages"},
    ),
    "an empty message": (changed(2, lambda r: r["messages"][-1].update(content=" ")), {"messages"}),
    "an unknown role": (changed(2, lambda r: r["messages"][-1].update(role="usr")), {"messages"}),
    "another beginning": (
        changed(2, lambda r: r["messages"][0].update(content="You know nothing.")),
        {"not a continuation"},
    ),
    "no rubrics": (changed(0, lambda r: r.update(rubrics=[])), {"no rubrics"}),
    "a blank rubric": (changed(0, lambda r: r["rubrics"].append("  ")), {"blank rubric"}),
    "a rubric twice": (
        changed(0, lambda r: r["rubrics"].append(r["rubrics"][0].upper())),
        {"rubric twice"},
    ),
    "a long rubric": (changed(0, lambda r: r["rubrics"].append("x " * 201 + ".")), {"long rubric"}),
    "a compound rubric": (
        changed(0, lambda r: r["rubrics"].append("Names a and b, and says why.")),
        {"compound rubric"},
    ),
}


def test_a_sound_data_set(tmp_path, capsys):
    path = write(tmp_path / "data.jsonl", DATA)
    found = audit(path)
    assert (found.findings, found.rows, found.contexts, found.rubrics) == ((), 9, 3, 27)
    assert main(["context", "audit", str(path)]) == 0
    assert "nothing was found" in capsys.readouterr().out


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_defect_is_found_and_nothing_else(tmp_path, name):
    rows, kinds = DEFECTS[name]
    assert set(counted(audit(write(tmp_path / "data.jsonl", rows)).findings)) == kinds


def test_every_kind_is_planted():
    assert set().union(*(kinds for _, kinds in DEFECTS.values())) == set(MEANINGS) - {
        "never met",
        "met without the context",
    }


def test_rubrics_that_no_answer_meets_and_that_need_no_context(tmp_path, capsys):
    data = write(tmp_path / "data.jsonl", DATA)
    one = write(tmp_path / "one.jsonl", [graded_row(row, "nyn") for row in DATA[:2]])
    two = write(tmp_path / "two.jsonl", [graded_row(DATA[0], "yyn"), graded_row(DATA[1], "")])
    floor = write(tmp_path / "floor.jsonl", [graded_row(DATA[0], "nyn")])
    known = read_tasks(data)
    graded = [row for path in (one, two) for row in read_graded(path, known)]
    found = audit(data, graded, read_graded(floor, known), known).findings
    assert [(f.kind, f.where, f.what[:8]) for f in found] == [
        ("never met", f"{data}:1", "rubric 3"),
        ("met without the context", f"{data}:1", "rubric 2"),
    ]
    command = ["context", "audit", str(data), "--graded", str(one), "--graded", str(two), "--floor", str(floor)]
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"] == {"never met": 1, "met without the context": 1}


def test_files_that_are_not_there_or_empty(tmp_path):
    assert main(["context", "audit", str(tmp_path / "absent.jsonl")]) == 2
    (tmp_path / "empty.jsonl").write_text("\n")
    assert main(["context", "audit", str(tmp_path / "empty.jsonl")]) == 2


def test_the_real_sample_has_continuing_turns(data_root):
    path = data_root / "context" / "clbench_graded_sample.jsonl.xz"
    if not path.exists():
        pytest.skip("the sample of real rows is not here")
    found = audit(path)
    assert set(counted(found.findings)) <= {"long rubric", "compound rubric", "messages"}
    assert found.rows == 16


CHANGES = {
    "nothing": (DATA, set()),
    "another order of rows": (DATA[::-1], set()),
    "a task is gone": (DATA[1:], {"gone task"}),
    "a task is new": ([*DATA, task_row("t9", "c9")], {"new task"}),
    "a message": (changed(1, lambda r: r["messages"][-1].update(content="Another question?")), {"other messages"}),
    "a rubric": (changed(1, lambda r: r["rubrics"].append("Another one.")), {"other rubrics"}),
    "the order of rubrics": (changed(1, lambda r: r["rubrics"].reverse()), {"other rubrics"}),
    "a category": (changed(1, lambda r: r["metadata"].update(context_category="X")), {"other metadata"}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_between_versions_is_found_by_its_kind(tmp_path, name):
    rows, kinds = CHANGES[name]
    old, new = write(tmp_path / "old.jsonl", DATA), write(tmp_path / "new.jsonl", rows)
    found = changes(old, new)
    assert {each.kind for each in found} == kinds
    assert len(found) == len(kinds)
    assert all(each.kind in VERSIONS for each in found)


def test_versions_on_the_command_line(tmp_path, capsys):
    rows, _ = CHANGES["a rubric"]
    old, new = (str(write(tmp_path / f"{name}.jsonl", given)) for name, given in (("old", DATA), ("new", rows)))
    assert main(["context", "audit", new, "--before", old]) == 0
    assert "0 of 3 are gone, 1 of 4 are new" in capsys.readouterr().out
    assert main(["context", "audit", new, "--before", old, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"] == {"other rubrics": 1}
    assert main(["context", "audit", new, "--before", new]) == 0
    assert "nothing changed" in capsys.readouterr().out
    assert main(["context", "audit", new, "--before", old, "--graded", new]) == 2
    write(tmp_path / "twice.jsonl", [*DATA, DATA[0]])
    assert main(["context", "audit", new, "--before", str(tmp_path / "twice.jsonl")]) == 2
    assert "is there twice" in capsys.readouterr().err
