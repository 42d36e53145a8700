"""The mean of exams: its test against every pattern of signs, its interval against the truth of simulated exams."""

import itertools

import numpy as np
import pytest

from clbench.core.graded import graded_items
from clbench.stats.exam_means import ExamPair, mean_difference, mean_interval, mean_p
from clbench.stats.paired import paired_difference, paired_permutation


def pair(one, two, groups=None):
    return ExamPair(graded_items(one), graded_items(two), groups)


def every_pattern(exams):
    """Swap the sides of every item, in every way, and count how often the means lie as far apart."""
    weighted = [np.subtract(two, one) / len(one) for one, two in exams]
    all_of_them = np.concatenate(weighted)
    observed = abs(all_of_them.sum())
    sums = [abs(np.dot(signs, all_of_them)) for signs in itertools.product((-1, 1), repeat=len(all_of_them))]
    return np.mean([value >= observed - 1e-12 for value in sums])


def test_p_counts_every_pattern_with_each_exam_weighing_the_same():
    exams = [
        ([0.0, 0.25, 0.5, 0.0], [1.0, 0.5, 0.75, 0.5]),
        ([0.0, 1.0, 0.0, 0.0, 1.0, 0.0], [1.0, 1.0, 1.0, 0.0, 0.0, 1.0]),
    ]
    assert mean_p([pair(*e) for e in exams]) == pytest.approx(every_pattern(exams), abs=1e-12)


def test_one_exam_is_the_plain_paired_test():
    one, two = [1, 0, 0, 1, 0, 0, 0, 1] * 4, [1, 1, 0, 1, 1, 0, 1, 0] * 4
    groups = [str(i // 4) for i in range(32)]
    found, p = mean_difference([pair(one, two, groups)])
    assert found == pytest.approx(paired_difference(one, two, groups=groups))
    assert p == paired_permutation(one, two, groups=groups)


def test_groups_of_two_exams_are_not_one_group():
    one, two = [0] * 4, [1] * 4
    alone = pair(one, two, ["a", "a", "b", "b"])
    assert mean_p([alone, alone]) == pytest.approx(2 / 2**4)  # four groups, not two


def test_intervals_add_as_independent_errors_do():
    rng = np.random.default_rng(0)
    draws = rng.normal([0.1, 0.3, 0.5], [0.02, 0.05, 0.03], (20_000, 3)).mean(axis=1)
    ends = [(m, m - 1.96 * s, m + 1.96 * s) for m, s in ((0.1, 0.02), (0.3, 0.05), (0.5, 0.03))]
    assert mean_interval(ends) == pytest.approx((0.3, *np.quantile(draws, (0.025, 0.975))), abs=2e-3)


def test_the_interval_covers_and_the_test_keeps_its_level():
    rng = np.random.default_rng(1)
    sizes, chances = (40, 80), ((0.7, 0.6), (0.4, 0.45))  # the means differ by -0.025 in truth
    inside = 0
    for _ in range(200):
        pairs = [pair(rng.random(n) < a, rng.random(n) < b) for n, (a, b) in zip(sizes, chances, strict=True)]
        found = mean_interval([paired_difference(p.one, p.two)[:3] for p in pairs])
        inside += found[1] <= -0.025 <= found[2]
    assert 0.92 <= inside / 200 <= 1.0
