import itertools
import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from clbench.stats.bootstrap import Samples, difference_of, interval, item_weights, row_draws
from clbench.stats.drift import cusum, false_alarm_rate, limit_for
from clbench.stats.gate import judge_exams
from clbench.stats.intervals import error_over, wilson
from clbench.stats.paired import drop_p, holm, mcnemar, paired_difference, paired_permutation
from clbench.stats.power import drop_seen, items_needed, power_of, seeds_needed
from clbench.stats.quantiles import f_median
from clbench.stats.ranks import rank_intervals
from clbench.stats.single import score_interval
from tests.builders.places import ROOT

SCORES = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 0.25, 1.0])), min_size=1, max_size=9
)


def halves(pairs):
    return [a for a, _ in pairs], [b for _, b in pairs]


# --- seeds and orders ---------------------------------------------------------------------------------------------


GRID = [(order, seed) for order in "abc" for seed in range(5)]


@pytest.mark.parametrize(
    ("of_orders", "of_seeds"), [(0, 0), (0.1, 0), (0.3, 0.3), (0.9, 0), (0, 0.6), (0, 0.9), (0.6, 0.3)]
)
def test_intervals_over_orders_and_seeds_hold_the_mean(of_orders, of_seeds):
    """3 orders x 5 seeds with these shares of the variance; as if independent, far fewer do where either is large."""
    rng, hits, naive = np.random.default_rng(3), 0, 0
    for _ in range(800):
        effects = rng.normal(size=(3, 1)) * math.sqrt(of_orders) + rng.normal(size=5) * math.sqrt(of_seeds)
        values = (effects + rng.normal(size=(3, 5)) * math.sqrt(1 - of_orders - of_seeds)).ravel().tolist()
        low, high = interval(values, [], blocks=GRID)
        hits += low <= 0 <= high
        low, high = interval(values, [])
        naive += low <= 0 <= high
    assert 0.925 <= hits / 800 <= 0.995
    assert naive / 800 < 0.85 or of_orders + of_seeds < 0.6


def test_the_error_of_a_grid_is_that_of_its_mean_squares():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(3, 1)) * 3 + rng.normal(size=5) * 2 + rng.normal(size=(3, 5))
    errors = table - table.mean(1, keepdims=True) - table.mean(0) + table.mean()
    of_orders, of_seeds, rest = 5 * table.mean(1).var(ddof=1), 3 * table.mean(0).var(ddof=1), (errors**2).sum() / 8
    square = of_orders + of_seeds - rest
    freedom = square**2 / (of_orders**2 / 2 + of_seeds**2 / 4 + rest**2 / 8)
    assert error_over(table.ravel().tolist(), GRID) == pytest.approx((math.sqrt(square / 15), freedom))
    turned = [(seed, order) for order, seed in GRID]
    assert error_over(table.ravel().tolist(), turned) == pytest.approx((math.sqrt(square / 15), freedom))
    mixed = rng.permutation(15)
    moved = error_over(table.ravel()[mixed].tolist(), [GRID[i] for i in mixed])
    assert moved == pytest.approx((math.sqrt(square / 15), freedom))


def test_one_order_or_unequal_ones():
    values = [0.1, 0.2, 0.5, 0.6, 0.9]
    error, freedom = error_over(values)
    assert (error, freedom) == pytest.approx((stats.sem(values), 4))
    assert error_over(values, [("ab", seed) for seed in range(5)]) == (error, freedom)
    means = [np.mean(values[:3]), np.mean(values[3:])]
    assert error_over(values, [("ab", 0), ("ab", 1), ("ab", 2), ("ba", 0), ("ba", 1)]) == pytest.approx(
        (stats.sem(means), 1)
    )
    assert error_over([0.3, 0.5], [("ab", 0), ("ba", 0)]) == pytest.approx((0.1, 1))
    assert math.isnan(error_over([0.3], [("ab", 0)])[0])


@pytest.mark.parametrize("freedom", [(1, 4), (2, 12), (4, 10)])
def test_the_median_of_f(freedom):
    assert f_median(*freedom) == pytest.approx(stats.f.median(*freedom))


# --- pairs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (3, 3), (1, 8), (20, 5), (0, 6)])
def test_mcnemar_is_the_binomial_test(gained, lost):
    expected = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert mcnemar(gained, lost) == pytest.approx(expected)


@given(SCORES)
def test_the_permutation_test_counts_every_pattern_of_signs(pairs):
    one, two = halves(pairs)
    d = np.array(two) - np.array(one)
    signs = np.array(list(itertools.product((-1, 1), repeat=len(d))))
    expected = (np.abs(signs @ d) >= abs(d.sum()) - 1e-9).mean()
    assert paired_permutation(one, two) == pytest.approx(expected)
    assert paired_permutation(two, one) == pytest.approx(expected)


def test_a_drawn_permutation_test_is_near_the_exact_one_and_repeats():
    rng = np.random.default_rng(0)
    one, two = rng.random(60), rng.random(60) + 0.07
    exact = stats.permutation_test(
        (two - one,), np.mean, permutation_type="samples", n_resamples=20000, rng=np.random.default_rng(1)
    ).pvalue
    assert paired_permutation(one, two) == pytest.approx(exact, abs=0.01)
    assert paired_permutation(one, two) == paired_permutation(one, two)


def test_clusters_flip_together():
    groups = [i // 10 for i in range(200)]
    one = np.zeros(200)
    two = np.repeat(np.random.default_rng(3).integers(0, 2, 20), 10).astype(float)
    two[:100] = 1.0
    alone, together = paired_permutation(one, two), paired_permutation(one, two, groups=groups)
    assert alone < 1e-20
    assert 1e-5 < together < 0.05
    wide = paired_difference(one, two, groups=groups)
    narrow = paired_difference(one, two)
    assert wide.value == narrow.value
    assert wide.high - wide.low > 2.5 * (narrow.high - narrow.low)


@given(SCORES)
def test_a_difference_lies_in_its_interval_and_turns_with_its_sign(pairs):
    one, two = halves(pairs)
    there, back = paired_difference(one, two), paired_difference(two, one)
    assert there.value == pytest.approx(np.mean(two) - np.mean(one))
    assert -1 <= there.low < there.high <= 1
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))


def test_what_could_not_be_marked_is_no_pair():
    whole = paired_difference([1, 0, 1, 0], [0, 0, 1, 1])
    assert paired_difference([1, math.nan, 0, 1, 0], [0, 1, 0, 1, 1]) == whole
    assert whole.items == 4
    nothing = paired_difference([math.nan], [1.0])
    assert nothing.items == 0
    assert math.isnan(nothing.low)
    for test in (paired_difference, paired_permutation, drop_p):
        with pytest.raises(ValueError, match="2 and 1 scores do not pair up"):
            test([1, 0], [1])


@pytest.mark.parametrize(("gained", "lost"), [(2, 10), (5, 5), (0, 4), (30, 60)])
def test_the_drop_test_is_the_mid_p_of_the_binomial(gained, lost):
    old = [0.0] * gained + [1.0] * lost + [1.0] * 20
    new = [1.0] * gained + [0.0] * lost + [1.0] * 20
    law = stats.binom(gained + lost, 0.5)
    assert drop_p(old, new) == pytest.approx(law.cdf(gained) - 0.5 * law.pmf(gained))
    assert drop_p(old, old) == 1.0


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    found = holm([math.nan, 0.02])
    assert math.isnan(found[0])
    assert found[1] == 0.02
    assert holm([]) == []


# --- bootstrap ------------------------------------------------------------------------------------------------


def test_all_rows_see_the_same_items():
    scores = np.array([[0.0, 1.0, 1.0, 0.0] * 20, [1.0, 0.0, 0.0, 1.0] * 20])
    drawn = row_draws(scores, item_weights("x", 80, 500))
    np.testing.assert_allclose(drawn.sum(axis=1), 1.0)
    assert drawn[:, 0].std() == pytest.approx(math.sqrt(0.25 / 80), rel=0.1)
    assert np.array_equal(item_weights("x", 80, 5), item_weights("x", 80, 5))
    assert not np.array_equal(item_weights("x", 80, 5), item_weights("y", 80, 5))


def test_whole_groups_are_drawn():
    for size in (5, 50):
        weights = item_weights("x", 100, 50, [i // size for i in range(100)]).reshape(50, 100 // size, size)
        assert (weights == weights[:, :, :1]).all()
        assert weights.std() > 0


def test_an_interval_adds_what_seeds_and_what_items_would_change():
    draws = np.array([0.4, 0.6] * 50)
    alone = interval([0.5], [draws])
    assert alone == pytest.approx((0.3, 0.7), abs=1e-4), "t with 60 degrees"
    several = interval([0.4, 0.5, 0.6], [draws] * 3)
    half = stats.t.ppf(0.975, 2) * 0.1 / math.sqrt(3)
    assert (several.low, several.high) == pytest.approx(
        (0.5 - math.hypot(half, 0.2), 0.5 + math.hypot(half, 0.2)), abs=1e-4
    )
    seeds_alone = interval([0.4, 0.5, 0.6], [])
    assert seeds_alone.half == pytest.approx(half)
    assert math.isnan(interval([0.5], []).low)
    assert math.isnan(interval([math.nan], [draws]).low)
    biased = interval([0.5], [draws + 0.05])
    half = math.hypot(0.2, 2 * 0.05)
    assert biased == pytest.approx((0.45 - half - 0.05, 0.45 + half), abs=1e-4), "the bias is taken off, and doubted"


# --- ranks, power, drift ----------------------------------------------------------------------------------------


def test_ranks():
    scores = np.array([[0.9, 0.8, 0.7, 0.9], [0.5, 0.9, 0.6, 0.4], [0.1, 0.2, math.nan, 0.1]])
    found = rank_intervals(scores)
    assert [mean for mean, _, _ in found] == [1.25, 1.75, 3.0]
    assert found[2][1:] == pytest.approx((3 - 1.96 / 4, 3), abs=1e-3), "four equal ranks are no certainty"
    assert found[0][1] == 1.0
    assert found[0][2] > 1.25
    assert rank_intervals(-scores, higher=False)[0][0] == 1.25
    assert rank_intervals(np.array([[0.5], [0.5]])) == [(1.5, 1.0, 2.0), (1.5, 1.0, 2.0)]


def test_power_is_what_simulation_finds():
    rng, hits, items = np.random.default_rng(0), 0, 400
    for _ in range(1500):
        flips = rng.choice([-1, 0, 1], size=items, p=[0.10, 0.85, 0.05])
        hits += mcnemar(int((flips > 0).sum()), int((flips < 0).sum())) <= 0.05
    assert power_of(-0.05, 0.15, items) == pytest.approx(hits / 1500, abs=0.05)
    assert power_of(0.05, 0.15, int(items_needed(0.05, 0.15))) == pytest.approx(0.8, abs=0.01)
    assert items_needed(0.0, 0.1) == math.inf
    assert drop_seen(0.15, 0) == math.inf


def test_seeds_needed_is_the_paired_t_test():
    rng, n = np.random.default_rng(0), int(seeds_needed(5.0, 4.0))
    found = np.mean([stats.ttest_1samp(rng.normal(5.0, 4.0, n), 0.0).pvalue <= 0.05 for _ in range(2000)])
    assert found == pytest.approx(0.83, abs=0.05)
    assert seeds_needed(0.0, 1.0) == math.inf
    assert seeds_needed(1.0, 0.0) == 2.0


def test_an_alarm_comes_once_in_as_many_rounds_as_asked():
    limit, rng = limit_for(100), np.random.default_rng(1)
    lengths = []
    for _ in range(300):
        values = rng.standard_normal(1500)
        alarm = cusum(values, target=0.0, deviation=1.0, limit=limit).alarm
        lengths.append(1500 if alarm is None else alarm + 1)
    assert np.mean(lengths) == pytest.approx(100, rel=0.15)
    fallen = [cusum(rng.standard_normal(60) - 1.0, 0.0, 1.0, limit).alarm for _ in range(200)]
    assert all(a is not None for a in fallen)
    assert np.mean(fallen) < 9


def test_a_rise_is_no_alarm_and_a_hole_changes_nothing():
    assert cusum([1.0, 2.0, 3.0], 0.0, 1.0, limit=1.0).alarm is None
    assert cusum([-2.0, math.nan, -2.0], 0.0, 1.0, limit=2.0).sums == (1.5, 1.5, 3.0)
    assert cusum([-2.0, math.nan, -2.0], 0.0, 1.0, limit=2.0).alarm == 2
    assert limit_for(1.0) == 0.0
    assert false_alarm_rate(4.0, 30, history=5) > false_alarm_rate(4.0, 30)


# --- gate ---------------------------------------------------------------------------------------------------------


def pair(name, lost, gained, num=400):
    old = np.array([1.0] * lost + [0.0] * gained + [1.0] * (num - lost - gained))
    new = np.array([0.0] * lost + [1.0] * gained + [1.0] * (num - lost - gained))
    return (name, old, new, None)


def test_a_drop_must_be_real_and_large_enough():
    fell, noisy, small, better = judge_exams(
        [pair("fell", 40, 5), pair("noisy", 30, 22), pair("small", 7, 0), pair("better", 0, 30)], margin=0.02
    )
    assert [v.regressed for v in (fell, noisy, small, better)] == [True, False, False, False]
    assert (fell.lost, fell.gained) == (40, 5)
    assert fell.change.value == pytest.approx(-35 / 400)
    assert small.p < 0.05, "surely lower, and by less than the margin"
    assert judge_exams([pair("small", 7, 0)], margin=0.02, margins={"small": 0.01})[0].regressed
    assert noisy.floor > small.floor > 0


def test_more_exams_need_more_proof():
    alone = judge_exams([pair("a", 12, 3)], margin=0.02)[0]
    among = judge_exams([pair("a", 12, 3), *(pair(f"x{i}", 5, 5) for i in range(9))], margin=0.02)[0]
    assert alone.regressed
    assert not among.regressed
    assert among.p == pytest.approx(10 * alone.p)


def test_an_exam_without_marks_is_no_regression():
    (verdict,) = judge_exams([("x", np.array([math.nan]), np.array([1.0]), None)], margin=0.0)
    assert not verdict.regressed
    assert math.isnan(verdict.old)


@settings(max_examples=30)
@given(st.integers(0, 60), st.integers(0, 60))
def test_never_at_a_gain(lost, gained):
    (verdict,) = judge_exams([pair("x", lost, gained)], margin=0.0)
    assert not (verdict.regressed and gained >= lost)


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(ROOT / "bench"))
    try:
        import intervals
    finally:
        sys.path.pop(0)
    return intervals


@pytest.mark.slow
def test_one_score_holds_the_truth_as_often_as_it_says(bench):
    for items in (10, 30, 100):
        lowest, mean = bench.exact(items)
        assert lowest > 0.925
        assert 0.94 < mean < 0.975
    for groups, size in ((3, 30), (10, 30)):
        lowest, _ = bench.one_score(np.random.default_rng(1), 100, bench.Parts(groups, size))
        assert lowest > 0.95 - 4 * math.sqrt(0.05 * 0.95 / 100)


@pytest.mark.parametrize(("groups", "size"), [(30, 1), (3, 30), (10, 30), (30, 4)])
def test_paired_differences_hold_the_truth_as_often_as_they_say(bench, groups, size):
    covered, called = bench.pairs(np.random.default_rng(2), 300, bench.Parts(groups, size), 0.15, 0.15)
    assert covered > 0.95 - 3 * math.sqrt(0.05 * 0.95 / 300)
    assert called < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("exams", "groups", "size", "share"), [(4, 10, 1, 0.98), (4, 10, 1, 0.5), (4, 3, 16, 0.5), (10, 3, 16, 0.98)]
)
def test_figures_of_few_items_and_groups_hold_the_truth(bench, exams, groups, size, share):
    covered, called = bench.average(np.random.default_rng(3), 80, exams, bench.Parts(groups, size, 0.2), share)
    slack = 3 * math.sqrt(0.05 * 0.95 / 80)
    assert covered > 0.95 - slack
    assert called < 0.05 + slack


@pytest.mark.slow
def test_figures_of_groups_of_unequal_size_hold_the_truth(bench):
    """Sizes by Zipf's law, correlation 0.6: 86 to 92 % of intervals did, as samples show the few large groups alone."""
    covered, called = bench.average(np.random.default_rng(1), 120, 4, bench.Parts(30, bench.ZIPF, 0.6), 0.5)
    assert covered > 0.94
    assert called < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 120)


def test_all_right_is_no_certainty():
    assert score_interval([1.0] * 10)[1:] == pytest.approx((0.7225, 1.0), abs=1e-3), "Wilson's, the wider one"
    groups = [i // 30 for i in range(90)]
    low = score_interval([1.0] * 90, groups=groups)[1]
    assert low == pytest.approx(wilson(1.0, 3)[0]), "three groups that are all right are worth three items"
    one = np.array([1.0] * 50)
    samples = Samples(one, np.zeros((1, 4)), np.full(4, 10.0), np.full(4, 9.0), np.ones(4), np.full(4, 1 / 40))
    low, high = interval([1.0], [samples], (0.0, 1.0))
    assert (low, high) == pytest.approx((wilson(1.0, 40)[0], 1.0), abs=0.01), "four exams of ten: forty items"
    (low, high), p = difference_of([1.0], [samples], [1.0], [samples])
    assert low < 0 < high
    assert p == 1.0


@pytest.mark.slow
def test_the_gate_rings_as_often_as_it_says(bench):
    rng = np.random.default_rng(1)
    assert bench.exact_alarms() <= 0.05
    assert bench.gate(rng, 300, 0.0, exams=8) < 0.05 + 0.03
    assert bench.gate(rng, 300, 0.05) > 0.8


def test_the_simulation_says_so_where_a_figure_is_out(bench, monkeypatch, capsys):
    monkeypatch.setattr(bench, "rows", lambda runs, seed: [("x", 0.5, (0.93, 0.97))])
    monkeypatch.setattr(sys, "argv", ["intervals.py", "--check"])
    assert bench.main() == 1
    assert "| x | 50.0 % | 93 to 97 % ! |" in capsys.readouterr().out


@pytest.mark.parametrize("seeds", [(1, 1), (2, 2), (3, 3), (3, 2)])
def test_p_and_interval_of_a_difference_never_disagree(seeds):
    rng = np.random.default_rng(sum(seeds))
    for shift in (0.0, 0.05, 0.15, 0.3):
        sides = []
        for num, move in zip(seeds, (0.0, shift), strict=True):
            rows = np.clip(rng.random((num, 40)) + move, 0, 1).round()
            values = row_draws(rows, item_weights("one exam", 40, 200)).T
            one = np.ones(1)
            draws = [Samples(v, v[:50, None], 40 * one, 39 * one, one, one / 40) for v in values]
            sides += [[float(row.mean()) for row in rows], draws]
        (low, high), p = difference_of(*sides)
        assert (p <= 0.05) == (not low <= 0 <= high)
        assert 0 < p <= 1
