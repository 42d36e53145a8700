"""Quantiles that intervals rest on, by the special functions of scipy: importing `scipy.stats` takes seconds."""

from __future__ import annotations

import math


def normal_quantile(share: float) -> float:
    """Return the z below which a standard normal value lies with probability `share`, in (0, 1).

    Example:
        >>> round(normal_quantile(0.975), 3)
        1.96
    """
    from scipy.special import ndtri

    return float(ndtri(share))


def t_quantile(share: float, freedom: float) -> float:
    """Return the t below which Student's t lies with probability `share`, in (0, 1).

    Args:
        share: The probability.
        freedom: Degrees of freedom, > 0; infinity makes it the normal law.

    Example:
        >>> round(t_quantile(0.975, 2), 3), round(t_quantile(0.975, math.inf), 3)
        (4.303, 1.96)
    """
    from scipy.special import stdtrit

    return normal_quantile(share) if math.isinf(freedom) else float(stdtrit(freedom, share))


def f_median(above: float, below: float) -> float:
    """Return the median of the F distribution with these degrees of freedom, > 0.

    Example:
        >>> round(f_median(2, 12), 3)
        0.735
    """
    from scipy.special import fdtri

    return float(fdtri(above, below, 0.5))
