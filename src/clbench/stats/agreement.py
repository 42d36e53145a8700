"""How far judges agree: kappas, Krippendorff's alpha, and what agreement by luck explains."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clbench.stats.effect import clusters
from clbench.stats.quantiles import t_quantile

Floats = NDArray[np.float64]


class Kappa(NamedTuple):
    """Agreement of two judges on yes and no.

    Attributes:
        kappa, low, high: Cohen's kappa with its 95 % interval; NaN where both always say the same one word.
        agreement: Share of equal verdicts.
        pabak: 2 agreement - 1, the kappa if yes and no were equally common.
        items: Verdicts behind it.
    """

    kappa: float
    low: float
    high: float
    agreement: float
    pabak: float
    items: int


def kappa_of(table: Floats) -> float:
    """Return Cohen's kappa of a square table of counts: (p_o - p_e) / (1 - p_e); NaN where p_e is 1.

    Source: Cohen 1960, "A coefficient of agreement for nominal scales".

    Example:
        >>> round(kappa_of(np.array([[20.0, 5.0], [10.0, 15.0]])), 3)
        0.4
    """
    total = float(table.sum())
    if not total:
        return math.nan
    expected = float(table.sum(axis=0) @ table.sum(axis=1)) / total**2
    observed = float(np.trace(table)) / total
    return (observed - expected) / (1 - expected) if expected < 1 else math.nan


def kappa_at(agreement: float, base_rate: float) -> float:
    """Return the kappa of two judges who agree this often and who both say yes at this rate.

    Example:
        >>> round(kappa_at(0.9, 0.2), 2)
        0.69
    """
    expected = base_rate**2 + (1 - base_rate) ** 2
    return (agreement - expected) / (1 - expected) if expected < 1 else math.nan


def pabak(agreement: float) -> float:
    """Return the prevalence- and bias-adjusted kappa of two categories, 2 p_o - 1.

    Source: Byrt, Bishop & Carlin 1993, "Bias, prevalence and kappa".

    Example:
        >>> pabak(0.75)
        0.5
    """
    return 2 * agreement - 1


def cohen(one: Floats, two: Floats, groups: Sequence[Hashable] | None = None, weights: Floats | None = None) -> Kappa:
    """Return Cohen's kappa of two judges' verdicts, with the jackknife's interval over groups.

    Groups (the contexts of the tasks) are left out in turn; Student's t with their number less 1.

    Args:
        one: 1 yes, 0 no; NaN was not judged, and the pair is left out.
        two: The same, of the other judge.
        groups: What each verdict belongs to; None: each stands for itself.
        weights: How many verdicts each stands for; None: 1.

    Source: Cohen 1960; Efron & Stein 1981 for the jackknife.

    Example:
        >>> [round(v, 2) for v in cohen(np.array([1.0, 1, 0, 0, 1, 0]), np.array([1.0, 1, 0, 1, 1, 0]))]
        [0.67, -0.24, 1.0, 0.83, 0.67, 6]
    """
    there = ~np.isnan(one + two)
    first, second = one[there], two[there]
    if not len(first):
        return Kappa(math.nan, math.nan, math.nan, math.nan, math.nan, 0)
    kept = None if groups is None else [group for group, known in zip(groups, there, strict=True) if known]
    ids = clusters(kept, len(first))
    own = np.arange(len(first)) if ids is None else ids
    mass = np.ones(len(first)) if weights is None else weights[there]
    num = int(own.max()) + 1
    cells = (2 * first + second).astype(np.intp)
    tables = np.bincount(4 * own + cells, weights=mass, minlength=4 * num).reshape(num, 2, 2).astype(np.float64)
    whole = tables.sum(axis=0)
    agreement = float(np.trace(whole)) / float(whole.sum())
    low, high = _jackknifed(whole, tables)
    return Kappa(kappa_of(whole), low, high, agreement, pabak(agreement), len(first))


def _jackknifed(whole: Floats, tables: Floats) -> tuple[float, float]:
    """Return the 95 % interval of kappa from the tables of groups."""
    num, value = len(tables), kappa_of(whole)
    left = np.array([kappa_of(whole - table) for table in tables])
    left = left[~np.isnan(left)]
    if math.isnan(value) or num < 2 or len(left) < 2:
        return math.nan, math.nan
    error = math.sqrt((num - 1) / num * float(((left - left.mean()) ** 2).sum()))
    half = t_quantile(0.975, num - 1) * error
    return max(-1.0, value - half), min(1.0, value + half)


def fleiss_kappa(counts: Floats) -> float:
    """Return Fleiss' kappa of items that as many judges each put into categories.

    Args:
        counts: Judges who chose each category, shape (items, categories); every row has the same sum, 2 or more.

    Returns:
        NaN where all judges always choose the same category, and of no items.

    Raises:
        ValueError: Rows have other sums.

    Source: Fleiss 1971, "Measuring nominal scale agreement among many raters".

    Example:
        >>> fleiss_kappa(np.array([[3.0, 0.0], [0.0, 3.0]]))
        1.0
    """
    if not len(counts):
        return math.nan
    judges = counts.sum(axis=1)
    if judges.min() != judges.max() or judges[0] < 2:
        raise ValueError("every item needs verdicts of the same judges, two or more; leave out the others")
    num = float(judges[0])
    agreed = float((((counts**2).sum(axis=1) - num) / (num * (num - 1))).mean())
    expected = float(((counts.sum(axis=0) / counts.sum()) ** 2).sum())
    return (agreed - expected) / (1 - expected) if expected < 1 else math.nan


def krippendorff_alpha(counts: Floats) -> float:
    """Return Krippendorff's alpha for categories without an order: verdicts may be missing.

        1 - (n - 1) sum_u (sum_{c != k} o_uc o_uk) / (m_u - 1) / sum_{c != k} n_c n_k

    Args:
        counts: Verdicts of each category, shape (items, categories); items with fewer than two verdicts are left out.

    Returns:
        NaN where nothing can be compared or only one category occurs.

    Source: Krippendorff 2011, "Computing Krippendorff's alpha-reliability".

    Example:
        >>> krippendorff_alpha(np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 0.0]]))
        1.0
    """
    judged = counts.sum(axis=1)
    paired, sizes = counts[judged >= 2], judged[judged >= 2]
    if not len(paired):
        return math.nan
    observed = float(((sizes**2 - (paired**2).sum(axis=1)) / (sizes - 1)).sum())
    totals = paired.sum(axis=0)
    num = float(totals.sum())
    expected = num**2 - float((totals**2).sum())
    return 1 - (num - 1) * observed / expected if expected else math.nan
