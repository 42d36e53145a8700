"""Sentences on costs that nobody has measured here, since the learning was done elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from clbench.report.runs.groups import Group


def unmeasured_sentences(groups: Sequence[Group], texts: dict[str, str]) -> list[str]:
    """Return a sentence that names the learners of which it is not known what learning cost; none without one."""
    labels = [group.label for group in groups if any(run.costs.unknown for run in group.runs)]
    return [texts["costs_unknown"].format(labels=", ".join(labels))] if labels else []
