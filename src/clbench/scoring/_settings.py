"""What every scorer does alike: settings, and answers that cannot be marked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clbench.core.errors import SpecError, did_you_mean
from clbench.core.types import Answer, Example, Grade


def settings_of(scorer: str, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in defaults.

    Raises:
        SpecError: A setting is unknown, or of another type than its default.
    """
    for name, value in given.items():
        if name not in defaults:
            raise SpecError(
                f"scorer {scorer!r} has no setting {name!r}", where="scorer.settings", mend=did_you_mean(name, defaults)
            )
        if not isinstance(value, type(defaults[name])):
            raise SpecError(
                f"{name} is {value!r}", where="scorer.settings", mend=f"give a {type(defaults[name]).__name__}"
            )
    return {**defaults, **given}


def unmarkable(example: Example, answer: Answer) -> Grade | None:
    """Give the grade of an answer that no scorer can mark; None if it can be marked."""
    if answer.finish == "error":
        return Grade(example_id=example.id, score=None, note=f"no answer: {answer.text[:200]}")
    if not example.targets:
        return Grade(example_id=example.id, score=None, note="the example has no target to compare with")
    return None
