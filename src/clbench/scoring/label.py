"""Accuracy of a label: the answer must be one of the accepted labels.

If the question offers choices they are compared by identity, form C of Unicode and blanks apart: `mW` and `MW`, `m2`
and `m²` are two labels each. An answer that is not a choice to the letter stands for the only one that it equals but
for width and the like, else for the only one that it equals but for case too (the rules of `exact` without those on
punctuation); if it equals several it is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clbench.core.protocols import Scorer, ScorerPlugin
from clbench.core.types import Answer, Example, Grade
from clbench.scoring._choice import accepted, folds, identities, named
from clbench.scoring._settings import settings_of, ungradable

WAYS = folds(case_sensitive=False, strip_punctuation=False)


def build(settings: Mapping[str, Any]) -> Scorer:
    """Return the scorer: 1 for an accepted label, else 0; an answer that is not a label has a note."""
    settings_of("label", settings, {})

    def grade_answer(example: Example, answer: Answer) -> Grade:
        if (grade := ungradable(example, answer)) is not None:
            return grade
        right = accepted(example, answer.text, WAYS)
        known = not example.choices or named(example, answer.text, WAYS) in identities(example.choices)
        return Grade(example_id=example.id, score=float(right), note="" if known or right else "no such label")

    return grade_answer


PLUGIN = ScorerPlugin(build=build, version=2, about="accuracy of the chosen label")
