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
