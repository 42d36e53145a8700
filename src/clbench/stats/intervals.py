"""Intervals over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def half_width(values: Sequence[float], level: float = 0.95) -> float:
    """Give half the width of Student's t interval for the mean of independent values.

        t_{(1 + level) / 2, n - 1} * s / sqrt(n),   s with n - 1

    Args:
        values: One per seed; NaN makes the result NaN.
        level: Confidence, in (0, 1).

    Returns:
        >= 0 in the unit of the values; NaN for fewer than two.

    Source: Student 1908, "The probable error of a mean". With two or three seeds it is wide, and so is our ignorance.

    Example:
        >>> round(half_width([0.5, 0.6, 0.7]), 4), half_width([0.5])
        (0.2484, nan)
    """
    if len(values) < 2:
        return math.nan
    from scipy.stats import t

    quantile = float(t.ppf((1 + level) / 2, len(values) - 1))
    return quantile * float(np.std(values, ddof=1)) / math.sqrt(len(values))


def wilson(score: float | None, num: int, level: float = 0.95) -> tuple[float | None, float | None]:
    """Give Wilson's interval for the mean of `num` scores in [0, 1].

        (s + z^2 / 2n +- z sqrt(s (1 - s) / n + z^2 / 4n^2)) / (1 + z^2 / n)

    Exact in form for scores of 0 and 1, and on the safe side for those between, whose variance is smaller.

    Args:
        score: The mean; None where nothing could be marked.
        num: Items behind it, >= 0.
        level: Confidence, in (0, 1).

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22(158).

    Example:
        >>> [round(v, 3) for v in wilson(0.5, 10)], wilson(None, 0)
        ([0.237, 0.763], (None, None))
    """
    if score is None or num == 0:
        return None, None
    from scipy.stats import norm

    z = float(norm.ppf((1 + level) / 2))
    middle = score + z * z / (2 * num)
    spread = z * math.sqrt(score * (1 - score) / num + z * z / (4 * num * num))
    whole = 1 + z * z / num
    return (middle - spread) / whole, (middle + spread) / whole
