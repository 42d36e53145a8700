"""How certain one score on one exam is."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from clbench.core.graded import graded_items
from clbench.stats.effect import CROWD, ClusterIds, clusters, design_effect
from clbench.stats.intervals import wilson_at
from clbench.stats.paired import Scores
from clbench.stats.quantiles import normal_quantile, t_quantile


def score_interval(
    scores: Scores, *, groups: Sequence[Hashable] | None = None, level: float = 0.95
) -> tuple[float, float, float]:
    """Return (score, low, high) of one exam: the interval covers what other such items, or groups, would show.

    Wilson's interval with as many items as these are worth, n_e, and for right and wrong answers without groups the
    wider of it and the binomial's mid-p interval, since each of them falls short somewhere:

        n_e = s~ (1 - s~) / V,   V = D (sum_i (u_i - s)^2 + w^2) / n^2

    u are the items' scores (pseudo-values where the exam has a rule of its own), s~ = (n s + 1) / (n + 2), w the share
    of the commonest score, or of scores within `CROWD` of 0 or of 1 if that is more, unless answers are right or wrong,
    so that equal scores, or many near an end and few far from it, do not count as sure, and D the design effect of
    groups (`design_effect`). Student's t with
    its degrees (n - 1 for graded items) stands for z.

    Args:
        scores: In [0, 1], or `GradedItems`; NaN is left out.
        groups: What each item belongs to; None is nothing shared.
        level: Confidence, in (0, 1).

    Returns:
        In [0, 1]; NaN where nothing was graded.

    Source: Wilson 1927; Lancaster 1961 and Agresti & Gottard 2005 for mid-p; Dean & Pacheco 2014, "Evaluating
    univariate confidence intervals for proportions from complex surveys", for what items are worth;
    coverage: `bench/intervals.py`.

    Example:
        >>> [round(v, 3) for v in score_interval([1, 0, 1, 1, 1, 0, 1, 1, 1, 1])]
        [0.8, 0.48, 0.965]
    """
    side = graded_items(scores)
    cluster_ids = clusters(groups, side.items)
    side, cluster_ids = side.only(side.known), None if cluster_ids is None else cluster_ids[side.known]
    cluster_ids = None if cluster_ids is None else clusters(cluster_ids.tolist(), side.items)
    if not side.items:
        return math.nan, math.nan, math.nan
    score, units = side.value, side.units()
    if side.items == 1:
        return score, 0.0, 1.0
    binary = side.is_mean and bool(np.isin(units, (0.0, 1.0)).all())
    if binary and cluster_ids is None:
        low, high = _binomial(int(units.sum()), side.items, level)
    else:
        low, high = _worth(units, score, cluster_ids, binary, level)
    return score, max(0.0, min(low, score)), min(1.0, max(high, score))


def _crowd(units: NDArray[np.float64]) -> float:
    """Return the share of items with the commonest score, or within `CROWD` of an end of the scale: the larger."""
    same = np.unique(np.round(units, 9), return_counts=True)[1].max()
    return float(max(same, (units <= CROWD).sum(), (units >= 1 - CROWD).sum())) / len(units)


def _binomial(hits: int, num: int, level: float) -> tuple[float, float]:
    """Return the wider of Wilson's and the mid-p interval."""
    low, high = wilson_at(hits / num, num, normal_quantile((1 + level) / 2))
    return min(low, _mid_p_low(hits, num, level)), max(high, 1 - _mid_p_low(num - hits, num, level))


def _mid_p_low(hits: int, num: int, level: float) -> float:
    """Return the share at which P(X > hits) + P(X = hits) / 2 is (1 - level) / 2; 0 without a hit."""
    from scipy.optimize import root_scalar
    from scipy.stats import binom

    if hits == 0:
        return 0.0

    def excess(share: float) -> float:
        return float(binom.sf(hits, num, share) + 0.5 * binom.pmf(hits, num, share)) - (1 - level) / 2

    return float(root_scalar(excess, bracket=(0.0, 1.0), method="brentq").root)


def _worth(
    units: NDArray[np.float64], score: float, cluster_ids: ClusterIds | None, binary: bool, level: float
) -> tuple[float, float]:

    num, apart = len(units), units - units.mean()
    plain = float((apart**2).sum())
    effect, freedom = design_effect(apart, cluster_ids)
    freedom = freedom if binary else min(freedom, num - 1)
    if not binary:
        plain = plain * num / (num - 1) + _crowd(units) ** 2
    # Right and wrong: s (1 - s) / n is Wilson's own variance, which needs no floor.
    shrunk = min(max((num * score + 1) / (num + 2), 1 / (num + 2)), (num + 1) / (num + 2))
    worth = num / effect if binary else shrunk * (1 - shrunk) * num * num / (effect * plain)
    inside = min(max(score, 0.0), 1.0)
    return wilson_at(inside, worth, t_quantile((1 + level) / 2, min(freedom, 1e9)))
