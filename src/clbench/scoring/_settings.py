"""What every scorer does alike: settings, and answers that cannot be graded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from clbench.core.errors import SpecError, did_you_mean
from clbench.core.types import Answer, Example, Grade

LONGEST = 20_000  # characters of a text that are looked at: a runaway answer must not stall a run


def settings_of(
    scorer: str,
    given: Mapping[str, Any],
    defaults: Mapping[str, Any],
    choices: Mapping[str, Collection[str]] | None = None,
) -> dict[str, Any]:
    """Return the settings with defaults filled in.

    Args:
        scorer: Its name.
        given: What the card or the spec says.
        defaults: Every setting with its default; a number without a point will do where the default has one.
        choices: The values that a setting may have, where they are few.

    Raises:
        SpecError: A setting is unknown, of another type than its default, or not among its choices.
    """
    for name, value in given.items():
        if name not in defaults:
            raise SpecError(
                f"scorer {scorer!r} has no setting {name!r}", where="scorer.settings", mend=did_you_mean(name, defaults)
            )
        kind = type(defaults[name])
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise SpecError(f"{name} is {value!r}", where="scorer.settings", mend=f"give a {kind.__name__}")
        if choices and name in choices and value not in choices[name]:
            mend = did_you_mean(str(value), choices[name])
            raise SpecError(f"{name} is {value!r}", where="scorer.settings", mend=mend)
    return {**defaults, **given}


def ungradable(example: Example, answer: Answer) -> Grade | None:
    """Return the grade of an answer that no scorer can grade, its score None; None if it can be graded."""
    if answer.finish == "error":
        return Grade(example_id=example.id, score=None, note=f"no answer: {answer.text[:200]}")
    if not example.targets:
        return Grade(example_id=example.id, score=None, note="the example has no target to compare with")
    return None


def clip(text: str) -> str:
    """Return the first `LONGEST` characters."""
    return text[:LONGEST]
