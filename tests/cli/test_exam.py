"""What `clbench exam` prints: intervals over groups where items belong to some."""

import pytest

from clbench.cli.exam import _row, _table
from clbench.core.results import ExamResult
from clbench.core.types import Decode, Exam, Example, Grade, Message, ScorerSpec


def sat(groups):
    questions = tuple(
        Example(id=str(i), prompt=(Message(role="user", content="?"),), targets=("a",), group=str(i // 10) * groups)
        for i in range(60)
    )
    about = {"name": "e", "kind": "general", "scorer": ScorerSpec(name="exact"), "decode": Decode(), "digest": ""}
    exam = Exam(**about, needs=frozenset(), examples=questions)
    grades = tuple(Grade(example_id=str(i), score=float(i < 30)) for i in range(60))
    return ExamResult.asked(exam, 0, ()).graded(grades, 0.5)


def test_whole_groups_that_fall_together_widen_the_interval():
    alone, together = _row(sat(0)), _row(sat(1))
    assert (alone["groups"], together["groups"]) == (None, 6)
    assert alone["high"] - alone["low"] == pytest.approx(0.247, abs=0.01)
    assert together["high"] - together["low"] > 2.5 * (alone["high"] - alone["low"])
    assert "groups of items" in _table([sat(1)])
