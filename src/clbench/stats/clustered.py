"""Rates over tasks that share a context: their intervals, and how much of the variance contexts and trials make."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clbench.stats.effect import clusters, robust
from clbench.stats.intervals import wilson_at
from clbench.stats.quantiles import t_quantile
from clbench.stats.single import score_interval

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Clustered:
    """A mean over tasks with its 95 % interval.

    Attributes:
        value, low, high: The mean, and the interval over other contexts such as these; NaN of nothing.
        naive: The interval if every task stood for itself, which is too narrow where contexts matter.
        effect: (width / naive width)^2, by which contexts raise the variance.
        tasks, contexts: How many are behind it.
    """

    value: float
    low: float
    high: float
    naive: tuple[float, float]
    effect: float
    tasks: int
    contexts: int


def clustered_interval(values: Floats, contexts: Sequence[Hashable], *, level: float = 0.95) -> Clustered:
    """Return the mean of the tasks' values with the interval that other contexts, and their tasks, would show.

    The interval is `clbench.stats.single.score_interval` with contexts as groups: Wilson's with as many tasks as they
    are worth, Student's t.

    Args:
        values: One per task, in [0, 1]: passed or not, or the mean over trials.
        contexts: The context of each.
        level: Confidence, in (0, 1).

    Source: Miller 2024, "Adding error bars to evals", arXiv 2411.00640, for clusters; coverage is tested by simulation.

    Example:
        >>> found = clustered_interval(np.array([1.0, 1.0, 0.0, 0.0] * 10), [n // 2 for n in range(40)])
        >>> found.contexts, found.low < found.naive[0] < 0.5
        (20, True)
    """
    value, low, high = score_interval(values, groups=contexts, level=level)
    if len(values) > len(set(contexts)) == 1:  # one context tells nothing of others
        low, high = 0.0, 1.0
    _, *plain = score_interval(values, level=level)
    width = plain[1] - plain[0]
    effect = ((high - low) / width) ** 2 if width else math.nan
    return Clustered(value, low, high, (plain[0], plain[1]), effect, len(values), len(set(contexts)))


def ratio_interval(
    hits: Floats, sizes: Floats, contexts: Sequence[Hashable], *, level: float = 0.95
) -> tuple[float, float, float]:
    """Return (sum of hits / sum of sizes, low, high), such as all rubrics met by all rubrics, over other contexts.

        V = var(sum_i (h_i - R s_i)) / (sum s)^2,   Wilson's interval with R (1 - R) / V items, Student's t

    where contexts are groups (`clbench.stats.effect.robust`). A task without rubrics adds nothing.

    Args:
        hits: One per task, in [0, its size].
        sizes: One per task, >= 0.
        contexts: The context of each.
        level: Confidence, in (0, 1).

    Returns:
        NaN where all sizes are 0.

    Source: Cochran 1977, "Sampling techniques", ch. 6 and 9 (ratio estimators, clusters); Dean & Pacheco 2014.

    Example:
        >>> [round(v, 2) for v in ratio_interval(np.array([1.0, 2.0, 0.0, 4.0]), np.full(4, 4.0), ["a", "b", "c", "d"])]
        [0.44, 0.08, 0.88]
    """
    total = float(sizes.sum())
    if not total:
        return math.nan, math.nan, math.nan
    ratio = float(hits.sum()) / total
    ids = clusters(contexts, len(hits))
    own = np.arange(len(hits)) if ids is None else ids
    if len(np.unique(own)) < 2:
        return ratio, 0.0, 1.0
    variance, groups = robust(hits - ratio * sizes, own)
    # Of ratios at an end, samples show no variance: each context counts as one item then.
    inside = min(max(ratio, 0.5 / groups), 1 - 0.5 / groups)
    worth = inside * (1 - inside) * total**2 / variance if variance > 0 else groups
    low, high = wilson_at(ratio, min(worth, total), t_quantile((1 + level) / 2, max(groups - 1, 1.0)))
    return ratio, max(0.0, min(low, ratio)), min(1.0, max(high, ratio))


def clustered_mean(values: Floats, contexts: Sequence[Hashable], *, level: float = 0.95) -> tuple[float, float, float]:
    """Return (mean, low, high) of values in any range, by Student's t over contexts.

    Returns:
        NaN of nothing; unknown ends with fewer than two contexts.

    Source: Miller 2024, arXiv 2411.00640; the variance is that of `clbench.stats.effect.robust`.

    Example:
        >>> [round(v, 2) for v in clustered_mean(np.array([0.0, 0.2, -0.1, 0.3]), ["a", "b", "c", "d"])]
        [0.1, -0.19, 0.39]
    """
    if not len(values):
        return math.nan, math.nan, math.nan
    mean = float(values.mean())
    if len(set(contexts)) < 2:
        return mean, math.nan, math.nan
    ids = clusters(contexts, len(values))
    variance, groups = robust(values - mean, np.arange(len(values)) if ids is None else ids)
    half = t_quantile((1 + level) / 2, max(groups - 1, 1.0)) * math.sqrt(variance) / len(values)
    return mean, mean - half, mean + half


@dataclass(frozen=True)
class Split:
    """What makes tasks' outcomes vary: three parts of the variance of one outcome of one task, each >= 0.

    Attributes:
        context: Between contexts.
        task: Between tasks of a context.
        trial: Between trials of a task; NaN with one trial, and then a part of `task`.
        icc: context / (context + task), the correlation within a context of tasks' means over infinitely many trials
            (with one trial: of their outcomes).
    """

    context: float
    task: float
    trial: float
    icc: float


def intra_class(values: Floats, contexts: Sequence[Hashable]) -> float:
    """Return the correlation of tasks within a context, by one-way analysis of variance; NaN where it is not defined.

        (MSB - MSW) / (MSB + (n0 - 1) MSW),   n0 = (N - sum_c n_c^2 / N) / (G - 1)

    Source: Fisher 1925; Donner 1986, "A review of inference procedures for the intraclass correlation coefficient".

    Example:
        >>> intra_class(np.array([1.0, 1.0, 0.0, 0.0]), ["a", "a", "b", "b"])
        1.0
    """
    between, within, size = _mean_squares(values, contexts)
    total = between + (size - 1) * within
    return (between - within) / total if total > 0 else math.nan


def _mean_squares(values: Floats, contexts: Sequence[Hashable]) -> tuple[float, float, float]:
    """Return (mean square between contexts, within them, typical size of a context); NaN where there is none."""
    order = {context: place for place, context in enumerate(dict.fromkeys(contexts))}
    own = np.array([order[context] for context in contexts], dtype=np.intp)
    num, groups = len(own), len(order)
    if groups < 2 or num == groups:
        return math.nan, math.nan, math.nan
    sizes = np.bincount(own)
    means = np.bincount(own, weights=values) / sizes
    between = float((sizes * (means - values.mean()) ** 2).sum()) / (groups - 1)
    within = float(((values - means[own]) ** 2).sum()) / (num - groups)
    return between, within, (num - float((sizes**2).sum()) / num) / (groups - 1)


def variance_split(passed: Floats, contexts: Sequence[Hashable]) -> Split:
    """Return the variance between contexts, between their tasks and between trials, by analysis of variance.

    Args:
        passed: Shape (tasks, trials), every cell known.
        contexts: The context of each task.

    Source: Searle, Casella & McCulloch 1992, "Variance components", ch. 2-3 (estimates below 0 are set to 0).

    Example:
        >>> variance_split(np.array([[1.0, 1.0], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]), ["a", "a", "b", "b"])
        Split(context=0.5, task=0.0, trial=0.0, icc=1.0)
    """
    trials = passed.shape[1]
    trial = float(passed.var(axis=1, ddof=1).mean()) if trials > 1 and len(passed) else math.nan
    between, within, size = _mean_squares(passed.mean(axis=1), contexts)
    noise = 0.0 if math.isnan(trial) else trial / trials
    context = max(0.0, (between - within) / size)
    task = max(0.0, within - noise)
    total = context + task
    return Split(context, task, trial, context / total if total > 0 else math.nan)
