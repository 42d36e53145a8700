"""Two sets of scores on the same items: how far they differ, and whether chance would do as well."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
EXACT = 12  # up to 2^12 patterns of signs are counted one by one
MIN_CLUSTERS = 12  # with fewer, the variance between clusters is not known well enough to use it


@dataclass(frozen=True)
class Difference:
    """A mean paired difference with its 95 % (or other) interval.

    Attributes:
        value: Mean of two - one, in [-1, 1] for scores in [0, 1].
        low, high: The interval.
        items: Pairs behind it.
    """

    value: float
    low: float
    high: float
    items: int


def _pairs(one: Sequence[float] | Floats, two: Sequence[float] | Floats) -> Floats:
    first, second = np.asarray(one, dtype=np.float64), np.asarray(two, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"{len(first)} and {len(second)} scores are no pairs")
    return second - first


def _summed(differences: Floats, groups: Sequence[Hashable] | None) -> tuple[Floats, Floats]:
    """Give sums and sizes of the clusters; every pair is its own where there are no groups, or too few of them."""
    if groups is None or len(set(groups)) < MIN_CLUSTERS:
        return differences, np.ones_like(differences)
    order = {name: place for place, name in enumerate(dict.fromkeys(groups))}
    places = np.array([order[name] for name in groups])
    sums = np.bincount(places, weights=differences).astype(np.float64)
    return sums, np.bincount(places).astype(np.float64)


def _spread(sums: Floats, sizes: Floats) -> tuple[float, float]:
    """Give centre and standard error of the mean difference; see `paired_difference` for the two pairs added."""
    num = len(sums)
    typical = float(np.sqrt(np.mean(sums[sums != 0] ** 2))) if sums.any() else float(sizes.mean())
    total = float(sizes.sum()) + 2 * float(sizes.mean())
    centre = float(sums.sum()) / total
    squares = float(((sums - centre * sizes) ** 2).sum()) + typical**2
    return centre, math.sqrt(squares * num / max(num - 1, 1)) / total


def paired_difference(
    one: Sequence[float] | Floats,
    two: Sequence[float] | Floats,
    *,
    groups: Sequence[Hashable] | None = None,
    level: float = 0.95,
) -> Difference:
    """Give the mean of `two` - `one` over the same items, with an interval.

        c +- t_{G-1} sqrt(G/(G-1) (sum_g (D_g - c n_g)^2 + r^2)) / (N + 2 n),   c = sum_g D_g / (N + 2 n)

    D_g is the sum of the differences of cluster g of n_g items (one each without groups, or with fewer than twelve of
    them), n the mean size, and r the root mean square of the D_g that are not 0. For right and wrong answers without
    groups this is Agresti and Min's "Wald + 2": half a pair is added to each of the four outcomes, so that an interval
    never has width 0 and keeps its level with few items, where the plain one falls below it.

    Args:
        one: Scores, in [0, 1]; a pair with NaN in it is left out.
        two: Scores of the same items.
        groups: What each item belongs to.
        level: Confidence, in (0, 1).

    Raises:
        ValueError: They are not equally many.

    Source: Agresti & Min 2005, "Simple improved confidence intervals for comparing matched proportions", Statistics in
    Medicine 24; clusters as in Miller 2024, "Adding error bars to evals", arXiv 2411.00640.

    Example:
        >>> d = paired_difference([1, 1, 0, 0] * 25, [1, 0, 0, 0] * 25)
        >>> round(d.value, 2), round(d.low, 3), round(d.high, 3)
        (-0.25, -0.332, -0.158)
    """
    from scipy.stats import t

    differences, kept = _kept(_pairs(one, two), groups)
    if not len(differences):
        return Difference(math.nan, math.nan, math.nan, 0)
    sums, sizes = _summed(differences, kept)
    centre, error = _spread(sums, sizes)
    width = float(t.ppf((1 + level) / 2, max(len(sums) - 1, 1))) * error
    low, high = max(-1.0, centre - width), min(1.0, centre + width)
    return Difference(float(differences.mean()), low, high, len(differences))


def _kept(differences: Floats, groups: Sequence[Hashable] | None) -> tuple[Floats, list[Hashable] | None]:
    there = ~np.isnan(differences)
    return differences[there], None if groups is None else [g for g, ok in zip(groups, there, strict=True) if ok]


def mcnemar(gained: int, lost: int) -> float:
    """Give the exact two-sided p of McNemar's test: as many items gained as lost, by chance?

        min(1, 2 P(X <= min(gained, lost))),   X binomial(gained + lost, 1/2)

    In [0, 1]; 1 where nothing flipped. Source: McNemar 1947; exact form as in Fagerland et al. 2013.

    Example:
        >>> round(mcnemar(2, 10), 4), mcnemar(0, 0)
        (0.0386, 1.0)
    """
    from scipy.stats import binom

    return min(1.0, 2 * float(binom.cdf(min(gained, lost), gained + lost, 0.5))) if gained + lost else 1.0


def paired_permutation(
    one: Sequence[float] | Floats,
    two: Sequence[float] | Floats,
    *,
    groups: Sequence[Hashable] | None = None,
    draws: int = 9999,
    seed: int = 0,
) -> float:
    """Give the two-sided p of the sign-flip test of a mean paired difference.

        p = (number of sign patterns whose |mean| is at least the observed) / (number of patterns)

    Signs are flipped item by item, or cluster by cluster where there are twelve or more groups. For right and wrong
    answers without groups it is McNemar's exact test; up to 12 differences that are not 0 all patterns are counted,
    with more `draws` of them are drawn, the observed one included. In (0, 1]; 1 where all differences are 0; a pair
    with NaN is left out.

    Raises:
        ValueError: They are not equally many.

    Source: Fisher 1935; Phipson & Smyth 2010 for p-values of drawn permutations.

    Example:
        >>> paired_permutation([0, 0, 0, 1], [1, 1, 1, 1])
        0.25
    """
    differences, kept = _kept(_pairs(one, two), groups)
    sums, sizes = _summed(differences, kept)
    sums = sums[sums != 0]
    if not len(sums):
        return 1.0
    if sizes.max() == 1 and np.all(np.abs(sums) == 1):
        return mcnemar(int((sums > 0).sum()), int((sums < 0).sum()))
    observed = abs(float(sums.sum())) * (1 - 1e-12)
    if len(sums) <= EXACT:
        bits = (np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums))) & 1
        return float((np.abs((2 * bits - 1) @ sums) >= observed).mean())
    signs = np.random.default_rng(seed).integers(0, 2, size=(draws, len(sums)), dtype=np.int8) * 2 - 1
    return float((1 + (np.abs(signs @ sums) >= observed).sum()) / (1 + draws))


def holm(p_values: Sequence[float]) -> list[float]:
    """Give Holm's adjusted p-values, in the order given; NaN stays NaN and does not count in the family.

        p~_(i) = max_{j <= i} min(1, (m - j + 1) p_(j))

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".

    Example:
        >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    known = [i for i, p in enumerate(p_values) if not math.isnan(p)]
    adjusted = [math.nan] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(known, key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(known) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def drop_p(
    old: Sequence[float] | Floats, new: Sequence[float] | Floats, *, groups: Sequence[Hashable] | None = None
) -> float:
    """Give the one-sided p of "the new scores are no lower than the old ones".

    For right and wrong answers without groups McNemar's mid-p: P(X < gained) + P(X = gained) / 2, X binomial(gained +
    lost, 1/2), which keeps its level and is less timid than the exact test. Else the t statistic of
    `paired_difference`. In [0, 1]; 1 where nothing differs.

    Raises:
        ValueError: They are not equally many.

    Source: Fagerland, Lydersen & Laake 2013, "The McNemar test for binary matched-pairs data: mid-p and asymptotic are
    better than exact conditional", BMC Medical Research Methodology 13.

    Example:
        >>> round(drop_p([1] * 10 + [0] * 2, [0] * 10 + [1] * 2), 4)
        0.0112
    """
    from scipy.stats import binom, t

    differences, kept = _kept(_pairs(old, new), groups)
    if not differences.any():
        return 1.0
    sums, sizes = _summed(differences, kept)
    if sizes.max() == 1 and np.all(np.isin(sums, (-1.0, 0.0, 1.0))):
        gained, lost = int((sums > 0).sum()), int((sums < 0).sum())
        return float(binom.cdf(gained - 1, gained + lost, 0.5) + 0.5 * binom.pmf(gained, gained + lost, 0.5))
    centre, error = _spread(sums, sizes)
    return float(t.cdf(centre / error, max(len(sums) - 1, 1)))
