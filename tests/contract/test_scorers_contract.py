from dataclasses import replace

import pytest

from clbench.core import plugins
from clbench.core.types import Grade
from clbench.engine.mark import open_scorer
from clbench.testing import check_scorer


@pytest.mark.parametrize("name", plugins.names("scorer"))
def test_every_scorer_holds_its_contract(name):
    assert [o for o in check_scorer(name) if o.problem] == []


def _constant(value):
    return lambda settings: lambda example, answer: Grade(example_id=example.id, score=value)


def _fragile(settings):
    inner = open_scorer("exact").build(settings)

    def mark(example, answer):
        answer.text.encode("utf-8")
        return inner(example, answer)

    return mark


BUGS = {
    "oracle scores 1": _constant(0.0),
    "silence scores 0": _constant(1.0),
    "wrong scores 0": _constant(1.0),
    "what cannot be marked is None": _constant(0.0),
    "unknown setting refused": lambda settings: open_scorer("exact").build({}),
    "hostile output is marked": _fragile,
    "grades bear their id": lambda settings: lambda example, answer: Grade(example_id="x", score=1.0),
}


@pytest.mark.parametrize("check", BUGS)
def test_planted_bugs_are_caught(check):
    broken = replace(open_scorer("exact"), build=BUGS[check])
    assert check in {o.check for o in check_scorer(broken) if o.problem}
