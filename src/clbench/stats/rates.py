"""Shares of tasks that pass: of several trials, of a part of their rubrics, and with answers that nobody judged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Bounds(NamedTuple):
    """What a rate is if all that was not judged fails, and if all of it passes."""

    low: float
    high: float


def bounds(passed: int, unjudged: int, total: int) -> Bounds:
    """Return the rate with everything that was not judged failed, and with all of it passed; NaN of nothing.

    Source: Manski 1989, "Anatomy of the selection problem" (bounds without any assumption about what is missing).

    Example:
        >>> [round(v, 4) for v in bounds(3, 2, 7)]
        [0.4286, 0.7143]
    """
    if not total:
        return Bounds(math.nan, math.nan)
    return Bounds(passed / total, (passed + unjudged) / total)


def mean_and_deviation(rates: Sequence[float]) -> tuple[float, float]:
    """Return the mean of the trials' rates and their standard deviation (n - 1); NaN for a single trial.

    Example:
        >>> mean_and_deviation([0.25, 0.75])[0], mean_and_deviation([0.5])
        (0.5, (0.5, nan))
    """
    if not len(rates):
        return math.nan, math.nan
    return float(np.mean(rates)), float(np.std(rates, ddof=1)) if len(rates) > 1 else math.nan


def pass_at_k(passed: int, trials: int, k: int) -> float:
    """Return the probability that at least one of k trials passes, estimated without bias from `trials` of them.

        1 - C(n - c, k) / C(n, k)

    Source: Chen et al. 2021, "Evaluating large language models trained on code", arXiv 2107.03374.

    Example:
        >>> pass_at_k(1, 4, 2)
        0.5
    """
    _fits(passed, trials, k)
    return 1 - math.comb(trials - passed, k) / math.comb(trials, k)


def pass_hat_k(passed: int, trials: int, k: int) -> float:
    """Return the probability that all of k trials pass, estimated without bias from `trials` of them.

        C(c, k) / C(n, k)

    Source: Yao et al. 2024, "tau-bench", arXiv 2406.12045 (pass^k).

    Example:
        >>> pass_hat_k(3, 4, 2)
        0.5
    """
    _fits(passed, trials, k)
    return math.comb(passed, k) / math.comb(trials, k)


def _fits(passed: int, trials: int, k: int) -> None:
    if not 0 <= passed <= trials or not 1 <= k <= trials:
        raise ValueError(f"{passed} of {trials} trials passed, and k = {k}: give 0 <= passed <= trials and k in 1..n")


def threshold_curve(met: Floats, total: Floats, thresholds: Sequence[int]) -> list[float]:
    """Return the share of answers that meet at least so many percent of their rubrics, for every threshold.

    Args:
        met: Rubrics met by each answer.
        total: Rubrics of each; an answer without rubrics meets no threshold.
        thresholds: Whole percents, 1 to 100.

    Example:
        >>> threshold_curve(np.array([9.0, 10.0]), np.array([10.0, 10.0]), [100, 90])
        [0.5, 1.0]
    """
    if not len(total):
        return [math.nan for _ in thresholds]
    # In whole numbers: 0.7 * 10 is not 7 in floating point.
    return [float(((total > 0) & (met * 100 >= total * t)).mean()) for t in thresholds]
