"""Standard errors over seeds and orders, and intervals of shares."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from clbench.stats.quantiles import f_median, normal_quantile


def shares_of(num: int, orders: Sequence[Hashable] = ()) -> NDArray[np.float64]:
    """Return what each of `num` runs counts for in a mean where every order of the tasks counts alike; they sum to 1.

    Example:
        >>> shares_of(3, ["ab", "ab", "ba"]).tolist()
        [0.25, 0.25, 0.5]
    """
    counts = Counter(orders)
    return (
        np.array([1 / (len(counts) * counts[order]) for order in orders]) if counts else np.full(num, 1 / max(num, 1))
    )


def error_over(values: Sequence[float], orders: Sequence[Hashable] = ()) -> tuple[float, float]:
    """Return the standard error of the mean of runs, and its degrees of freedom.

    Runs of one order of the tasks are alike, so n runs of a orders are worth fewer than n. With MS_o and MS_w the mean
    squares between and within orders:

        SE^2 = MS_o / n with a - 1 degrees,   if MS_o / MS_w is above the median of its F distribution;
        SE^2 = s^2 / n with n - 1 degrees,    else, and for runs of one order

    The first alone would be exact, and needlessly wide where orders do not matter: a quantile of Student's t with two
    degrees is 4.3. Of 95 % intervals over 3 orders x 5 seeds made so, 94 to 98 % hold the mean, whatever share of the
    variance orders have (`bench/intervals.py`). Where orders have unequal numbers of runs, their means count alike.

    Args:
        values: One per run; NaN makes the error NaN.
        orders: The order of the tasks in each run; empty if it is one.

    Returns:
        (NaN, 1) for fewer than two runs.

    Source: Bozivich, Bancroft & Hartley 1956, "Power of analysis of variance test procedures for certain incompletely
    specified models": pooling by a preliminary test, whose level should not be small.

    Example:
        >>> error, freedom = error_over([0.1, 0.2, 0.5, 0.6], ["ab", "ab", "ba", "ba"])
        >>> round(error, 4), freedom
        (0.2, 1)
    """
    num = len(values)
    found = [
        np.array([v for v, order in zip(values, orders, strict=True) if order == one]) for one in dict.fromkeys(orders)
    ]
    if num < 2:
        return math.nan, 1
    pooled = float(np.std(values, ddof=1)) / math.sqrt(num), num - 1
    if len(found) < 2:
        return pooled
    means = np.array([own.mean() for own in found])
    between = float(means.std(ddof=1)) / math.sqrt(len(found)), len(found) - 1
    if num == len(found) or len({len(own) for own in found}) > 1:
        return between
    within = float(np.mean([own.var(ddof=1) for own in found]))
    ratio = len(found[0]) * float(means.var(ddof=1)) / within if within else math.inf
    return between if ratio > f_median(len(found) - 1, num - len(found)) else pooled


def wilson(score: float | None, num: int, level: float = 0.95) -> tuple[float | None, float | None]:
    """Return Wilson's interval for the mean of `num` scores in [0, 1].

        (s + z^2 / 2n +- z sqrt(s (1 - s) / n + z^2 / 4n^2)) / (1 + z^2 / n)

    Exact in form for scores of 0 and 1, and on the safe side for those between, whose variance is smaller.

    Args:
        score: The mean; None where nothing could be graded.
        num: Items behind it, >= 0.
        level: Confidence, in (0, 1).

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22(158).

    Example:
        >>> [round(v, 3) for v in wilson(0.5, 10)], wilson(None, 0)
        ([0.237, 0.763], (None, None))
    """
    if score is None or num == 0:
        return None, None

    return wilson_at(score, num, normal_quantile((1 + level) / 2))


def wilson_at(score: float, num: float, edge: float) -> tuple[float, float]:
    """Return Wilson's interval for a share, with `edge` for z and a number of items that need not be whole, > 0."""
    middle = score + edge * edge / (2 * num)
    spread = edge * math.sqrt(score * (1 - score) / num + edge * edge / (4 * num * num))
    scale = 1 + edge * edge / num
    return (middle - spread) / scale, (middle + spread) / scale


def newcombe(one: float, num_one: int, two: float, num_two: int, level: float = 0.95) -> tuple[float, float]:
    """Return Newcombe's interval for the difference `one` - `two` of two independent shares.

        d - sqrt((p1 - l1)^2 + (u2 - p2)^2)  to  d + sqrt((u1 - p1)^2 + (p2 - l2)^2),   l, u Wilson's bounds

    Args:
        one: A share in [0, 1]; NaN gives NaN.
        num_one: Items behind it; 0 gives NaN.
        two: The other share.
        num_two: Items behind that.
        level: Confidence, in (0, 1).

    Source: Newcombe 1998, "Interval estimation for the difference between independent proportions", Statistics in
    Medicine 17, method 10.

    Example:
        >>> [round(v, 4) for v in newcombe(56 / 70, 70, 48 / 80, 80)]
        [0.0524, 0.3339]
    """
    if math.isnan(one + two) or not num_one or not num_two:
        return math.nan, math.nan
    low_1, high_1 = (float(v) for v in wilson(one, num_one, level) if v is not None)
    low_2, high_2 = (float(v) for v in wilson(two, num_two, level) if v is not None)
    down = math.sqrt((one - low_1) ** 2 + (high_2 - two) ** 2)
    up = math.sqrt((high_1 - one) ** 2 + (two - low_2) ** 2)
    return one - two - down, one - two + up


def risk_ratio(one: float, num_one: int, two: float, num_two: int, level: float = 0.95) -> tuple[float, float, float]:
    """Return `one` / `two` of two independent shares with Katz's interval on the logarithm.

        ln(p1 / p2) +- z sqrt(1/x1 - 1/n1 + 1/x2 - 1/n2),   x = n p

    Where `one` is 0, half an item stands for it in the interval.

    Returns:
        (ratio, low, high); NaN where `two` is 0 or something is not measured.

    Source: Katz et al. 1978, "Obtaining confidence intervals for the risk ratio in cohort studies", Biometrics 34.

    Example:
        >>> [round(v, 3) for v in risk_ratio(0.5, 100, 0.8, 100)]
        [0.625, 0.502, 0.778]
    """
    if math.isnan(one + two) or two == 0 or not num_one or not num_two:
        return math.nan, math.nan, math.nan

    hits_1, hits_2 = max(one * num_one, 0.5), two * num_two
    middle = math.log(hits_1 / num_one / two)
    width = normal_quantile((1 + level) / 2) * math.sqrt(1 / hits_1 - 1 / num_one + 1 / hits_2 - 1 / num_two)
    return one / two, min(one / two, math.exp(middle - width)), math.exp(middle + width)


def ratio_ends(holds: Callable[[float], bool], ratio: float, most: float) -> tuple[float, float]:
    """Return the smallest and the largest ratio that a test does not reject.

    Args:
        holds: Whether two - r one = 0 can be true; true at `ratio`.
        ratio: The observed ratio, >= 0.
        most: No ratio can be larger.

    Source: Fieller 1954, "Some problems in interval estimation": a ratio without dividing.

    Example:
        >>> [round(v, 3) for v in ratio_ends(lambda r: abs(r - 0.5) <= 0.1, 0.5, 2.0)]
        [0.4, 0.6]
    """

    def end(outside: float) -> float:
        if holds(outside):
            return outside
        inside = ratio
        for _ in range(20):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if holds(middle) else (inside, middle)
        return inside

    return end(0.0), end(max(most, ratio))
