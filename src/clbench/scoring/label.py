"""Accuracy of a label: the answer must be one of the accepted labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clbench.core.keys import normal_text
from clbench.core.protocols import Scorer, ScorerPlugin
from clbench.core.types import Answer, Example, Grade
from clbench.scoring._settings import settings_of, unmarkable


def build(settings: Mapping[str, Any]) -> Scorer:
    """Make the scorer: 1 for an accepted label, 0 for another; what is no label at all is noted."""
    settings_of("label", settings, {})

    def mark(example: Example, answer: Answer) -> Grade:
        if (grade := unmarkable(example, answer)) is not None:
            return grade
        said = normal_text(answer.text)
        right = said in {normal_text(t) for t in example.targets}
        known = not example.choices or said in {normal_text(c) for c in example.choices}
        return Grade(example_id=example.id, score=float(right), note="" if known or right else "no such label")

    return mark


PLUGIN = ScorerPlugin(build=build, version=1, about="accuracy of the chosen label")
