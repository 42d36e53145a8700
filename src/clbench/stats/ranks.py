"""Ranks of methods over seeds, orders or tasks."""

from __future__ import annotations

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
    from scipy.stats import rankdata, t

    methods, blocks = scores.shape
    worth = np.where(np.isnan(scores), -np.inf, scores if higher else -scores)
    ranks = np.asarray(rankdata(-worth, axis=0), dtype=np.float64)
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
