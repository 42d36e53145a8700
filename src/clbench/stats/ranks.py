"""Ranks of methods over seeds, orders or tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clbench.stats.effect import UNSEEN


def rank_intervals(
    scores: NDArray[np.float64], *, higher: bool = True, level: float = 0.95
) -> list[tuple[float, float, float]]:
    """Return (mean rank, low, high) of every method; rank 1 is best.

    Methods are ranked in each block, ties get the mean of their ranks. The interval is Student's over the B blocks, of
    variance s^2 / B and, while ranks hardly differ from block to block, that of one block with a rank's difference
    (1 / B)^2: three equal ranks are not certain. One block tells nothing about another: low and high are then 1 and
    the number of methods.

    Args:
        scores: Shape (methods, blocks); NaN ranks last.
        higher: Whether a higher score is better.
        level: Confidence, in (0, 1).

    Source: average ranks as in Demsar 2006, "Statistical comparisons of classifiers over multiple data sets"; Student
    1908; Satterthwaite 1946 for the degrees of freedom.

    Example:
        >>> [[round(v, 2) for v in each] for each in rank_intervals(np.array([[0.9, 0.8, 0.9], [0.5, 0.6, 0.7]]))]
        [[1.0, 1.0, 1.65], [2.0, 1.35, 2.0]]
    """
    from scipy.stats import t

    methods, blocks = scores.shape
    ranks = _ranks(scores, higher)
    means = ranks.mean(axis=1)
    if blocks == 1:
        return [(float(m), 1.0, float(methods)) for m in means]
    squares = ((ranks - means[:, None]) ** 2).sum(axis=1)
    seen = squares / (blocks - 1) / blocks
    total = seen + UNSEEN / (UNSEEN + squares) / blocks**2
    freedom = (blocks - 1) * (total / np.maximum(seen, 1e-12)) ** 2
    half = t.ppf((1 + level) / 2, np.minimum(freedom, 1e6)) * np.sqrt(total)
    return [
        (float(m), max(1.0, float(m - h)), min(float(methods), float(m + h))) for m, h in zip(means, half, strict=True)
    ]


@dataclass(frozen=True)
class RankTest:
    """Whether methods differ in rank, and by how much mean ranks must differ.

    Attributes:
        ranks: Mean rank of every method; 1 is best.
        blocks: Number of blocks.
        chi2: Friedman's statistic, k - 1 degrees of freedom.
        f: Iman and Davenport's form of it, k - 1 and (k - 1)(blocks - 1) degrees; infinity if all blocks agree.
        p: Of f: that no method differs from another.
        difference: Nemenyi's critical difference: mean ranks further apart differ.
    """

    ranks: tuple[float, ...]
    blocks: int
    chi2: float
    f: float
    p: float
    difference: float


def friedman(scores: NDArray[np.float64], *, higher: bool = True, level: float = 0.95) -> RankTest:
    """Return Friedman's test of k methods over N blocks, with Nemenyi's critical difference.

        chi2 = 12 N / (k (k + 1)) (sum_j R_j^2 - k (k + 1)^2 / 4),   F = (N - 1) chi2 / (N (k - 1) - chi2)
        CD = q sqrt(k (k + 1) / (6 N)),   q the studentised range of k methods at `level`, divided by sqrt(2)

    Ties get the mean of their ranks, and chi2 is not corrected for them, which is on the safe side. Blocks are taken as
    independent: several tasks of one run, or seeds of one task, are less than that, and p is then too small.

    Args:
        scores: Shape (methods, blocks), two or more of each; NaN ranks last.
        higher: Whether a higher score is better.
        level: Confidence, in (0, 1).

    Source: Demsar 2006, "Statistical comparisons of classifiers over multiple data sets", JMLR 7; Iman & Davenport
    1980; Nemenyi 1963.

    Example:
        >>> found = friedman(np.array([[0.9, 0.8, 0.9], [0.5, 0.6, 0.7], [0.1, 0.7, 0.2]]))
        >>> round(found.chi2, 2), round(found.difference, 2)
        (4.67, 1.91)
    """
    from scipy.stats import f as f_distribution
    from scipy.stats import studentized_range

    methods, blocks = scores.shape
    means = _ranks(scores, higher).mean(axis=1)
    chi2 = 12 * blocks / (methods * (methods + 1)) * float((means**2).sum() - methods * (methods + 1) ** 2 / 4)
    left = blocks * (methods - 1) - chi2
    statistic = (blocks - 1) * chi2 / left if left > 1e-9 else math.inf
    p = float(f_distribution.sf(statistic, methods - 1, (methods - 1) * (blocks - 1)))
    quantile = float(studentized_range.ppf(level, methods, np.inf)) / math.sqrt(2)
    difference = quantile * math.sqrt(methods * (methods + 1) / (6 * blocks))
    return RankTest(tuple(means.tolist()), blocks, chi2, statistic, p, difference)


def _ranks(scores: NDArray[np.float64], higher: bool) -> NDArray[np.float64]:
    """Return the rank of every method in every block, shape (methods, blocks); ties get the mean of their ranks."""
    from scipy.stats import rankdata

    worth = np.where(np.isnan(scores), -np.inf, scores if higher else -scores)
    return np.asarray(rankdata(-worth, axis=0), dtype=np.float64)


def alike(ranks: Sequence[float], difference: float) -> list[tuple[int, int]]:
    """Return the largest sets of methods whose mean ranks lie within the critical difference.

    Args:
        ranks: Mean ranks, best first.
        difference: The critical difference.

    Returns:
        (first, last) of every set of two or more, by place in `ranks`; none lies within another.

    Example:
        >>> alike([1.2, 2.0, 2.5, 4.1], 1.0)
        [(0, 1), (1, 2)]
    """
    found: list[tuple[int, int]] = []
    for first, best in enumerate(ranks):
        last = max(place for place, rank in enumerate(ranks) if rank - best <= difference)
        if last > first and not (found and found[-1][1] >= last):
            found.append((first, last))
    return found


def ranks_allowed(values: Sequence[float], differ: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the ranks that each method may have, (best, worst), given which pairs were found to differ.

    A method is placed below those that are better and differ from it, and above those that are worse and differ. If
    tests keep a family-wise level (Holm), so do all intervals together. Rank 1 is best.

    Args:
        values: One per method; higher is better.
        differ: Shape (methods, methods), symmetric.

    Source: Mogstad, Romano, Shaikh & Wilhelm 2024, "Inference for ranks with applications to mobility across
    neighbourhoods and academic achievement across countries", Review of Economic Studies 91.

    Example:
        >>> ranks_allowed([0.9, 0.8, 0.1], np.array([[0, 0, 1], [0, 0, 1], [1, 1, 0]], dtype=bool))
        [(1, 2), (1, 2), (3, 3)]
    """
    num = len(values)
    better = [sum(bool(differ[i, j]) and values[j] > values[i] for j in range(num)) for i in range(num)]
    worse = [sum(bool(differ[i, j]) and values[j] < values[i] for j in range(num)) for i in range(num)]
    return [(1 + up, num - down) for up, down in zip(better, worse, strict=True)]
