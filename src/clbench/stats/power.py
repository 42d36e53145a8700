"""How many items or seeds would separate two learners."""

from __future__ import annotations

import math

from clbench.stats.quantiles import normal_quantile, t_quantile

MOST_SEEDS = 10_000  # more are not practical


def power_of(difference: float, discordant: float, items: int, *, level: float = 0.05) -> float:
    """Return the probability that McNemar's test finds a difference between two learners on the same items.

        Phi((|d| sqrt(n) - z_{1 - level/2} sqrt(p)) / sqrt(p - d^2))

    Args:
        difference: d, true difference of the shares right, in [-1, 1].
        discordant: p, share of items that one gets right and the other wrong, in [|d|, 1]; less is read as |d|.
        items: n, >= 0.
        level: Two-sided, in (0, 1).

    Returns:
        In [0, 1]; level / 2 without a difference, since only the right direction counts.

    Source: Miettinen 1968; Connor 1987, "Sample size for testing differences in proportions for the paired-sample
    design", Biometrics 43.

    Example:
        >>> round(power_of(0.05, 0.15, 480), 2)
        0.81
    """
    from scipy.stats import norm

    share = max(discordant, abs(difference), 1e-12)
    rest = max(share - difference**2, 1e-12)
    edge = normal_quantile(1 - level / 2) * math.sqrt(share)
    return float(norm.cdf((abs(difference) * math.sqrt(items) - edge) / math.sqrt(rest)))


def items_needed(difference: float, discordant: float, *, power: float = 0.8, level: float = 0.05) -> float:
    """Return the number of items at which `power_of` reaches `power`; infinite without a difference.

        n = ((z_{1 - level/2} sqrt(p) + z_power sqrt(p - d^2)) / d)^2

    Args:
        difference: d, true difference of the shares right, in [-1, 1].
        discordant: p, share of items that one gets right and the other wrong, in [|d|, 1]; less is read as |d|.
        power: Wanted, in (level / 2, 1).
        level: Two-sided, in (0, 1).

    Returns:
        A whole number >= 1, or infinity.

    Source: Connor 1987.

    Example:
        >>> items_needed(0.05, 0.15), items_needed(0.0, 0.15)
        (469.0, inf)
    """
    if difference == 0:
        return math.inf
    share = max(discordant, abs(difference))
    edge = normal_quantile(1 - level / 2) * math.sqrt(share)
    wanted = normal_quantile(power) * math.sqrt(max(share - difference**2, 0.0))
    return float(math.ceil(((edge + wanted) / difference) ** 2))


def detectable(discordant: float, items: float, *, power: float = 0.8, level: float = 0.05) -> float:
    """Return the smallest difference that `power_of` finds with this power on so many items.

    Args:
        discordant: p, mean square of the items' differences (times a design effect), >= 0.
        items: n; 0 gives infinity.
        power: Wanted, in (level / 2, 1).
        level: Two-sided, in (0, 1).

    Returns:
        In [0, 1]; infinity where even a difference of 1 would not be found.

    Source: Connor 1987, solved for d.

    Example:
        >>> round(detectable(0.12, 1899), 4), round(detectable(0.12, 200), 3)
        (0.0223, 0.068)
    """
    if items <= 0 or power_of(1.0, discordant, math.floor(items), level=level) < power:
        return math.inf
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if power_of(middle, discordant, int(items), level=level) >= power else (middle, high)
    return high


def drop_seen(discordant: float, items: int, *, power: float = 0.8, level: float = 0.05) -> float:
    """Return the smallest drop that a one-sided paired test of so many items finds with this power: its noise floor.

        (z_{1 - level} + z_power) sqrt(p / n)

    Args:
        discordant: p, share of items that flip from one time to the next although nothing changed, in [0, 1].
        items: n; 0 gives infinity.
        power: Wanted, in (0, 1).
        level: One-sided, in (0, 1).

    Returns:
        >= 0, as a share of the items.

    Source: Connor 1987, one-sided, with p in place of p - d^2.

    Example:
        >>> round(drop_seen(0.15, 400), 3)
        0.048
    """
    return (normal_quantile(1 - level) + normal_quantile(power)) * math.sqrt(discordant / items) if items else math.inf


def seeds_needed(difference: float, deviation: float, *, power: float = 0.8, level: float = 0.05) -> float:
    """Return the seeds per learner at which a paired t test finds a difference; infinite without a difference.

    The smallest n >= 2 with P(T > t_{1 - level/2, n-1}) >= power, T noncentral t with n - 1 degrees and noncentrality
    |d| sqrt(n) / s.

    Args:
        difference: d, true mean difference, in any unit.
        deviation: s, of the difference between seeds, in the same unit, >= 0.
        power: Wanted, in (level / 2, 1).
        level: Two-sided, in (0, 1).

    Returns:
        A whole number >= 2, or infinity, also where 10000 seeds are too few.

    Source: Student's paired test, exact power; Johnson & Welch 1940 for the noncentral t.

    Example:
        >>> seeds_needed(5.0, 5.0), seeds_needed(0.0, 1.0)
        (10.0, inf)
    """
    from scipy.stats import nct

    if difference == 0:
        return math.inf
    if deviation == 0:
        return 2.0

    def enough(n: int) -> bool:
        edge, shift = t_quantile(1 - level / 2, n - 1), abs(difference) * math.sqrt(n) / deviation
        # Far beyond the edge scipy's noncentral t loses its digits, and the answer is plain.
        return shift > edge + 40 or float(nct.sf(edge, n - 1, shift)) >= power

    least, most = 1, 2  # power grows with n: double, then halve
    while not enough(most):
        if most >= MOST_SEEDS:
            return math.inf
        least, most = most, min(2 * most, MOST_SEEDS)
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if enough(middle) else (middle, most)
    return float(most)
