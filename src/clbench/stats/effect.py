"""How much less items tell when they belong to the same group."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ClusterIds = NDArray[np.intp]
UNSEEN = 3.0  # items that must differ before clusters are no longer taken to change as one
CROWD = 0.05  # so near to an end of the scale, or to no difference, scores are taken for the same
LEAST = 0.05  # clusters may cancel out by luck; a variance below this part of the unclustered one is not believed


def jackknifed(apart: Floats, cluster_ids: ClusterIds) -> float:
    """Return the jackknife's variance of the sum of deviations from their mean, whole groups left out in turn.

    A large group pulls the mean towards itself: S_c / (1 - n_c / n) is how far its total S_c
    lies from the mean of the others.

    Example:
        >>> jackknifed(np.array([0.5, -0.5]), np.array([0, 1]))
        1.0
    """
    sums, part = np.bincount(cluster_ids, weights=apart), np.bincount(cluster_ids) / len(apart)
    return float(((sums / (1 - part)) ** 2).sum()) * (len(sums) - 1) / len(sums)


def common(apart: Floats, cluster_ids: ClusterIds) -> tuple[float, float]:
    """Return (variance of the sum of deviations if all groups correlate alike, effective number of groups).

        P (1 + (k - 1) r) G* / (G* - 1),   r = 1 - MSW / (P / n),   k = sum n_c^2 / n,   G* = n / k

    P sums the squares of the n deviations, MSW is their mean square within groups, r the correlation within groups,
    k the size of the group that an item is in, in the mean. For groups of one size it is the jackknife's variance. With
    a few large groups among many small ones that rests on the large ones alone, and is far too small while none of
    them differs; r is known from all.

    Source: Kish 1965 (design effect); Fisher 1925 (analysis of variance, for r); Carter, Schnepel & Steigerwald 2017,
    "Asymptotic behavior of a t-test robust to cluster heterogeneity" (G*).

    Example:
        >>> common(np.array([0.5, 0.5, -0.5, -0.5]), np.array([0, 0, 1, 1]))
        (4.0, 2.0)
    """
    sizes, num = np.bincount(cluster_ids), len(apart)
    plain = float((apart**2).sum())
    size = float((sizes**2).sum()) / num
    effective = num / size
    if not plain:
        return 0.0, effective
    within = plain - float((np.bincount(cluster_ids, weights=apart) ** 2 / sizes).sum())
    alike = 1 - within * num / ((num - len(sizes)) * plain) if num > len(sizes) else 0.0
    return max(0.0, plain * (1 + (size - 1) * alike)) * effective / (effective - 1), effective


def robust(apart: Floats, cluster_ids: ClusterIds) -> tuple[float, float]:
    """Return (the largest estimate of the variance of the sum of deviations, effective number of groups).

    That is the jackknife's variance, or that of `common`, or the part `LEAST` of the variance without groups.

    Example:
        >>> robust(np.array([0.5, 0.5, -0.5, -0.5]), np.array([0, 0, 1, 1]))
        (4.0, 2.0)
    """
    alike, effective = common(apart, cluster_ids)
    return max(LEAST * float((apart**2).sum()), jackknifed(apart, cluster_ids), alike), effective


def design_effect(apart: Floats, cluster_ids: ClusterIds | None) -> tuple[float, float]:
    """Return the factor by which groups raise the variance of a mean, and its degrees of freedom.

        D = (R + k w) / (P + w),   w = u^2 / (u + P)

    P sums the squares of the items' deviations, R those of the group totals, each as far as it lies from the mean of
    the other groups (the jackknife's variance: G / (G - 1) times their sum where groups are of one size), or what
    `common` says if that is more, k the size of a group and u = 3: while few items differ D is drawn towards k, since
    groups that are all alike tell nothing of how they would part. The degrees are Satterthwaite's, G* - 1 for R and
    many for the rest; G* = n / k is the number of groups where they are of one size.

    Without groups: 1, infinity.

    Source: Kish 1965; Bell & McCaffrey 2002 and Carter et al. 2017 for groups of unequal size.

    Args:
        apart: Deviations of the items from their mean.
        cluster_ids: The group of each.
    """
    if cluster_ids is None:
        return 1.0, math.inf
    plain = float((apart**2).sum())
    clustered, effective = robust(apart, cluster_ids)
    unseen = UNSEEN**2 / (UNSEEN + plain)
    total = clustered + len(apart) / effective * unseen
    return total / (plain + unseen), max(1.0, effective - 1) * (total / clustered) ** 2 if clustered else math.inf


def clusters(groups: Sequence[Hashable] | None, items: int) -> ClusterIds | None:
    """Return the cluster of each item, numbered from 0; an item without a group (None) is a cluster of its own.

    Returns:
        None where every item stands for itself: no groups, each group once, or one group of all, which cannot tell
        how groups differ.

    Raises:
        ValueError: There are not as many groups as items.

    Example:
        >>> clusters(["a", "b", "a", None], 4).tolist()
        [0, 1, 0, 2]
    """
    if groups is None:
        return None
    if len(groups) != items:
        raise ValueError(f"{len(groups)} groups for {items} items: give one per item")
    keys = [(place,) if group is None else group for place, group in enumerate(groups)]
    order = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    return np.array([order[key] for key in keys], dtype=np.intp) if 1 < len(order) < items else None
