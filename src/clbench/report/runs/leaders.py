"""Which methods lead in a figure: the best one, and all that are not told apart from it. Bounds never lead."""

from __future__ import annotations

import math
from collections.abc import Sequence

from clbench.metrics import all_metrics
from clbench.report.runs.groups import Group
from clbench.report.runs.orders import Method, told_of
from clbench.stats.bootstrap import difference_of


def is_bound(group: Group) -> bool:
    """Return whether a group is a reference point between which methods lie, such as frozen or joint."""
    return Method(group.label, (group,)).is_bound


def leaders(groups: Sequence[Group], name: str) -> frozenset[str]:
    """Return the labels of the groups that lead in a figure.

    Groups of one stream and model are compared with the best of them, unbounded ones among themselves; one whose
    difference from it is not significant at 5 % leads with it. No label is returned where nothing is told apart, where
    neither other seeds nor other items are known, and for a figure of which neither end is better.
    """
    if all_metrics()[name].better == "neither":
        return frozenset()
    scenarios: dict[tuple[str, str, str], list[Group]] = {}
    for group in groups:
        if not math.isnan(group.score(name)) and not is_bound(group):
            spec = group.runs[0].spec
            apart = str(told_of(group) == "unbounded")
            scenarios.setdefault((spec.stream, spec.model.name, apart), []).append(group)
    return frozenset(label for members in scenarios.values() for label in _leaders(members, name))


def _leaders(members: Sequence[Group], name: str) -> list[str]:
    sign = 1 if all_metrics()[name].better == "high" else -1
    best = max(members, key=lambda group: sign * group.score(name))
    level = [group for group in members if group is best or not _told_apart(best, group, name)]
    return [] if len(level) == len(members) else [group.label for group in level]


def _told_apart(best: Group, group: Group, name: str) -> bool:
    """Return whether the 95 % interval of the difference of two groups leaves 0 out.

    It is not known for figures against a bound, which single seeds do not have.
    """
    (one, samples), (two, others) = best.by_seed(name), group.by_seed(name)
    found, _ = difference_of(one, samples, two, others)
    return found.low > 0 or found.high < 0
