"""Friedman's test and Nemenyi's critical difference, against published numbers and scipy."""

import math

import numpy as np
import pytest
from scipy.stats import friedmanchisquare

from clbench.stats.ranks import alike, friedman

# Demsar 2006, table 6: AUC of C4.5, C4.5+m, C4.5+cf, C4.5+m+cf on 14 data sets. In the row before the last it prints
# 0.975 twice and ranks them 2 and 3: the first is the larger one before rounding.
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975],
        [0.957, 0.978, 0.946, 0.970],
    ]
).T


def test_the_example_of_demsar():
    found = friedman(DEMSAR)
    assert [round(r, 3) for r in found.ranks] == [3.143, 2.000, 2.893, 1.964]
    assert round(found.chi2, 2) == 9.28
    assert round(found.f, 2) == 3.69
    assert found.p < 0.05, "the critical value of F(3, 39) is 2.85"
    assert round(found.difference, 2) == 1.25
    assert round(friedman(DEMSAR, level=0.9).difference, 2) == 1.12
    assert found.blocks == 14


@pytest.mark.parametrize(("methods", "quantile"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_the_critical_values_are_those_of_the_paper(methods, quantile):
    scores = np.random.default_rng(1).random((methods, 6))
    assert friedman(scores).difference == pytest.approx(
        quantile * math.sqrt(methods * (methods + 1) / 36), abs=2e-3 * methods
    )


def test_the_statistic_is_that_of_scipy_where_nothing_ties():
    scores = np.random.default_rng(2).random((5, 9))
    assert friedman(scores).chi2 == pytest.approx(friedmanchisquare(*scores).statistic)
    assert friedman(-scores, higher=False) == friedman(scores)


def test_all_blocks_agree_or_none_differs():
    agreed = friedman(np.array([[0.9, 0.8], [0.5, 0.4]]))
    assert (agreed.ranks, agreed.f, agreed.p) == ((1.0, 2.0), math.inf, 0.0)
    tied = friedman(np.ones((3, 4)))
    assert (tied.chi2, tied.f, tied.p) == (0.0, 0.0, 1.0)


def test_no_score_ranks_last():
    assert friedman(np.array([[math.nan, math.nan], [0.1, 0.2], [0.3, 0.4]])).ranks == (3.0, 2.0, 1.0)


@pytest.mark.slow
def test_without_a_difference_it_is_rarely_sure():
    rng = np.random.default_rng(3)
    p_values = np.array([friedman(rng.random((4, 15))).p for _ in range(400)])
    assert 0.02 < np.mean(p_values <= 0.05) < 0.09


def test_sets_that_are_not_told_apart():
    assert alike([1.964, 2.0, 2.893, 3.143], 1.25) == [(0, 3)], "too few data sets, as the paper says"
    assert alike([1.0, 2.0, 2.4, 3.6], 1.25) == [(0, 1), (1, 2), (2, 3)]
    assert alike([1.0, 3.0], 1.0) == []
