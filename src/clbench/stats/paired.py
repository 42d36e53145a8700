"""Two sets of scores on the same items: how far they differ, and whether randomness explains it.

Why these intervals (see `paired_difference`): for right and wrong answers without groups 95 % is 93.0 to 96.9 % in
truth, summed exactly over 30 to 400 items and all shares from 0 to 0.3, once five items are expected to differ; with
fewer it is more, up to 100 %. Graded scores and groups were simulated (bench/intervals.py) to the same bounds, groups
from three of them on. Agresti and Min's "Wald + 2" fell to 87 % where items are only lost, and where every item has
another score to 80 %; Bonett and Price's rose to 99 % at 30 items; leaving out groups covered 50 to 90 % where they
matter.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clbench.core.graded import GradedItems, graded_items, side_by_side
from clbench.stats.effect import CROWD, LEAST, ClusterIds, clusters, common, design_effect, jackknifed
from clbench.stats.quantiles import t_quantile

Floats = NDArray[np.float64]
Scores = GradedItems | Sequence[float] | Floats
EXACT = 12  # up to 2^12 patterns of signs are counted one by one
BLOCK = 2**20  # signs drawn at a time: 8 MB
SWAPS = 1999  # draws where a rule must be computed anew for each: p is known to within 0.005 near 0.05


class Difference(NamedTuple):
    """A mean paired difference with its 95 % (or other) interval.

    Attributes:
        value: Mean of two - one, in [-1, 1] for scores in [0, 1].
        low: Lower end.
        high: Upper end.
        items: Pairs behind it.
    """

    value: float
    low: float
    high: float
    items: int


UNMEASURED = Difference(math.nan, math.nan, math.nan, 0)


def paired_difference(
    one: Scores,
    two: Scores,
    *,
    groups: Sequence[Hashable] | None = None,
    level: float = 0.95,
) -> Difference:
    """Return the score of `two` - that of `one` over the same items, with an interval.

    Where the score is the mean of the items, for right and wrong answers all D that Tango's score test does not refuse:

        |g - l - n D| / sqrt(e n (2 q(D) + D (1 - D))) <= z

    g and l are the items gained and lost and q(D) the most likely share of lost ones if D were true; e is 1, or with
    groups `design_effect`, and then t with its degrees stands for
    z. For graded scores, with D_c the sum over cluster c of n_c items (one each without groups):

        c +- t_{G-1} sqrt(G / (G-1) (sum_c (D_c - c n_c)^2 + 2 w r^2)) / (n + 2 w),   c = sum_c D_c / (n + 2 w)

    that is Student's with an item more at +r and one at -r, r the root mean square of the differences that are not 0,
    each of weight w, the share of those that are (or within `CROWD` of 0, if most are: where answers are worded
    anew, none that is lost may be among the items); or Tango's where that reaches further, with differences counted in
    units of sum d^2 / sum |d|, since few items that all fell show too little of how they vary. Groups of unequal size:
    `effect.jackknifed` and `effect.common`, t with their effective number. No interval has width 0, however equal the
    scores. Where an exam has a rule of its own (F1, BLEU), D are differences of the jackknife's pseudo-values
    (`GradedItems.units`).

    Args:
        one: Scores, in [0, 1], or `GradedItems`; a pair with NaN in it is left out.
        two: Scores of the same items; unequal lengths are a ValueError.
        groups: What each item belongs to, for example a document that several items ask about; None: nothing is shared.
        level: Confidence, in (0, 1).

    Source: Tango 1998, Statistics in Medicine 17; Bonett & Price 2012; Miller 2024, arXiv 2411.00640, for clusters.

    Example:
        >>> [round(v, 3) for v in paired_difference([1, 1, 0, 0] * 25, [1, 0, 0, 0] * 25)]
        [-0.25, -0.343, -0.175, 100]
    """
    first, second, cluster_ids = _pairs(one, two, groups)
    num = first.items
    if num == 0:
        return UNMEASURED
    value, tail = second.value - first.value, (1 + level) / 2
    if num == 1:
        return Difference(value, -1.0, 1.0, 1)
    low, high = _around(value, second.units() - first.units(), cluster_ids, first.is_mean, tail)
    return Difference(value, max(-1.0, low), min(1.0, high), num)


def _around(
    value: float, differences: Floats, cluster_ids: ClusterIds | None, mean: bool, tail: float
) -> tuple[float, float]:
    """Return both ends; see `paired_difference`."""
    unit, flips = _in_flips(differences)
    effect, freedom = design_effect(flips - flips.mean(), cluster_ids)
    # Student's wider tails allow for a variance that was estimated, which the score test does not do.
    edge = t_quantile(tail, freedom)
    low, high = (unit * end for end in _tango(flips, edge * math.sqrt(effect)))
    if mean and _is_binary(differences):
        return low, high
    centre, error = _padded(differences, cluster_ids, CROWD)
    width = t_quantile(tail, _freedom(differences, cluster_ids)) * error
    return min(low, centre - width, value), max(high, centre + width, value)


def mcnemar(gained: int, lost: int) -> float:
    """Return the exact two-sided p of McNemar's test of "as many items are gained as lost".

        min(1, 2 P(X <= min(gained, lost))),   X binomial(gained + lost, 1/2)

    In [0, 1]; 1 where nothing flipped. Source: McNemar 1947; exact form as in Fagerland et al. 2013.

    Example:
        >>> round(mcnemar(2, 10), 4), mcnemar(0, 0)
        (0.0386, 1.0)
    """
    from scipy.stats import binom

    return min(1.0, 2 * float(binom.cdf(min(gained, lost), gained + lost, 0.5))) if gained + lost else 1.0


def paired_permutation(
    one: Scores,
    two: Scores,
    *,
    groups: Sequence[Hashable] | None = None,
    draws: int = 9999,
    seed: int = 0,
) -> float:
    """Return the two-sided p of the permutation test that swaps the two sides.

        p = (number of patterns whose |difference| is at least the observed) / (number of patterns)

    Sides are swapped item by item, or cluster by cluster with groups: with G of them p is at least 2^(1 - G). Of a mean
    only the signs of the differences flip; for right and wrong answers without groups it is McNemar's exact test. Where
    an exam has a rule of its own, the rule is computed anew on the swapped grades, at most 1999 times ("approximate
    randomization"). Up to 12 that differ all patterns are counted; with more, `draws` of them are drawn from `seed`,
    and the observed one is counted among them.

    Args:
        one: Scores, in [0, 1], or `GradedItems`; a pair with NaN in it is left out.
        two: Scores of the same items; unequal lengths are a ValueError.
        groups: What each item belongs to.
        draws: Patterns drawn where there are too many to count.
        seed: Of the patterns.

    Returns:
        In (0, 1]; 1 where all differences are 0.

    Source: Fisher 1935; Noreen 1989 for scores that are not means; Phipson & Smyth 2010 for drawn permutations.

    Example:
        >>> paired_permutation([0, 0, 0, 1], [1, 1, 1, 1])
        0.25
    """
    first, second, cluster_ids = _pairs(one, two, groups)
    if not first.is_mean:
        return _swapped(first, second, cluster_ids, min(draws, SWAPS), seed)[0]
    differences = second.units() - first.units()
    sums = differences if cluster_ids is None else np.bincount(cluster_ids, weights=differences).astype(np.float64)
    sums = sums[sums != 0]
    if not len(sums):
        return 1.0
    if cluster_ids is None and _is_binary(sums):
        return mcnemar(int((sums > 0).sum()), int((sums < 0).sum()))
    return _flipped(sums, draws, seed)


def _flipped(sums: Floats, draws: int, seed: int) -> float:
    """Return the share of patterns of signs whose sum is as far from 0."""
    observed = abs(float(sums.sum())) * (1 - 1e-12)
    if len(sums) <= EXACT:
        bits = (np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums))) & 1
        return float((np.abs((2 * bits - 1) @ sums) >= observed).mean())
    generator, hits = np.random.default_rng(seed), 0
    step = max(1, BLOCK // len(sums))
    for start in range(0, draws, step):
        flips = generator.integers(0, 2, size=(min(step, draws - start), len(sums)), dtype=np.int8)
        hits += int((np.abs(sums.sum() - 2 * (flips @ sums)) >= observed).sum())
    return (1 + hits) / (1 + draws)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values, in the order given; NaN stays NaN and does not count in the family.

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


def drop_p(old: Scores, new: Scores, *, groups: Sequence[Hashable] | None = None, seed: int = 0) -> float:
    """Return the one-sided p of "the new scores are not lower than the old ones".

    For right and wrong answers without groups McNemar's mid-p: P(X < gained) + P(X = gained) / 2, X binomial(gained +
    lost, 1/2), which keeps its level and is less conservative than the exact test. Else Student's P(T <= s) with the
    statistic s of `paired_difference`. In [0, 1]; 1 where nothing differs, NaN where nothing was measured.

    Raises:
        ValueError: There are not as many new scores as old ones.

    Source: Fagerland, Lydersen & Laake 2013, "The McNemar test for binary matched-pairs data: mid-p and asymptotic are
    better than exact conditional", BMC Medical Research Methodology 13.

    Example:
        >>> round(drop_p([1] * 10 + [0] * 2, [0] * 10 + [1] * 2), 4)
        0.0112
    """
    from scipy.stats import binom

    first, second, cluster_ids = _pairs(old, new, groups)
    if not first.items:
        return math.nan
    if not first.is_mean and cluster_ids is None:
        return _swapped(first, second, None, SWAPS, seed)[1]
    differences = second.units() - first.units()
    if not differences.any():
        return 1.0
    gained, lost = int((differences > 0).sum()), int((differences < 0).sum())
    binary = first.is_mean and _is_binary(differences)
    if cluster_ids is None and binary:
        return float(binom.cdf(gained - 1, gained + lost, 0.5) + 0.5 * binom.pmf(gained, gained + lost, 0.5))
    return _student_p(differences, cluster_ids, binary) if len(differences) > 1 else 1.0


def _student_p(differences: Floats, cluster_ids: ClusterIds | None, binary: bool) -> float:
    """Return the one-sided p of a drop: of the score statistic with groups, Student's if graded; the larger."""
    from scipy.stats import t

    _, flips = _in_flips(differences)
    effect, freedom = design_effect(flips - flips.mean(), cluster_ids)
    score = float(t.cdf(flips.sum() / math.sqrt(np.abs(flips).sum() * effect), min(freedom, 1e9)))
    if binary:
        return score
    centre, error = _padded(differences, cluster_ids)
    plain = float(t.cdf(centre / error, _freedom(differences, cluster_ids)))
    return plain if cluster_ids is None else max(plain, score)


def discordant(one: Scores, two: Scores, *, groups: Sequence[Hashable] | None = None) -> float:
    """Return the mean square of the items' differences, with groups times the design effect: `power.items_needed`'s p.

    For right and wrong answers without groups the share that one side has right and the other wrong. NaN without items.
    """
    first, second, cluster_ids = _pairs(one, two, groups)
    if not first.items:
        return math.nan
    differences = second.units() - first.units()
    return float((differences**2).mean()) * design_effect(differences - differences.mean(), cluster_ids)[0]


def _pairs(
    one: Scores, two: Scores, groups: Sequence[Hashable] | None
) -> tuple[GradedItems, GradedItems, ClusterIds | None]:
    """Return the items that are graded on both sides, for each side, and the cluster of each item."""
    first, second = graded_items(one), graded_items(two)
    if first.items != second.items:
        raise ValueError(f"{first.items} and {second.items} scores do not pair up: give both of the same items")
    cluster_ids = clusters(groups, first.items)
    there = first.known & second.known
    if cluster_ids is not None:  # numbered anew: a cluster may have lost all its items
        cluster_ids = clusters(cluster_ids[there].tolist(), int(there.sum()))
    return first.only(there), second.only(there), cluster_ids


def _swapped(
    one: GradedItems, two: GradedItems, cluster_ids: ClusterIds | None, draws: int, seed: int
) -> tuple[float, float]:
    """Return (two-sided p, one-sided p of a drop) of swapping the sides of whole clusters and applying the rule."""
    if not one.items:
        return 1.0, math.nan
    differ = np.any(_grades_differ(one, two), axis=0)
    own = np.arange(one.items) if cluster_ids is None else cluster_ids
    active = np.unique(own[differ])
    if not len(active):
        return 1.0, 1.0
    every = len(active) <= EXACT
    if every:
        flips = ((np.arange(2 ** len(active))[:, None] >> np.arange(len(active))) & 1).astype(np.float64)
    else:
        flips = np.random.default_rng(seed).integers(0, 2, size=(draws, len(active))).astype(np.float64)
    by_cluster = np.zeros((len(flips), int(own.max()) + 1))
    by_cluster[:, active] = flips
    swap = by_cluster[:, own]
    both = side_by_side(one, two)
    gaps = both.drawn(np.hstack([swap, 1 - swap])) - both.drawn(np.hstack([1 - swap, swap]))
    observed = two.value - one.value
    hits = int((np.abs(gaps) >= abs(observed) - 1e-12).sum()), int((gaps <= observed + 1e-12).sum())
    if every:
        return hits[0] / len(flips), hits[1] / len(flips)
    return (1 + hits[0]) / (1 + len(flips)), (1 + hits[1]) / (1 + len(flips))


def _grades_differ(one: GradedItems, two: GradedItems) -> NDArray[np.bool_]:
    """Return which items have other scores or parts on the two sides, shape (pairs of rows, items)."""
    found: list[NDArray[np.bool_]] = []
    for row, other in itertools.product(range(len(one.scores)), range(len(two.scores))):
        mine, theirs = one.parts_of(row), two.parts_of(other)
        parts = [a != b for a, b in zip(mine, theirs, strict=True)] if mine else False
        found.append((one.scores[row] != two.scores[other]) | parts)
    return np.array(found)


def _is_binary(differences: Floats) -> bool:
    return bool(np.isin(differences, (-1.0, 0.0, 1.0)).all())


def _in_flips(differences: Floats) -> tuple[float, Floats]:
    """Return a unit and the differences in it, whose sum and sum of squares are then those of whole flips.

        unit = sum d^2 / sum |d|

    Right and wrong answers have unit 1.
    """
    size = float(np.abs(differences).sum())
    unit = float((differences**2).sum()) / size if size else 1.0
    return unit, differences / unit


def _freedom(differences: Floats, cluster_ids: ClusterIds | None) -> float:
    return len(differences) - 1 if cluster_ids is None else max(1.0, common(differences, cluster_ids)[1] - 1)


def _padded(differences: Floats, cluster_ids: ClusterIds | None, crowd: float = 0.0) -> tuple[float, float]:
    """Return centre and standard error of the mean difference, with the two extra items of `paired_difference`."""
    own = np.arange(len(differences)) if cluster_ids is None else cluster_ids
    same = np.abs(differences) <= crowd
    # Where most answers are worded anew, they show as little of what a lost item loses as equal ones do.
    differ = differences[~same] if same.mean() > 0.5 else differences[differences != 0]
    weight = 1.0 if np.ptp(differences) == 0 else 1 - len(differ) / len(differences)
    # Where nothing differs, one item may still turn from wrong to right.
    size = float((differ**2).mean()) if len(differ) else 1.0
    total = len(differences) + 2 * weight
    centre = float(differences.sum()) / total
    apart = differences - centre
    groups = int(own.max()) + 1
    least = max(LEAST * float((apart**2).sum()) * groups / (groups - 1), jackknifed(apart, own), common(apart, own)[0])
    return centre, math.sqrt(least + 2 * weight * size * groups / (groups - 1)) / total


def _tango(flips: Floats, edge: float) -> tuple[float, float]:
    """Return the two values at which the score statistic reaches `edge`."""
    gained, lost, num = float(flips[flips > 0].sum()), float(-flips[flips < 0].sum()), len(flips)

    def refused(value: float) -> bool:
        linear = (2 * num - gained + lost) * value - gained - lost
        root = math.sqrt(max(linear**2 + 8 * num * lost * value * (1 - value), 0.0))
        variance = num * ((root - linear) / (2 * num) + value * (1 - value))
        return (gained - lost - num * value) ** 2 > edge**2 * max(variance, 0.0)

    def end(outside: float) -> float:
        inside = (gained - lost) / num
        for _ in range(50):
            middle = (inside + outside) / 2
            inside, outside = (inside, middle) if refused(middle) else (middle, outside)
        return inside

    return end(-1.0), end(1.0)
