"""Exact checks that rubrics of generated worlds carry: each accepts some texts, and needs no judge."""

from __future__ import annotations

from collections.abc import Sequence

from clbench.core.keys import normal_text


def statuses(answer: str, checks: Sequence[Sequence[str]]) -> list[str]:
    r"""Return "yes" or "no" for each rubric: whether the answer, or its last line, is a text that it accepts.

    Case, width and spaces do not count, nor does a full stop.

    Example:
        >>> statuses("I think:\nForty-two.", [["42", "forty-two"], ["7"]])
        ['yes', 'no']
    """
    last = (answer.strip().splitlines() or [""])[-1]
    forms = {normal_text(answer).rstrip("."), normal_text(last).rstrip(".")} - {""}
    return ["yes" if forms & {normal_text(text) for text in texts} else "no" for texts in checks]
