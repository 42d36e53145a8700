"""Resampling of items: all rows of a matrix are drawn together, since they ask the same questions."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clbench.core.keys import rng
from clbench.stats.intervals import half_width
from clbench.stats.paired import clusters

Floats = NDArray[np.float64]


class Interval(NamedTuple):
    """A 95 % interval; NaN where nothing is known."""

    low: float
    high: float

    @property
    def half(self) -> float:
        """Half of its width."""
        return (self.high - self.low) / 2


UNKNOWN = Interval(math.nan, math.nan)


def item_weights(purpose: str, items: int, draws: int, groups: Sequence[Hashable] | None = None) -> Floats:
    """Draw how often each item occurs in each bootstrap sample, shape (draws, items).

    With groups whole groups are drawn. The chance comes from `purpose`, so whoever names the same
    exam gets the same samples: differences between runs, rows and methods on it are then paired by themselves.

    Source: Efron 1979, "Bootstrap methods: another look at the jackknife".
    """
    chance = rng(0, draws, f"bootstrap {purpose}")
    places = clusters(groups, items)
    num = items if places is None else int(places.max()) + 1
    counts = chance.multinomial(num, np.full(num, 1 / num), size=draws).astype(np.float64)
    return counts if places is None else counts[:, places]


def row_draws(scores: Floats, weights: Floats) -> Floats:
    """Give the mean of every row in every bootstrap sample, shape (draws, rows).

    Args:
        scores: Shape (rows, items); NaN was not asked or could not be marked, and stays out of the mean.
        weights: Of `item_weights`, shape (draws, items).

    Returns:
        NaN for rows without a score, and in samples that drew none of the marked ones.

    Example:
        >>> row_draws(np.array([[0.0, 1.0], [np.nan, np.nan]]), np.array([[2.0, 0.0], [1.0, 1.0]])).tolist()
        [[0.0, nan], [0.5, nan]]
    """
    marked = ~np.isnan(scores)
    totals = weights @ marked.T.astype(np.float64)
    sums = weights @ np.where(marked, scores, 0.0).T
    return np.divide(sums, totals, out=np.full_like(sums, np.nan), where=totals > 0)


def interval(seed_values: Sequence[float], draws: Sequence[Floats]) -> Interval:
    """Give the 95 % interval of a figure's mean over seeds: what other items and other seeds would change.

        v - b -+ sqrt(h^2 + (2 d)^2),   b = mean(draws) - v,   d^2 = mean((draws - v)^2)

    v is the mean over seeds, h Student's half width over them (0 with one seed, of which nothing is known), and the
    draws are means over seeds in each bootstrap sample of items; 2 and not 1.96, since some hundred draws know d to
    within a few percent only. b takes off the bias of figures that hold a maximum: forgetting looks larger on few
    items than it is.

    Args:
        seed_values: The figure of each seed; NaN makes the interval unknown.
        draws: The samples of each seed; empty where no items are on record.

    Source: Efron & Tibshirani 1993, ch. 10, for the bias; coverage: `bench/intervals.py`.
    """
    value = float(np.mean(seed_values))
    over_seeds = half_width(seed_values)
    if len(draws) != len(seed_values):
        return Interval(value - over_seeds, value + over_seeds)
    mean = np.mean(draws, axis=0)
    mean = mean[~np.isnan(mean)]
    if math.isnan(value) or len(mean) < 2:
        return UNKNOWN
    bias = float(mean.mean()) - value
    width = math.hypot(0.0 if math.isnan(over_seeds) else over_seeds, 2 * math.sqrt(((mean - value) ** 2).mean()))
    return Interval(value - bias - width, value - bias + width)


def difference_of(
    one: Sequence[float], draws_one: Sequence[Floats], two: Sequence[float], draws_two: Sequence[Floats]
) -> tuple[Interval, float]:
    """Give the 95 % interval of the difference two - one of a figure, and the two-sided p of "there is none".

    Items are paired: both sides' samples of an exam are the same. Seeds are paired in order where there are equally
    many, else they are taken as independent (Welch). Both parts add up as in `interval`; p comes from Student's t with
    Satterthwaite's degrees of freedom, in which the items' part counts as known.

    Args:
        one: The figure of each seed of the first side.
        draws_one: Its samples of each seed; empty where no items are on record.
        two: The figure of each seed of the second side.
        draws_two: Its samples.

    Returns:
        NaN where neither other items nor other seeds are known.

    Source: Satterthwaite 1946; Welch 1947.

    Example:
        >>> found, p = difference_of([0.5], [np.array([0.4, 0.6])], [0.7], [np.array([0.6, 0.8])])
        >>> [round(v, 3) for v in found], p
        ([0.2, 0.2], 0.0)
    """
    from scipy.stats import t

    value = float(np.mean(two)) - float(np.mean(one))
    error, freedom = _over_seeds(one, two)
    bias = over_items = 0.0
    known = len(draws_one) == len(one) and len(draws_two) == len(two)
    if known:
        drawn = np.mean(draws_two, axis=0) - np.mean(draws_one, axis=0)
        drawn = drawn[~np.isnan(drawn)]
        bias, over_items = float(drawn.mean()) - value, math.sqrt(float(((drawn - value) ** 2).mean()))
    if math.isnan(value) or (not known and math.isnan(error)):
        return UNKNOWN, math.nan
    seed_part = 0.0 if math.isnan(error) else error
    width = math.hypot(seed_part * float(t.ppf(0.975, freedom)) if seed_part else 0.0, 2 * over_items)
    whole = math.hypot(seed_part, over_items)
    if whole == 0:
        return Interval(value - bias, value - bias), 1.0 if value == 0 else 0.0
    degrees = freedom * (whole / seed_part) ** 4 if seed_part else math.inf
    p = 2 * float(t.sf(abs(value - bias) / whole, min(degrees, 1e9)))
    return Interval(value - bias - width, value - bias + width), p


def _over_seeds(one: Sequence[float], two: Sequence[float]) -> tuple[float, float]:
    """Give the standard error of the difference over seeds and its degrees of freedom; NaN with single seeds."""
    if len(one) == len(two):
        gaps = np.array(two) - np.array(one)
        return (float(gaps.std(ddof=1)) / math.sqrt(len(gaps)), len(gaps) - 1) if len(gaps) > 1 else (math.nan, 1)
    if min(len(one), len(two)) < 2:
        return math.nan, 1
    parts = [float(np.var(v, ddof=1)) / len(v) for v in (one, two)]
    total = sum(parts)
    below = sum(p * p / (len(v) - 1) for p, v in zip(parts, (one, two), strict=True))
    return math.sqrt(total), total * total / below if below else 1
