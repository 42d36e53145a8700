"""Standard errors over seeds and orders, and intervals of shares."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from clbench.stats.quantiles import f_median, normal_quantile

Block = tuple[Hashable, Hashable]  # of a run: the order of its tasks, and its seed


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


def error_over(values: Sequence[float], blocks: Sequence[Block] = ()) -> tuple[float, float]:
    """Return the standard error of the mean of runs, and its degrees of freedom.

    Runs of one order of the tasks are alike, and so are runs of one seed, so n runs of a orders x b seeds are worth
    fewer than n. With MS_o, MS_s and MS_e the mean squares of orders, of seeds and of what neither explains, an effect
    is taken for there if its MS / MS_e is above the median of its F distribution. Then SE^2 n and its degrees are

        max(MS_o + MS_s - MS_e, MS_o, MS_s), by Satterthwaite,     if both are there;
        MS_o with a - 1, or MS_s with b - 1,                       if one is;
        s^2 of all runs with n - 1,                                if neither is, and for runs of one order

    The first alone would be right, and needlessly wide where nothing of it matters: a quantile of Student's t with two
    degrees is 4.3. Of 95 % intervals over 3 orders x 5 seeds made so, 94 to 99 % hold the mean, whatever shares of the
    variance orders and seeds have (`bench/intervals.py`). Where a run of the grid lacks, the means of the orders are
    the sample.

    Args:
        values: One per run; NaN makes the error NaN.
        blocks: Order of the tasks and seed of each run; empty if all are of one order.

    Returns:
        (NaN, 1) for fewer than two runs.

    Source: Bozivich, Bancroft & Hartley 1956, "Power of analysis of variance test procedures for certain incompletely
    specified models", for pooling by a preliminary test, whose level should not be small; Satterthwaite 1946.

    Example:
        >>> error, freedom = error_over([0.1, 0.2, 0.5, 0.6], [("ab", 0), ("ab", 1), ("ba", 0), ("ba", 1)])
        >>> round(error, 4), round(freedom, 2)
        (0.2062, 1.12)
    """
    num = len(values)
    if num < 2:
        return math.nan, 1
    orders, seeds = ([*dict.fromkeys(part)] for part in zip(*blocks, strict=True)) if blocks else ([], [])
    found = dict(zip(blocks, values, strict=True)) if blocks else {}
    if len(orders) < 2:
        return float(np.std(values, ddof=1)) / math.sqrt(num), num - 1
    if len(seeds) > 1 and len(found) == num == len(orders) * len(seeds):
        return _crossed(np.array([[found[order, seed] for seed in seeds] for order in orders]))
    means = [np.mean([v for v, (order, _) in zip(values, blocks, strict=True) if order == one]) for one in orders]
    return float(np.std(means, ddof=1)) / math.sqrt(len(means)), len(means) - 1


def _crossed(table_OS: NDArray[np.float64]) -> tuple[float, float]:
    """Return the standard error of the mean of a table, orders x seeds, and its degrees of freedom (`error_over`)."""
    a, b = table_OS.shape
    mean, of_order, of_seed = table_OS.mean(), table_OS.mean(1), table_OS.mean(0)
    rest = float(((table_OS - of_order[:, None] - of_seed + mean) ** 2).sum()) / ((a - 1) * (b - 1))
    found = [(b * float(of_order.var(ddof=1)), a - 1), (a * float(of_seed.var(ddof=1)), b - 1)]
    there = [(ms, n) for ms, n in found if ms > rest * f_median(n, (a - 1) * (b - 1))]
    if not there:
        return float(table_OS.std(ddof=1)) / math.sqrt(a * b), a * b - 1
    if len(there) == 1:
        ((square, freedom),) = there
        return math.sqrt(square / (a * b)), freedom
    square = max(sum(ms for ms, _ in there) - rest, *(ms for ms, _ in there))
    below = sum(ms**2 / n for ms, n in [*there, (rest, (a - 1) * (b - 1))])
    return math.sqrt(square / (a * b)), max(square**2 / below, 1)


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
