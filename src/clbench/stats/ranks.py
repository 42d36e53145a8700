"""Ranks of methods over seeds, orders or tasks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def rank_intervals(
    scores: NDArray[np.float64], *, higher: bool = True, draws: int = 2000, level: float = 0.95, seed: int = 0
) -> list[tuple[float, float, float]]:
    """Give (mean rank, low, high) of every method; rank 1 is best.

    Methods are ranked in each block, ties get the mean of their ranks, and blocks are drawn with replacement for the
    interval (percentiles). One block tells nothing about another: low and high are then 1 and the number of methods.

    Args:
        scores: Shape (methods, blocks); NaN ranks last.
        higher: Whether more is better.
        draws: Bootstrap samples.
        level: Confidence, in (0, 1).
        seed: Of the samples.

    Source: average ranks as in Demsar 2006, "Statistical comparisons of classifiers over multiple data sets"; Efron
    1979 for the interval.

    Example:
        >>> rank_intervals(np.array([[0.9, 0.8, 0.9], [0.5, 0.6, 0.7]]))
        [(1.0, 1.0, 1.0), (2.0, 2.0, 2.0)]
    """
    from scipy.stats import rankdata

    methods, blocks = scores.shape
    worth = np.where(np.isnan(scores), -np.inf, scores if higher else -scores)
    ranks = np.asarray(rankdata(-worth, axis=0), dtype=np.float64)
    means = ranks.mean(axis=1)
    if blocks == 1:
        return [(float(m), 1.0, float(methods)) for m in means]
    chosen = np.random.default_rng(seed).integers(0, blocks, size=(draws, blocks))
    drawn = ranks[:, chosen].mean(axis=2)
    low, high = np.percentile(drawn, [50 * (1 - level), 50 * (1 + level)], axis=1)
    return [(float(m), float(a), float(b)) for m, a, b in zip(means, low, high, strict=True)]
