"""Streams and exams are read once per command, and anew in the next one."""

import pytest

from clbench.core.spec import RunSpec
from clbench.engine import inputs as opening
from clbench.engine.inputs import Inputs

SPEC = RunSpec(name="a", stream="worlds-tiny", learner={"name": "sft"})


@pytest.fixture
def openings(monkeypatch):
    seen = []
    real = opening.open_stream
    monkeypatch.setattr(opening, "open_stream", lambda name, data: seen.append(name) or real(name, data))
    return seen


def test_runs_of_one_command_share_what_is_opened(openings):
    inputs = Inputs(None)
    assert inputs.of(SPEC) is inputs.of(SPEC.model_copy(update={"seed": 7}))
    assert openings == ["worlds-tiny"]


def test_other_items_or_exams_are_opened_by_themselves(openings):
    fewer = SPEC.model_copy(update={"budget": SPEC.budget.model_copy(update={"items": 3})})
    inputs = Inputs(None)
    assert len(inputs.of(SPEC)[1][0].examples) > 3
    assert len(inputs.of(fewer)[1][0].examples) == 3
    more = inputs.of(SPEC.model_copy(update={"exams": ("mini_arithmetic",)}))
    assert len(more[1]) == len(inputs.of(SPEC)[1]) + 1
    assert len(openings) == 3


def test_nothing_is_remembered_outside(openings):
    for _ in range(3):
        Inputs(None).of(SPEC)
    assert len(openings) == 3
