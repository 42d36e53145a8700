"""Files that are replaced: whole or as they were; lines that several commands add at once are all there."""

import json
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from clbench.core.atomic_write import write_atomically
from clbench.core.baseline import Baseline, BaselineExam, read_baseline, write_baseline
from clbench.core.errors import DataError
from clbench.core.graded import GradedItems
from clbench.core.item_scores import ExamScores
from clbench.core.spec import ModelSpec
from clbench.core.types import ScorerSpec
from clbench.store.history import history, remember


def taken(name="e", **changes):
    row = GradedItems(questions="d", answers_key="a", grades_key="m", scores="10")
    sheet = ExamScores(exam=name, digest="d", scorer=ScorerSpec(name="exact"), version=2, ids=("1", "2"), rows={0: row})
    return BaselineExam(
        kind="general", ability="x", guess_rate=0.0, scores=sheet.model_copy(update=changes), answers=("", "")
    )


def baseline(*exams, **changes):
    made = Baseline(model=ModelSpec(), identity="i", names=("e",), items=None, exams=exams or (taken(),))
    return made.model_copy(update=changes)


def test_a_file_stays_where_it_cannot_be_replaced(tmp_path, monkeypatch):
    """On a full disk `baseline --force` and `check card --lock` left a file that was cut short."""
    path = tmp_path / "kept.yaml"
    path.write_text("old")
    path.chmod(0o640)
    write_atomically(path, "new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o640)

    def full(self, text, **how):
        with self.open("w") as f:
            f.write(text[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "newer")
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["kept.yaml"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "file").write_text("old")
    write_atomically(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"


def _add(store, who, times):
    for i in range(times):
        remember(store, baseline(identity=f"{who}-{i}"))


def test_gates_that_pass_at_once_all_leave_a_line(tmp_path):
    """Each took the other's half-written line for one that was cut short, and cut it off."""
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_add, args=(tmp_path, who, 40)) for who in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len({passed.identity for passed in history(tmp_path)}) == 160


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_store_that_cannot_be_written_will_do_where_nothing_is_new(tmp_path):
    remember(tmp_path, baseline())
    (tmp_path / "gates.jsonl").chmod(0o400)
    remember(tmp_path, baseline())


ROW = GradedItems(questions="d", answers_key="a", grades_key="m", scores="10")
ODD = {
    "it holds no exam": {"exams": ()},
    "'e' is there twice": {"exams": (taken(), taken())},
    "there has been no format 0": {"format": 0},
    "with one row of scores": {"exams": (taken(rows={}),)},
    "not there once": {"exams": (taken(rows={0: ROW, 1: ROW}),)},
    "1 scores and 0 parts for 2 items": {
        "exams": (taken(rows={0: ROW.model_copy(update={"scores": np.ones((1, 1))})}),)
    },
    "scores outside of 0 to 1": {
        "exams": (taken(rows={0: ROW.model_copy(update={"scores": np.array([[2.0, 0.0]])})}),)
    },
    "items are declined": {"exams": (taken(rows={0: ROW.model_copy(update={"declined": (7,)})}),)},
    "1 groups for 2 items": {"exams": (taken(groups=("a",)),)},
    "no items, or one twice": {"exams": (taken(ids=("1", "1")),)},
    "guessing gives": {"exams": (taken().model_copy(update={"guess_rate": 5.0}),)},
}


@pytest.mark.parametrize("why", ODD)
def test_a_baseline_that_does_not_fit_together_is_refused_whatever_its_seal(tmp_path, why):
    """Some ended in a traceback, and a gate against no exams passed."""
    path = tmp_path / "b.json"
    write_baseline(path, baseline(**ODD[why]))
    assert json.loads(path.read_text())["seal"]
    with pytest.raises(DataError, match=why):
        read_baseline(path)
