"""Rates over contexts: their intervals by simulation, variance parts by construction, trials by enumeration."""

import itertools
import math

import numpy as np
import pytest

from clbench.stats.clustered import clustered_interval, clustered_mean, intra_class, ratio_interval, variance_split
from clbench.stats.paired import mcnemar
from clbench.stats.power import detectable, power_of
from clbench.stats.ranks import ranks_allowed
from clbench.stats.rates import bounds, mean_and_deviation, pass_at_k, pass_hat_k, threshold_curve


def beta_contexts(rng, contexts, rate, icc):
    """Passes of tasks whose context's rate is beta, so that tasks of a context correlate by `icc`; sizes 1 to 12."""
    scale = (1 - icc) / icc
    rates = rng.beta(rate * scale, (1 - rate) * scale, contexts)
    sizes = np.clip(rng.poisson(2.8, contexts) + 1, 1, 12)
    groups = np.repeat(np.arange(contexts), sizes)
    return (rng.random(len(groups)) < rates[groups]).astype(float), groups.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_clustered_intervals_cover_where_naive_ones_do_not(rate):
    rng = np.random.default_rng(7)
    inside = naive = 0
    worlds = 700
    for _ in range(worlds):
        found = clustered_interval(*beta_contexts(rng, 120, rate, 0.3))
        inside += found.low <= rate <= found.high
        naive += found.naive[0] <= rate <= found.naive[1]
    assert 0.93 <= inside / worlds <= 0.97
    assert naive / worlds < 0.90


def test_rubric_rates_cover_over_contexts():
    rng = np.random.default_rng(5)
    inside, worlds = 0, 500
    for _ in range(worlds):
        _, groups = beta_contexts(rng, 80, 0.5, 0.3)
        sizes = rng.integers(3, 40, len(groups))
        rates = rng.beta(3, 2, 80)[groups]
        value, low, high = ratio_interval(rng.binomial(sizes, rates).astype(float), sizes.astype(float), groups)
        assert low <= value <= high
        inside += low <= 0.6 <= high
    assert 0.925 <= inside / worlds <= 0.975


def test_rubric_rates_at_the_ends_and_of_little():
    ones = np.ones(6)
    value, low, high = ratio_interval(ones * 3, ones * 3, list("aabbcc"))
    assert (value, high) == (1.0, 1.0)
    assert 0 < low < 0.7
    assert ratio_interval(np.array([1.0]), np.array([2.0]), ["a"]) == (0.5, 0.0, 1.0)
    assert all(math.isnan(v) for v in ratio_interval(np.zeros(2), np.zeros(2), ["a", "b"]))


def test_intra_class_correlation_is_found_again():
    rng = np.random.default_rng(11)
    assert intra_class(*beta_contexts(rng, 6000, 0.3, 0.3)) == pytest.approx(0.3, abs=0.02)
    assert math.isnan(intra_class(np.array([1.0, 0.0]), ["a", "b"]))


def test_the_variance_is_split_as_it_was_made():
    """A context adds variance 0.03, a task 0.02 to the rate, and trials what binomials add."""
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(3000), 4)
    edge_c, edge_t = math.sqrt(0.03 * 3), math.sqrt(0.02 * 3)
    rates = 0.5 + rng.uniform(-edge_c, edge_c, 3000)[groups] + rng.uniform(-edge_t, edge_t, 12000)
    rates = np.clip(rates, 0, 1)
    passed = (rng.random((12000, 3)) < rates[:, None]).astype(float)
    found = variance_split(passed, groups.tolist())
    assert found.context == pytest.approx(0.03, abs=0.004)
    assert found.task == pytest.approx(0.02, abs=0.004)
    assert found.trial == pytest.approx(float((rates * (1 - rates)).mean()), abs=0.004)
    assert found.icc == pytest.approx(0.6, abs=0.06)


@pytest.mark.parametrize(("gained", "lost", "p"), [(15, 8, 0.2100), (15, 9, 0.3075), (5, 20, 0.0041)])
def test_published_mcnemar(gained, lost, p):
    assert round(mcnemar(gained, lost), 4) == p


def test_pass_at_k_is_the_mean_over_all_choices_of_k_trials():
    for trials in range(1, 6):
        for passed, k in itertools.product(range(trials + 1), range(1, trials + 1)):
            outcomes = [1] * passed + [0] * (trials - passed)
            chosen = list(itertools.combinations(outcomes, k))
            assert pass_at_k(passed, trials, k) == pytest.approx(np.mean([any(c) for c in chosen]))
            assert pass_hat_k(passed, trials, k) == pytest.approx(np.mean([all(c) for c in chosen]))
    with pytest.raises(ValueError, match="k in"):
        pass_at_k(1, 2, 3)


def test_bounds_of_the_seven_rows():
    assert bounds(3, 2, 7) == (pytest.approx(3 / 7), pytest.approx(5 / 7))
    assert all(math.isnan(v) for v in bounds(0, 0, 0))
    assert all(math.isnan(v) for v in mean_and_deviation([]))


def test_thresholds_count_in_whole_numbers():
    assert threshold_curve(np.array([7.0, 0.0]), np.array([10.0, 0.0]), [100, 71, 70]) == [0.0, 0.0, 0.5]
    assert all(math.isnan(v) for v in threshold_curve(np.zeros(0), np.zeros(0), [50]))


def test_the_detectable_difference_has_that_power():
    for share, items in ((0.12, 1899), (0.2, 200), (0.5, 40)):
        found = detectable(share, items)
        assert power_of(found, share, items) == pytest.approx(0.8, abs=1e-6)
    assert detectable(0.1, 0) == math.inf
    assert detectable(1.0, 3) == math.inf


def test_ranks_follow_the_pairs_that_differ():
    assert ranks_allowed([0.3, 0.2, 0.1], np.zeros((3, 3), dtype=bool)) == [(1, 3)] * 3
    assert ranks_allowed([0.1, 0.3], ~np.eye(2, dtype=bool)) == [(2, 2), (1, 1)]


def test_a_mean_over_contexts_of_one_task_each_is_students():
    from scipy.stats import ttest_1samp

    values = np.random.default_rng(1).normal(0.1, 1, 30)
    ends = ttest_1samp(values, 0).confidence_interval(0.95)
    assert clustered_mean(values, range(30)) == pytest.approx((values.mean(), ends.low, ends.high))
    assert math.isnan(clustered_mean(values, [0] * 30)[1])
    assert math.isnan(clustered_mean(np.zeros(0), [])[0])
