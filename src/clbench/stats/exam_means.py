"""The mean of several exams: how far two sides differ in it, and whether that may be random."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from clbench.core.graded import GradedItems
from clbench.stats.paired import Difference, paired_difference, paired_permutation


class ExamPair(NamedTuple):
    """One exam of two sides: the same items, all of them graded on both sides, and what each belongs to (or None)."""

    one: GradedItems
    two: GradedItems
    groups: Sequence[Hashable] | None = None


def mean_difference(pairs: Sequence[ExamPair]) -> tuple[Difference, float]:
    """Return how far the mean of exams of side two lies above that of side one, with its 95 % interval, and p.

    Every exam counts the same, however many items it has. With d_e the difference of exam e, (l_e, u_e) its interval
    (`paired_difference`) and E exams, whose items are independent of each other:

        d = sum_e d_e / E,   d - sqrt(sum_e (d_e - l_e)^2) / E   to   d + sqrt(sum_e (u_e - d_e)^2) / E

    p is that of the permutation test of `paired_permutation` with the items of exam e weighted by 1 / n_e: sides are
    swapped item by item, or group by group. Where an exam has a rule of its own, differences of pseudo-values flip.

    Args:
        pairs: At least one exam with at least one item.

    Source: Zou & Donner 2008, "Construction of confidence limits about effect measures: a general approach",
    Statistics in Medicine 27, for the interval; Fisher 1935 for the test.

    Example:
        >>> from clbench.core.graded import graded_items as items
        >>> pair = ExamPair(items([1, 1, 0, 0] * 25), items([1, 0, 0, 0] * 25))
        >>> found, p = mean_difference([pair, pair])
        >>> [round(v, 3) for v in found], p < 0.001
        ([-0.25, -0.316, -0.197, 200], True)
    """
    found = [paired_difference(p.one, p.two, groups=p.groups) for p in pairs]
    value, low, high = mean_interval([(d.value, d.low, d.high) for d in found])
    whole = Difference(value, max(-1.0, low), min(1.0, high), sum(d.items for d in found))
    return whole, mean_p(pairs)


def mean_interval(intervals: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    """Return the mean of independent values with its interval, from (value, low, high) of each; see `mean_difference`.

    Example:
        >>> [round(v, 3) for v in mean_interval([(0.5, 0.4, 0.7), (0.7, 0.6, 0.9)])]
        [0.6, 0.529, 0.741]
    """
    num = len(intervals)
    value = sum(v for v, _, _ in intervals) / num
    below = math.sqrt(sum((v - low) ** 2 for v, low, _ in intervals)) / num
    above = math.sqrt(sum((high - v) ** 2 for v, _, high in intervals)) / num
    return value, value - below, value + above


def mean_p(pairs: Sequence[ExamPair]) -> float:
    """Return the two-sided p of "the means of exams do not differ", in (0, 1]; see `mean_difference`."""
    most = max(p.one.items for p in pairs)
    # Exams of equal size have the weight 1: right and wrong answers are then counted exactly, by McNemar's test.
    weighted = [[most / p.one.items * side.units() for side in (p.one, p.two)] for p in pairs]
    one, two = (np.concatenate([each[side] for each in weighted]) for side in (0, 1))
    groups: list[Hashable] | None = None
    if any(p.groups is not None for p in pairs):
        groups = [(n, g) for n, p in enumerate(pairs) for g in (p.groups or range(p.one.items))]
    return paired_permutation(one, two, groups=groups)
