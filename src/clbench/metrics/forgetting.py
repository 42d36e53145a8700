"""Forgetting and its relatives; every variant has its own name, since libraries disagree about the word."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from clbench.core.matrix import Matrix
from clbench.core.protocols import MetricPlugin
from clbench.metrics._shape import at, best, mean, own, past


def forgetting(matrix: Matrix) -> float:
    """How far each earlier task has fallen from its best (FM, the headline): positive = forgot.

    FM = (1/|P|) sum_{i in P} (max_{t_i <= l <= T-1} R[l, i] - R[T, i]), P the tasks taught before the last lesson.
    In [-1, 1], lower is better; negative where a task still improved. NaN for T = 1. The maximum is over the cells that
    were due, so under a budget it comes out too small, never too large.
    Source: Chaudhry et al. 2018, "Riemannian Walk", eq. 3.
    """
    last = matrix.num_lessons
    return mean([best(matrix.values[taught:last, i]) - at(matrix, last, i) for i, taught in past(matrix)])


def forgetting_first_last(matrix: Matrix) -> float:
    """First score minus last score of each earlier task: positive = forgot; minus `bwt`.

    (1/|P|) sum_{i in P} (R[t_i, i] - R[T, i]). In [-1, 1], lower is better. Source: avalanche's Forgetting.
    """
    return -bwt(matrix)


def forgetting_max_any(matrix: Matrix) -> float:
    """Best score over all rows, the untouched model and the last row included, minus the last: positive = forgot.

    (1/|P|) sum_{i in P} (max_{0 <= l <= T} R[l, i] - R[T, i]). In [0, 1], lower is better.
    Source: mammoth's forgetting, which has no row 0: with it, the untouched model's score counts as known too.
    """
    return mean([best(matrix.values[:, i]) - at(matrix, matrix.num_lessons, i) for i, _ in past(matrix)])


def forgetting_rate(matrix: Matrix) -> float:
    """Forgetting as a share of what was known, in percent: positive = forgot.

    (100/|P|) sum_{i in P} (m_i - R[T, i]) / m_i, m_i = max_{t_i <= l <= T-1} R[l, i]. At most 100, lower is better;
    NaN if a task was never known at all. Source: relative form of Chaudhry et al. 2018, eq. 3.
    """
    last = matrix.num_lessons
    rates: list[float] = []
    for i, taught in past(matrix):
        known = best(matrix.values[taught:last, i])
        rates.append(100 * (known - at(matrix, last, i)) / known if known else math.nan)
    return mean(rates)


def bwt(matrix: Matrix) -> float:
    """Backward transfer: what later lessons did to earlier tasks; negative = forgot.

    BWT = (1/|P|) sum_{i in P} (R[T, i] - R[t_i, i]). In [-1, 1], higher is better. NaN for T = 1.
    Source: Lopez-Paz & Ranzato 2017 (GEM).
    """
    last = matrix.num_lessons
    return mean([at(matrix, last, i) - at(matrix, taught, i) for i, taught in past(matrix)])


def bwt_all_pairs(matrix: Matrix) -> float:
    """Backward transfer averaged over all later rows, not only the last; negative = forgot.

    sum_{k > t_i} (R[k, i] - R[t_i, i]) / number of such cells. In [-1, 1], higher is better.
    Source: Diaz-Rodriguez et al. 2018.
    """
    rows = range(matrix.num_lessons + 1)
    return mean([at(matrix, k, i) - at(matrix, taught, i) for i, taught in past(matrix) for k in rows if k > taught])


def worst_retention(matrix: Matrix) -> float:
    """Share that is left of the task that was forgotten most (WR).

    WR = min_{i in P} R[T, i] / R[t_i, i]. At least 0, 1 is kept whole, higher is better;
    NaN where a task was never learnt.
    Source: worst-case form of retention, as in De Lange et al. 2023 (minimum accuracy).
    """
    last = matrix.num_lessons
    kept = [at(matrix, last, i) / at(matrix, t, i) if at(matrix, t, i) else math.nan for i, t in past(matrix)]
    return math.nan if not kept or any(math.isnan(k) for k in kept) else min(kept)


def fluctuation(matrix: Matrix) -> float:
    """How much scores move after their lesson (FL, within a run).

    FL = mean over the tasks taught before the last lesson of the (population) standard deviation of R[k, i] over
    k >= t_i. In [0, 0.5], lower is better. Over seeds and orders the report gives the standard deviation of AP instead.
    Source: this benchmark.
    """
    return mean([float(np.std(matrix.values[taught:, i])) for i, taught in past(matrix)])


def retention_by_distance(matrix: Matrix) -> dict[int, float]:
    """Return the mean of R[t_i + d, i] / R[t_i, i] by the number d of lessons since.

    Cells that were not measured are left out of a distance; a distance without any is absent.
    """
    ratios: dict[int, list[float]] = {}
    for i, taught in own(matrix):
        first = at(matrix, taught, i)
        for k in range(taught, matrix.num_lessons + 1):
            value = at(matrix, k, i)
            if first and not math.isnan(first + value):
                ratios.setdefault(k - taught, []).append(value / first)
    return {d: mean(values) for d, values in sorted(ratios.items())}


def retention_half_life(matrix: Matrix) -> float:
    """How many later lessons leave half of what was learnt.

    The h that minimises sum (R[t_i + d, i] / R[t_i, i] - 2^(-d / h))^2 over all tasks i and measured distances d >= 1.
    At least 0, higher is better; 0 where the next lesson left nothing, NaN where nothing was lost, or nothing was
    measured after its lesson.
    Source: exponential forgetting curve (Ebbinghaus 1885), fitted by least squares.
    """
    return _half_life([point for points in _retentions(matrix).values() for point in points])


def half_life_interval(matrix: Matrix) -> tuple[float, float]:
    """Return a 95 % interval of `retention_half_life`: the jackknife over tasks, on ln h; NaN for fewer than 3 tasks.

    Source: Efron & Tibshirani 1993, "An Introduction to the Bootstrap", eq. 11.5.
    """
    tasks = _retentions(matrix)
    without = [_half_life([p for j, ps in tasks.items() if j != i for p in ps]) for i in tasks]
    half_life, num = retention_half_life(matrix), len(tasks)
    if num < 3 or math.isnan(half_life + sum(without)) or not all(without):
        return math.nan, math.nan
    logs = np.log(without)
    error = math.sqrt((num - 1) / num * float(np.sum((logs - logs.mean()) ** 2)))
    return half_life * math.exp(-1.96 * error), half_life * math.exp(1.96 * error)


def _retentions(matrix: Matrix) -> dict[int, list[tuple[int, float]]]:
    """Return (distance, share that is left) of each task that was learnt, where it was measured later."""
    found: dict[int, list[tuple[int, float]]] = {}
    for i, taught in past(matrix):
        first = at(matrix, taught, i)
        later = [(k - taught, at(matrix, k, i)) for k in range(taught + 1, matrix.num_lessons + 1)]
        points = [(d, value / first) for d, value in later if first and not math.isnan(first + value)]
        if points:
            found[i] = points
    return found


def _half_life(points: list[tuple[int, float]]) -> float:
    if not points:
        return math.nan
    distance, left = np.array([d for d, _ in points], dtype=float), np.array([r for _, r in points])
    tried = np.geomspace(0.05, 200 * distance.max(), 4000)
    misfit = ((left - 2 ** (-distance / tried[:, None])) ** 2).sum(axis=1)
    best_fit = int(misfit.argmin())
    if best_fit in (0, len(tried) - 1):
        return 0.0 if best_fit == 0 else math.nan
    return float(tried[best_fit])


_figure = partial(MetricPlugin, needs="matrix", better="low", high=1, unit="score", group="stability")
PLUGINS = (
    _figure(name="forgetting", symbol="FM", compute=forgetting, low=-1),
    _figure(name="forgetting_first_last", symbol="F_fl", compute=forgetting_first_last, low=-1),
    _figure(name="forgetting_max_any", symbol="F_any", compute=forgetting_max_any, low=0),
    _figure(name="forgetting_rate", symbol="FR", compute=forgetting_rate, low=-math.inf, high=100, unit="percent"),
    _figure(name="bwt", symbol="BWT", compute=bwt, better="high", low=-1),
    _figure(name="bwt_all_pairs", symbol="BWT_all", compute=bwt_all_pairs, better="high", low=-1),
    _figure(
        name="worst_retention", symbol="WR", compute=worst_retention, better="high", low=0, high=math.inf, unit="ratio"
    ),
    _figure(name="fluctuation", symbol="FL", compute=fluctuation, low=0, high=0.5),
)
