"""Streams and exams are opened once per command, and anew where nobody promised that files stay as they are."""

import pytest

from clbench.core.spec import Machine, RunSpec
from clbench.engine import opening
from clbench.engine.opening import opened, opened_once

SPEC = RunSpec(name="a", stream="worlds-tiny", learner={"name": "sft"})


@pytest.fixture
def openings(monkeypatch):
    seen = []
    real = opening.open_stream
    monkeypatch.setattr(opening, "open_stream", lambda name, data: seen.append(name) or real(name, data))
    return seen


def test_runs_of_one_command_share_what_is_opened(openings, tmp_path):
    with opened_once():
        first = opened(SPEC, Machine(store=tmp_path))
        again = opened(SPEC.model_copy(update={"seed": 7}), Machine(store=tmp_path / "other"))
        with opened_once():
            inner = opened(SPEC, Machine())
    assert openings == ["worlds-tiny"]
    assert first is again is inner


def test_other_items_or_exams_are_opened_by_themselves(openings):
    fewer = SPEC.model_copy(update={"budget": SPEC.budget.model_copy(update={"items": 3})})
    with opened_once():
        assert len(opened(SPEC, Machine())[1][0].examples) > 3
        assert len(opened(fewer, Machine())[1][0].examples) == 3
        more = opened(SPEC.model_copy(update={"exams": ("mini_arithmetic",)}), Machine())
        assert len(more[1]) == len(opened(SPEC, Machine())[1]) + 1
    assert len(openings) == 3


def test_nothing_is_remembered_outside(openings):
    opened(SPEC, Machine())
    with opened_once():
        opened(SPEC, Machine())
    opened(SPEC, Machine())
    assert len(openings) == 3
