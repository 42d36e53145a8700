"""Resampling of items: all rows of a matrix are drawn together, since they ask the same questions."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from clbench.core.keys import rng
from clbench.stats.paired import MIN_CLUSTERS

Floats = NDArray[np.float64]


def item_weights(purpose: str, items: int, draws: int, groups: Sequence[Hashable] | None = None) -> Floats:
    """Draw how often each item occurs in each bootstrap sample, shape (draws, items).

    With twelve or more groups whole groups are drawn. The chance comes from `purpose`, so whoever names the same
    exam gets the same samples: differences between runs, rows and methods on it are then paired by themselves.

    Source: Efron 1979, "Bootstrap methods: another look at the jackknife".
    """
    chance = rng(0, draws, f"bootstrap {purpose}")
    if groups is None or len(set(groups)) < MIN_CLUSTERS:
        return chance.multinomial(items, np.full(items, 1 / items), size=draws).astype(np.float64)
    order = {name: place for place, name in enumerate(dict.fromkeys(groups))}
    counts = chance.multinomial(len(order), np.full(len(order), 1 / len(order)), size=draws)
    return counts[:, [order[name] for name in groups]].astype(np.float64)


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


def widened(seed_values: Sequence[float], item_draws: Floats, level: float = 0.95) -> float:
    """Give half the width of the interval of a figure: what other items and what other seeds would change.

        sqrt((t_{S-1} s / sqrt(S))^2 + (z d)^2)

    s is the deviation of the figure over S seeds, which all see the same items, and d the deviation over the bootstrap
    samples of items of the figure's mean over seeds. With one seed only the second part is known.

    Args:
        seed_values: The figure of each seed.
        item_draws: The mean over seeds in every bootstrap sample; empty where no items are on record.
        level: Confidence, in (0, 1).

    Returns:
        >= 0; NaN where neither part is known.

    Source: the two parts are independent, so variances add; Student 1908 and Efron 1979 for each.

    Example:
        >>> round(widened([0.5], np.array([0.4, 0.5, 0.6])), 3)
        0.196
    """
    from scipy.stats import norm

    from clbench.stats.intervals import half_width

    over_seeds = half_width(seed_values, level)
    known = item_draws[~np.isnan(item_draws)]
    over_items = math.nan
    if len(known) > 1:
        over_items = float(norm.ppf((1 + level) / 2)) * float(known.std(ddof=1))
    parts = [v for v in (over_seeds, over_items) if not math.isnan(v)]
    return math.hypot(*parts) if parts else math.nan
