"""Sentences on what nobody has measured or bounded here, since another program learnt."""

from __future__ import annotations

from collections.abc import Sequence

from clbench.core.spec import LEARN
from clbench.report.runs.groups import Group
from clbench.report.runs.orders import told_of


def unmeasured_sentences(groups: Sequence[Group], texts: dict[str, str]) -> list[str]:
    """Return a sentence for each learner that is unbounded, and one on those of which no cost is known."""
    apart = [group for group in groups if told_of(group) == "unbounded"]
    said = [texts["unbounded"].format(label=g.label, command=g.runs[0].spec.learner.get(LEARN, "?")) for g in apart]
    others = [group for group in groups if group not in apart]
    labels = [group.label for group in others if any(run.costs.unknown for run in group.runs)]
    return said + ([texts["costs_unknown"].format(labels=", ".join(labels))] if labels else [])
