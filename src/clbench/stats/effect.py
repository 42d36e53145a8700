"""How much less items say that belong to the same group."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.intp]
UNSEEN = 3.0  # items that must differ before clusters are no longer taken to stand and fall together
LEAST = 0.05  # clusters may cancel out by luck; a variance below this part of the unclustered one is not believed


def jackknifed(apart: Floats, places: Places) -> float:
    """Return the jackknife's variance of the sum of deviations from their mean, whole groups left out in turn.

    A large group pulls the mean towards itself: S_c / (1 - n_c / n) is how far its total S_c
    lies from the mean of the others.

    Example:
        >>> jackknifed(np.array([0.5, -0.5]), np.array([0, 1]))
        1.0
    """
    sums, part = np.bincount(places, weights=apart), np.bincount(places) / len(apart)
    return float(((sums / (1 - part)) ** 2).sum()) * (len(sums) - 1) / len(sums)


def design_effect(apart: Floats, places: Places | None) -> tuple[float, float]:
    """Return by how much groups raise the variance of a mean, and the degrees of freedom that this is known with.

        D = (R + k w) / (P + w),   w = u^2 / (u + P)

    P sums the squares of the items' deviations, R those of the group totals, each as far as it lies from the mean of
    the other groups (the jackknife's variance: G / (G - 1) times their sum where groups are of one size), k the size of
    a group and u = 3: while few items differ D is drawn towards k, since groups that are all alike tell nothing of
    how they would part. The degrees are Satterthwaite's, G - 1 for R and many for the rest.

    Without groups: 1, infinity.

    Source: Kish 1965; Bell & McCaffrey 2002 for groups of unequal size.

    Args:
        apart: Deviations of the items from their mean.
        places: The group of each.
    """
    if places is None:
        return 1.0, math.inf
    plain, groups = float((apart**2).sum()), int(places.max()) + 1
    size = float((np.bincount(places) ** 2).sum()) / len(apart)
    robust = max(LEAST * plain, jackknifed(apart, places))
    unseen = UNSEEN**2 / (UNSEEN + plain)
    whole = robust + size * unseen
    return whole / (plain + unseen), (groups - 1) * (whole / robust) ** 2 if robust else math.inf
