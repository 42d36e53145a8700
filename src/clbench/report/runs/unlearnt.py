"""Tasks that no method learnt: where nothing was learnt, nothing can be forgotten."""

from __future__ import annotations

import math
from collections.abc import Sequence

from clbench.report.runs.groups import Group
from clbench.report.runs.traits import traits_of


def unlearnt_sentences(groups: Sequence[Group], texts: dict[str, str]) -> list[str]:
    """Return a sentence that names the tasks that no method learnt; none if each was learnt by one.

    A task counts as learnt where its score right after its own lesson is more than two standard errors above guessing.
    Learners that train nothing are left out.
    """
    trained = [g for g in groups if traits_of(g.runs[0].spec.learner, g.runs[0].provenance).trains != "none"]
    learnt: dict[str, bool] = {}
    for group in trained:
        for name, above in _learnt(group).items():
            learnt[name] = learnt.get(name, False) or above
    missed = [name for name, above in learnt.items() if not above]
    if not missed:
        return []
    form = texts["learnt_nothing"] if len(missed) == len(learnt) else texts["learnt_not"]
    return [form.format(tasks=", ".join(missed))]


def _learnt(group: Group) -> dict[str, bool]:
    """Return task -> whether its score after its own lesson is above guessing, for cells that were asked."""
    found: dict[str, bool] = {}
    for place, column in enumerate(group.mean.columns):
        if column.kind != "task" or column.taught is None:
            continue
        score, n = float(group.mean.values[column.taught, place]), int(group.mean.n[column.taught, place])
        if n and not math.isnan(score):
            rate = column.guess_rate
            found[column.name] = score > rate + 2 * math.sqrt(rate * (1 - rate) / n)
    return found
