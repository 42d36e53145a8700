"""Rows of CL-bench can be asked and can enter no lesson: not through a card, and not as a user's own data."""

import json

import pytest

from clbench.cli.main import main
from clbench.core.errors import DataError
from clbench.data.tasks.task import open_task
from tests.builders.asked import task
from tests.builders.context_rows import graded_row

CARD = """\
name: mine
source: {path: rows}
prompt: [{role: user, content: "{question}"}]
target: "{answer}"
splits: {lesson: SPLIT, dev: null, exam: test}
"""
LIFE = {"task_id": "t", "context_category": "A", "context_subcategory": "b"}
OLD = {"task_id": "t"}


def rows_of(kind):
    """Rows with columns beside those of CL-bench from which a card could teach."""
    rows = [task(c, n) | {"question": f"{c}{n}?", "answer": "x"} for c in "ab" for n in range(3)]
    if kind == "graded":
        return [graded_row(row, "y") for row in rows]
    if kind in ("life", "old"):
        return [row | {"metadata": LIFE if kind == "life" else OLD} for row in rows]
    return rows


def card(tmp_path, rows, split):
    (tmp_path / "rows").mkdir()
    for name in ("train", "test"):
        (tmp_path / "rows" / f"{name}.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows[name == "test" :: 2])
        )
    path = tmp_path / "mine.yaml"
    path.write_text(CARD.replace("SPLIT", split), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("kind", ["data set", "graded", "life", "old"])
def test_no_card_makes_a_lesson_of_them(tmp_path, kind):
    path = card(tmp_path, rows_of(kind), "train")
    with pytest.raises(DataError, match="licence is for evaluation alone"):
        open_task(path, None)


def test_an_exam_alone_may_be_made_of_them(tmp_path):
    found = open_task(card(tmp_path, rows_of("data set"), "null"), None)
    assert (len(found.lesson), len(found.exam)) == (0, 3)


def test_rows_of_another_shape_are_learnt(tmp_path):
    plain = [{k: v for k, v in row.items() if k != "rubrics"} for row in rows_of("data set")]
    assert len(open_task(card(tmp_path, plain, "train"), None).lesson) == 3


@pytest.mark.parametrize("verb", [["check"], ["add", "--task", "mine"]])
def test_they_are_not_taken_as_own_data(tmp_path, monkeypatch, capsys, verb):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows_of("data set")))
    first, *more = verb
    assert main(["data", first, "train.jsonl", *more]) == 2
    assert "licence is for evaluation alone" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.yaml"))
