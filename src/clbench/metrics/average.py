"""Averages: how well it does at the end, on the way, and when it has just learnt."""

from __future__ import annotations

import math
from functools import partial

from clbench.core.matrix import Matrix
from clbench.core.protocols import MetricPlugin
from clbench.metrics._shape import at, mean, own


def average_performance(matrix: Matrix) -> float:
    """Average score on all tasks after the last lesson (AP, also OP or Last).

    AP = (1/N) sum_i R[T, i], every task counting the same. In [0, 1], higher is better.
    Source: Lopez-Paz & Ranzato 2017; Chaudhry et al. 2018.
    """
    return mean([at(matrix, matrix.num_lessons, i) for i, _ in own(matrix)])


def average_performance_pooled(matrix: Matrix) -> float:
    """Average score over all questions of tasks after the last lesson: tasks count by their number of questions.

    sum_i q_i R[T, i] / sum_i q_i, q_i the questions of exam i, declined ones among them. In [0, 1], higher is better.
    Source: Chaudhry et al. 2018, weighted by exam size.
    """
    columns = [i for i, _ in own(matrix)]
    asked = matrix.n[-1, columns] + matrix.ungraded[-1, columns]
    return float((matrix.values[-1, columns] * asked).sum() / asked.sum()) if asked.sum() else math.nan


def average_performance_centred(matrix: Matrix) -> float:
    """Average of scores centred on the guess rate, after the last lesson: 0 is guessing, 1 is perfect.

    (1/N) sum_i (R[T, i] - c_i) / (1 - c_i), c_i the guess rate of exam i. Below 0 is worse than guessing; higher is
    better; NaN where guessing already scores 1. Source: centring as in nanochat's CORE and the lm-evaluation-harness
    leaderboards.
    """
    last = matrix.num_lessons
    rates = [(i, matrix.columns[i].guess_rate) for i, _ in own(matrix)]
    return mean([(at(matrix, last, i) - c) / (1 - c) if c < 1 else math.nan for i, c in rates])


def average_incremental(matrix: Matrix) -> float:
    """Average, over the lessons, of the average score on what was taught so far (AIA).

    AIA = (1/T) sum_k (1/|{i: t_i <= k}|) sum_{t_i <= k} R[k, i]. In [0, 1], higher is better.
    Source: Rebuffi et al. 2017.
    """
    return mean(average_by_lesson(matrix))


def average_by_lesson(matrix: Matrix) -> list[float]:
    """Return AP_k for k = 1..T: the average score on what was taught so far."""
    return [
        mean([at(matrix, k, i) for i, taught in own(matrix) if taught <= k]) for k in range(1, matrix.num_lessons + 1)
    ]


def area_under_learning_curve(matrix: Matrix) -> float:
    """Mean over k of AP_k, the area under the curve of average performance (AULC).

    (1/T) sum_k AP_k. In [0, 1], higher is better. The same number as `average_incremental`.
    Source: Chaudhry et al. 2019 (A-GEM), Learning Curve Area.
    """
    return mean(average_by_lesson(matrix))


def average_all_cells(matrix: Matrix) -> float:
    """Average over the whole lower triangle, every cell counting the same (A).

    A = sum_{k >= t_i} R[k, i] / number of such cells. In [0, 1], higher is better. Source: Diaz-Rodriguez et al. 2018.
    """
    last = matrix.num_lessons
    return mean([at(matrix, k, i) for i, taught in own(matrix) for k in range(taught, last + 1)])


def learning_accuracy(matrix: Matrix) -> float:
    """Average score on each task right after the lesson that teaches it (LA): plasticity.

    LA = (1/N) sum_i R[t_i, i]. In [0, 1], higher is better. Source: Riemer et al. 2019.
    """
    return mean([at(matrix, taught, i) for i, taught in own(matrix)])


_figure = partial(MetricPlugin, needs="matrix", better="high", low=0, high=1, unit="score", group="performance")
PLUGINS = (
    _figure(name="average_performance", symbol="AP", compute=average_performance),
    _figure(name="average_performance_pooled", symbol="AP_pooled", compute=average_performance_pooled),
    _figure(
        name="average_performance_centred", symbol="AP_centred", compute=average_performance_centred, low=-math.inf
    ),
    _figure(name="average_incremental", symbol="AIA", compute=average_incremental),
    _figure(name="area_under_learning_curve", symbol="AULC", compute=area_under_learning_curve),
    _figure(name="average_all_cells", symbol="A", compute=average_all_cells),
    _figure(name="learning_accuracy", symbol="LA", compute=learning_accuracy),
)
