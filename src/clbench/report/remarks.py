"""What the figures alone do not say: reasoning that was set aside, what was cut, and what got no grade."""

from __future__ import annotations

from collections.abc import Sequence

from clbench.report.cuts import cut_sentences
from clbench.report.gather import Group
from clbench.report.thought import thought_sentences
from clbench.report.unanswered import unanswered_sentences


def remarks(groups: Sequence[Group], words: dict[str, str]) -> list[str]:
    """Return the sentences that stand under every table of these runs."""
    return [
        *thought_sentences(groups, words),
        *cut_sentences(groups, words),
        *unanswered_sentences(groups, words),
    ]
