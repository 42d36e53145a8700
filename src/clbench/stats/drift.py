"""An alarm for a slow decline over many checkpoints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np


@dataclass(frozen=True)
class Drift:
    """The course of an alarm.

    Attributes:
        sums: The statistic after each checkpoint, in deviations, >= 0.
        limit: It rings above this.
        alarm: Index of the first checkpoint at which it rang; None if it never did.
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
    """Return the alarm over a series: it sums up how far values lie below a target, and rings once that is too much.

        S_t = max(0, S_{t-1} + (target - x_t) / deviation - slack);   alarm: S_t > limit

    With the defaults a drop of one deviation is found within about eight checkpoints. A single checkpoint would have to
    lie 2.8 deviations low to ring as rarely by randomness alone.

    Args:
        values: One per checkpoint; NaN leaves the sum as it is.
        target: Their mean before, in the unit of the values.
        deviation: Of one value when nothing changes, > 0.
        limit: None for `limit_for(run_length, slack)`.
        slack: Drop that is let pass, in deviations; half of the drop that is found fastest.
        run_length: Mean checkpoints to a false alarm, > 1; without effect where a limit is given.

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
    """Return the limit at which a false alarm comes once in `run_length` checkpoints on average.

        ARL = (exp(2 k b) - 2 k b - 1) / (2 k^2),   b = limit + 1.166

    Args:
        run_length: ARL, in checkpoints, > 1.
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
    limit: float, checkpoints: int, slack: float = 0.5, *, history: int | None = None, draws: int = 4000, seed: int = 0
) -> float:
    """Return the probability of a false alarm among so many checkpoints in which nothing changes, by simulation.

    Args:
        limit: Of the alarm.
        checkpoints: How many.
        slack: Of the alarm.
        history: Checkpoints from which target and deviation were estimated, >= 2; None: they are known.
        draws: Simulated histories; the error is at most 0.5 / sqrt(draws).
        seed: Of the simulation.

    Returns:
        In [0, 1].

    Source: simulation of normal values.

    Example:
        >>> round(false_alarm_rate(limit_for(370), 50), 1)
        0.1
    """
    generator = np.random.default_rng(seed)
    drops = generator.standard_normal((draws, checkpoints))
    if history is not None:
        past = generator.standard_normal((draws, history))
        drops = (drops - past.mean(axis=1, keepdims=True)) / past.std(axis=1, ddof=1, keepdims=True)
    sums, rang = np.zeros(draws), np.zeros(draws, dtype=bool)
    for place in range(checkpoints):
        sums = np.maximum(0.0, sums + drops[:, place] - slack)
        rang |= sums > limit
    return float(rang.mean())


@lru_cache(maxsize=256)
def limit_at(
    rate: float, checkpoints: int, history: int, slack: float = 0.5, *, draws: int = 20_000, seed: int = 0
) -> float:
    """Return the limit that rings among so many checkpoints with probability `rate` if nothing changes, by simulation.

    Target and deviation are estimated from the checkpoints before, as in use. From few of them the limit is far higher
    than for known values.

    Args:
        rate: False-alarm rate over all checkpoints, in (0, 1).
        checkpoints: How many are watched.
        history: Checkpoints that target and deviation are estimated from, >= 2.
        slack: Of the alarm.
        draws: Simulated histories.
        seed: Of the simulation.

    Source: simulation of normal values; the need for it: Jensen et al. 2006, "Effects of parameter estimation on
    control chart properties", Journal of Quality Technology 38.
    """
    generator = np.random.default_rng(seed)
    past = generator.standard_normal((draws, history))
    drops = generator.standard_normal((draws, checkpoints)) - past.mean(axis=1, keepdims=True)
    drops /= past.std(axis=1, ddof=1, keepdims=True)
    sums, largest = np.zeros(draws), np.zeros(draws)
    for place in range(checkpoints):
        sums = np.maximum(0.0, sums + drops[:, place] - slack)
        largest = np.maximum(largest, sums)
    return float(np.quantile(largest, 1 - rate))
