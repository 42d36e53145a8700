"""An alarm for a slow decline over many rounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

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


def cusum(
    values: Sequence[float],
    target: float,
    deviation: float,
    limit: float | None = None,
    slack: float = 0.5,
    run_length: float = 370,
) -> Drift:
    """Sum up how far values lie below a target, and ring once the sum is too large.

        S_t = max(0, S_{t-1} + (target - x_t) / deviation - slack);   alarm: S_t > limit

    A drop of one deviation is found in some eight rounds at the settings below, where a single round would have to lie
    2.8 deviations low to ring as rarely by chance.

    Args:
        values: One per round; NaN leaves the sum as it is.
        target: What they were before, in the unit of the values.
        deviation: Of one value when nothing changes, > 0.
        limit: None for `limit_for(run_length, slack)`.
        slack: Drop that is let pass, in deviations; half of the drop that shall be found fastest.
        run_length: Mean rounds to a false alarm, > 1; of no effect where a limit is given.

    Raises:
        ValueError: The deviation is not above 0.

    Source: Page 1954, "Continuous inspection schemes", Biometrika 41.

    Example:
        >>> cusum([0.8, 0.6, 0.6, 0.6], target=0.8, deviation=0.1, limit=4.0).alarm
        3
    """
    if not deviation > 0:
        raise ValueError(f"a deviation of {deviation} gives no scale: it must be above 0")
    edge = limit_for(run_length, slack) if limit is None else limit
    total, alarm = 0.0, None
    sums: list[float] = []
    for place, value in enumerate(values):
        if not math.isnan(value):
            total = max(0.0, total + (target - value) / deviation - slack)
        sums.append(total)
        if alarm is None and total > edge:
            alarm = place
    return Drift(tuple(sums), edge, alarm)


def limit_for(run_length: float, slack: float = 0.5) -> float:
    """Give the limit at which a false alarm comes once in `run_length` rounds on the average.

        ARL = (exp(2 k b) - 2 k b - 1) / (2 k^2),   b = limit + 1.166

    Args:
        run_length: ARL, in rounds, > 1.
        slack: k, in deviations, > 0.

    Returns:
        >= 0; 0 where even that rings more rarely.

    Source: Siegmund 1985, "Sequential Analysis", for independent normal values and a known target and deviation; within
    a few percent of the exact one. Where these are estimated from a short history it rings more often: see
    `false_alarm_rate`.

    Example:
        >>> round(limit_for(370), 2)
        4.09
    """
    from scipy.optimize import root_scalar

    def excess(limit: float) -> float:
        wide = 2 * slack * (limit + 1.166)
        return math.log(math.exp(wide) - wide - 1) - math.log(2 * slack**2 * run_length)

    # The other end is sure to ring more rarely, and does not overflow: exp(w) - w - 1 >= exp(w) / 4 from w = 1 on.
    most = (math.log(8 * slack**2 * run_length + 8) + 1) / (2 * slack)
    return float(root_scalar(excess, bracket=(0.0, most), method="brentq").root) if excess(0.0) < 0 else 0.0


def false_alarm_rate(
    limit: float, rounds: int, slack: float = 0.5, *, history: int | None = None, draws: int = 4000, seed: int = 0
) -> float:
    """Give the chance of at least one false alarm in so many rounds in which nothing changes, by simulation.

    Args:
        limit: Of the alarm.
        rounds: How many.
        slack: Of the alarm.
        history: Rounds from which target and deviation were estimated, >= 2; None: they are known.
        draws: Simulated histories; the error is at most 0.5 / sqrt(draws).
        seed: Of the simulation.

    Returns:
        In [0, 1].

    Source: simulation of normal values.

    Example:
        >>> round(false_alarm_rate(limit_for(370), 50), 1)
        0.1
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


@lru_cache(maxsize=256)
def limit_at(
    rate: float, rounds: int, history: int, slack: float = 0.5, *, draws: int = 20_000, seed: int = 0
) -> float:
    """Give the limit that rings in so many rounds with a chance of `rate` if nothing changes, by simulation.

    Target and deviation are estimated from the rounds before, as in use: with few of them the limit is far higher than
    that of known ones.

    Args:
        rate: False-alarm rate over all rounds, in (0, 1).
        rounds: How many are watched.
        history: Rounds that target and deviation are estimated from, >= 2.
        slack: Of the alarm.
        draws: Simulated histories.
        seed: Of the simulation.

    Source: simulation of normal values; the need for it: Jensen et al. 2006, "Effects of parameter estimation on
    control chart properties", Journal of Quality Technology 38.
    """
    chance = np.random.default_rng(seed)
    past = chance.standard_normal((draws, history))
    drops = chance.standard_normal((draws, rounds)) - past.mean(axis=1, keepdims=True)
    drops /= past.std(axis=1, ddof=1, keepdims=True)
    sums, largest = np.zeros(draws), np.zeros(draws)
    for place in range(rounds):
        sums = np.maximum(0.0, sums + drops[:, place] - slack)
        largest = np.maximum(largest, sums)
    return float(np.quantile(largest, 1 - rate))
