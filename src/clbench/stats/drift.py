"""An alarm for a slow decline over many rounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Drift:
    """What the alarm saw.

    Attributes:
        sums: The statistic after each round, in deviations, >= 0.
        limit: It rings above this.
        alarm: First round (index) in which it rang; None if it never did.
    """

    sums: tuple[float, ...]
    limit: float
    alarm: int | None


def cusum(values: Sequence[float], target: float, deviation: float, limit: float, slack: float = 0.5) -> Drift:
    """Sum up how far values lie below a target, and ring once the sum is too large.

        S_t = max(0, S_{t-1} + (target - x_t) / deviation - slack);   alarm: S_t > limit

    Args:
        values: One per round; NaN leaves the sum as it is.
        target: What they were before, in the unit of the values.
        deviation: Of one value when nothing changes, > 0.
        limit: See `limit_for`.
        slack: Drop that is let pass, in deviations; half of the drop that shall be found fastest.

    Source: Page 1954, "Continuous inspection schemes", Biometrika 41.

    Example:
        >>> cusum([0.8, 0.6, 0.6, 0.6], target=0.8, deviation=0.1, limit=4.0).alarm
        3
    """
    total, alarm = 0.0, None
    sums: list[float] = []
    for place, value in enumerate(values):
        if not math.isnan(value):
            total = max(0.0, total + (target - value) / deviation - slack)
        sums.append(total)
        if alarm is None and total > limit:
            alarm = place
    return Drift(tuple(sums), limit, alarm)


def limit_for(run_length: float, slack: float = 0.5) -> float:
    """Give the limit at which a false alarm comes once in `run_length` rounds on the average.

        ARL = (exp(2 k b) - 2 k b - 1) / (2 k^2),   b = limit + 1.166

    Source: Siegmund 1985, "Sequential Analysis", for independent normal values; within a few percent of the exact one.

    Example:
        >>> round(limit_for(370), 2)
        4.09
    """
    from scipy.optimize import brentq

    def excess(limit: float) -> float:
        wide = 2 * slack * (limit + 1.166)
        return (math.exp(wide) - wide - 1) / (2 * slack**2) - run_length

    if excess(0.0) >= 0:
        return 0.0
    root: Any = brentq(excess, 0.0, 50.0)
    return float(root)


def false_alarm_rate(
    limit: float, rounds: int, slack: float = 0.5, *, history: int | None = None, draws: int = 4000, seed: int = 0
) -> float:
    """Give the chance of at least one false alarm in so many rounds in which nothing changes, by simulation.

    Args:
        limit: Of the alarm.
        rounds: How many.
        slack: Of the alarm.
        history: Rounds from which target and deviation were estimated; None: they are known.
        draws: Simulated histories.
        seed: Of the simulation.

    Source: simulation of normal values.
    """
    chance = np.random.default_rng(seed)
    drops = chance.standard_normal((draws, rounds))
    if history is not None:
        past = chance.standard_normal((draws, history))
        drops = (drops - past.mean(axis=1, keepdims=True)) / past.std(axis=1, ddof=1, keepdims=True)
    sums, rang = np.zeros(draws), np.zeros(draws, dtype=bool)
    for place in range(rounds):
        sums = np.maximum(0.0, sums + drops[:, place] - slack)
        rang |= sums > limit
    return float(rang.mean())
