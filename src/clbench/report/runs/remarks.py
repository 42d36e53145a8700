"""Sentences that stand under every table: on reasoning, on what was cut, on judges, on what has no grade or no cost."""

from __future__ import annotations

from collections.abc import Sequence

from clbench.report.runs.cuts import cut_sentences
from clbench.report.runs.groups import Group
from clbench.report.runs.judged import judge_sentences
from clbench.report.runs.reasoning import reasoning_sentences
from clbench.report.runs.unanswered import unanswered_sentences
from clbench.report.runs.unmeasured import unmeasured_sentences


def remarks(groups: Sequence[Group], texts: dict[str, str]) -> list[str]:
    """Return the sentences on these runs."""
    return [
        *reasoning_sentences(groups, texts),
        *cut_sentences(groups, texts),
        *judge_sentences(groups, texts),
        *unanswered_sentences(groups, texts),
        *unmeasured_sentences(groups, texts),
    ]
