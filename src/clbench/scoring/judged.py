"""Rubrics: 1 if the judge of the run finds all of them met, else 0; what it cannot judge has no grade.

A card gives the rubrics of a row with `rubric: "{column}"`, and a recipe names who judges with `judge:`. A model is
asked as `clbench context eval` asks it. With `judge: exact` a rubric is met if the answer, or its last line, is one of
the texts that it accepts, but for case, width, spaces and a full stop; rubrics carry them as
`{"rubric_criteria": "...", "exact": ["42", "forty-two"]}`.

What is empty, or was cut at the longest answer, scores 0 unjudged, as in the context track. Parts are the rubrics: 1
where one is met.

Settings: `judge`, which the recipe gives and a card does not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from clbench.core.protocols import Scorer, ScorerPlugin, Specimen
from clbench.core.types import Answer, Example, Grade
from clbench.scoring._settings import clip, settings_of
from clbench.scoring.rubric.exact import statuses
from clbench.scoring.rubric.prompts import says_nothing
from clbench.scoring.rubric.thoughts import without_thoughts
from clbench.scoring.rubric.verdicts import State, score_of

DEFAULTS: dict[str, Any] = {"judge": {}}


def build(settings: Mapping[str, Any]) -> Scorer:
    """Return the scorer for rubrics with exact checks: 1 if all are met; None where only a judge could tell."""
    settings_of("judged", settings, DEFAULTS)

    def grade_answer(example: Example, answer: Answer) -> Grade:
        checks = checks_of(example)
        if answer.finish == "error" or not checks:
            note = f"no answer: {answer.text[:200]}" if answer.finish == "error" else "its rubrics carry no exact check"
            return Grade(example_id=example.id, score=None, note=note)
        if (state := state_of(answer)) != "ok":
            return unmet(example, len(checks), state)
        status = statuses(clip(without_thoughts(answer.text)[0]), checks)
        return Grade(example_id=example.id, score=float(score_of(status, len(checks))), parts=parts_of(status))

    return grade_answer


def checks_of(example: Example) -> list[list[str]]:
    """Return what each rubric accepts; empty where the rubrics carry no exact checks."""
    try:
        found: Any = json.loads(example.check) if example.check else []
    except (ValueError, RecursionError):
        return []
    listed = cast(list[Any], found) if isinstance(found, list) else []
    return (
        [[str(text) for text in cast(list[Any], c)] for c in listed] if all(isinstance(c, list) for c in listed) else []
    )


def state_of(answer: Answer) -> State:
    """Return the state of an answer before it is judged, as the context track has it."""
    if answer.finish == "length":
        return "truncated"
    return "empty" if says_nothing(without_thoughts(answer.text)[0]) else "ok"


def unmet(example: Example, num_rubrics: int, state: str) -> Grade:
    """Return the grade of an answer that is not judged: no rubric is met."""
    note = f"not judged: the answer is {state}"
    return Grade(example_id=example.id, score=0.0, parts=(0.0,) * num_rubrics, note=note)


def parts_of(status: list[str]) -> tuple[float, ...]:
    """Return 1 for each rubric that is met, else 0; those that do not apply are left out."""
    return tuple(float(s == "yes") for s in status if s != "n/a")


PLUGIN = ScorerPlugin(
    build=build,
    version=1,
    about="all rubrics are met, as the judge of the run finds",
    specimens=(Specimen("?", ("red fox", "fox"), "cat", check='[["red fox", "fox"]]'),),
    judged=True,
)
