import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm, permutation_test, t, ttest_1samp, ttest_rel

from clbench.stats import drift, paired, power, ranks
from clbench.stats.effect import design_effect

UNIT = st.floats(0, 1, allow_nan=False).map(lambda v: round(v, 3))
MARK = st.sampled_from([0.0, 1.0])
QUICK = settings(max_examples=40, deadline=None)


def pairs_of(values, least=2, most=40):
    return st.lists(st.tuples(values, values), min_size=least, max_size=most).map(lambda p: np.array(p).T)


def flips(gained, lost, same):
    """Scores of two models on 0/1 items, `same` of which both get right."""
    one = [0.0] * gained + [1.0] * (lost + same)
    return one, [1.0] * gained + [0.0] * lost + [1.0] * same


# Paired differences


def test_published_example():
    """Cavo 2012 in Fagerland, Lydersen & Laake, "Statistical Analysis of Contingency Tables", chapter 8."""
    one, two = flips(6, 16, 139)
    found = paired.paired_difference(one, two)
    assert found == pytest.approx((-0.0621, -0.1240, -0.0054, 161), abs=5e-5)
    assert 2 * paired.drop_p(one, two) == pytest.approx(0.034690, abs=5e-7)


def test_identical_scores_still_have_an_interval():
    """Tango's ends for no flips in n pairs are z^2 / (n + z^2) on both sides."""
    z2 = norm.ppf(0.975) ** 2
    for num in (30, 400):
        found = paired.paired_difference([1.0] * num, [1.0] * num)
        assert found.value == 0
        assert (-found.low, found.high) == (pytest.approx(z2 / (num + z2)), pytest.approx(z2 / (num + z2)))


def test_graded_scores_on_every_item_get_students_interval():
    chance = np.random.default_rng(1)
    one, two = chance.random(40), chance.random(40)
    ends = ttest_1samp(two - one, 0).confidence_interval(0.95)
    found = paired.paired_difference(one, two)
    assert (found.low, found.high) == (pytest.approx(ends.low), pytest.approx(ends.high))


def test_graded_scores_with_ties_by_hand():
    """Differences 0, 0, .5, -.25: w = 1/2, r^2 = .15625, n + 2w = 5, c = .05."""
    found = paired.paired_difference([0, 0, 0, 0.25], [0, 0, 0.5, 0])
    squares = 2 * 0.05**2 + 0.45**2 + 0.30**2 + 0.15625
    width = t.ppf(0.975, 3) * math.sqrt(squares * 4 / 3) / 5
    assert (found.low, found.high) == (pytest.approx(0.05 - width), pytest.approx(0.05 + width))


@pytest.mark.parametrize("shift", [0.0, 0.25, 0.5])
def test_equal_graded_differences_have_width(shift):
    found = paired.paired_difference([0.25] * 30, [0.25 + shift] * 30)
    assert found.low < found.value < found.high and found.high - found.low < 0.3
    assert found.value == shift


def test_copies_of_an_item_add_nothing():
    """Four copies of every item in groups of four say what the items said; without groups they would say more."""
    one, two = flips(6, 12, 22)
    copied = [np.repeat(scores, 4) for scores in (one, two)]
    groups = [i // 4 for i in range(160)]
    plain, grouped = paired.paired_difference(one, two), paired.paired_difference(*copied, groups=groups)
    blind = paired.paired_difference(*copied)
    assert grouped.value == pytest.approx(plain.value)
    assert (grouped.high - grouped.low) == pytest.approx(plain.high - plain.low, rel=0.08)
    assert (blind.high - blind.low) < 0.6 * (grouped.high - grouped.low)


def test_design_effect_by_hand():
    """Groups of 2, 2 and 4 with sums 2, 0 and -3: the jackknife's variance over the plain one; worth 8/3 groups."""
    differences, groups = np.array([1.0, 1, 0, 0, -1, -1, -1, 0]), [0, 0, 1, 1, 2, 2, 2, 2]
    mean = -1 / 8
    robust = (((2 - 2 * mean) * 4 / 3) ** 2 + (2 * mean * 4 / 3) ** 2 + ((3 + 4 * mean) * 2) ** 2) * 2 / 3
    plain = ((differences - mean) ** 2).sum()
    size, unseen = (4 + 4 + 16) / 8, 9 / (3 + plain)
    whole = robust + size * unseen
    effect, freedom = whole / (plain + unseen), (8 / 3 - 1) * (whole / robust) ** 2
    assert design_effect(differences - mean, np.array(groups)) == pytest.approx((effect, freedom))
    expected = t.cdf(-1 / math.sqrt(5 * effect), freedom)
    assert paired.drop_p(np.zeros(8), differences, groups=groups) == pytest.approx(expected)


def test_graded_groups_by_hand():
    """Groups of 1 and 3 of differences .5 and -.25, 0, .25: w = 1/4, r^2 = .125, n + 2w = 4.5, c = .5 / 4.5."""
    centre = 0.5 / 4.5
    squares = ((0.5 - centre) * 4 / 3) ** 2 + (3 * centre * 4) ** 2
    error = math.sqrt(squares / 2 + 2 * 0.25 * 0.125 * 2) / 4.5
    flips = np.array([4, -2, 0, 2]) / 3  # unit: (.25 + .0625 + .0625) / 1
    effect, freedom = design_effect(flips - 1 / 3, np.array([0, 1, 1, 1]))
    score = t.cdf((4 / 3) / math.sqrt(8 / 3 * effect), freedom)
    p = paired.drop_p([0, 0.25, 0, 0], [0.5, 0, 0, 0.25], groups=["a", "b", "b", "b"])
    assert p == pytest.approx(max(t.cdf(centre / error, 1), score))


@pytest.mark.parametrize("size", [1.0, 0.5])
def test_groups_that_cancel_out_leave_an_interval(size):
    """Every group gains one item and loses one; that its sum is always 0 is luck, and no proof."""
    change = np.array([size, -size, 0.0, 0.0] * 10)
    found = paired.paired_difference(np.zeros(40), change, groups=[i // 4 for i in range(40)])
    assert 0.1 * size < found.high - found.low < 0.3


def test_three_groups_are_groups():
    """With 3 groups that differ as wholes, 2 degrees of freedom leave nearly all open."""
    one, two = [1.0] * 60, [0.0] * 20 + [1.0] * 40
    groups = [i // 20 for i in range(60)]
    found = paired.paired_difference(one, two, groups=groups)
    assert found.low < -0.9 and found.high > 0
    assert paired.paired_difference(one, two).high < -0.2


def test_groups_of_none_and_a_single_group_change_nothing():
    one, two = flips(3, 9, 28)
    plain = paired.paired_difference(one, two)
    for groups in ([None] * 40, ["all"] * 40, list(range(40))):
        assert paired.paired_difference(one, two, groups=groups) == plain
    assert paired.clusters(["a", None, "a", None], 4).tolist() == [0, 1, 0, 2]


@QUICK
@given(pairs_of(MARK), st.booleans())
def test_swapping_flips_the_interval(scores, grouped):
    one, two = scores
    groups = [i // 3 for i in range(len(one))] if grouped else None
    there, back = paired.paired_difference(one, two, groups=groups), paired.paired_difference(two, one, groups=groups)
    assert there.value == pytest.approx(-back.value)
    assert there.low == pytest.approx(-back.high, abs=1e-9) and there.high == pytest.approx(-back.low, abs=1e-9)
    assert paired.paired_permutation(one, two, groups=groups) == pytest.approx(
        paired.paired_permutation(two, one, groups=groups), abs=0.02
    )


@QUICK
@given(pairs_of(UNIT, least=1), st.sampled_from([None, 2, 5]))
def test_intervals_hold_the_estimate(scores, size):
    one, two = scores
    groups = None if size is None else [i // size for i in range(len(one))]
    for level in (0.5, 0.95):
        found = paired.paired_difference(one, two, groups=groups, level=level)
        assert -1 <= found.low <= found.value + 1e-12 and found.value - 1e-12 <= found.high <= 1
        assert found.low < found.high
    assert 0 <= paired.drop_p(one, two, groups=groups) <= 1


def test_nan_pairs_are_left_out():
    one, two = flips(3, 9, 28)
    holes_one, holes_two = [*one, math.nan, 1.0, 0.0], [*two, 1.0, math.nan, math.nan]
    assert paired.paired_difference(holes_one, holes_two) == paired.paired_difference(one, two)
    groups = [i // 4 for i in range(40)]
    assert paired.paired_difference(holes_one, holes_two, groups=[*groups, 0, "x", "y"]) == paired.paired_difference(
        one, two, groups=groups
    )
    first_is_empty = paired.paired_difference([math.nan, *one], [1.0, *two], groups=["none", *groups])
    assert first_is_empty == paired.paired_difference(one, two, groups=groups)
    assert paired.paired_permutation(holes_one, holes_two) == paired.paired_permutation(one, two)
    nothing = paired.paired_difference([math.nan], [1.0])
    assert math.isnan(nothing.value) and math.isnan(nothing.low) and nothing.items == 0
    assert paired.paired_difference([0.5], [1.0])[:3] == (0.5, -1.0, 1.0)


@pytest.mark.parametrize("call", [paired.paired_difference, paired.paired_permutation, paired.drop_p])
def test_unequal_lengths_are_refused(call):
    with pytest.raises(ValueError, match=r"2 and 3 scores .* same items"):
        call([0, 1], [0, 1, 1])
    with pytest.raises(ValueError, match="1 groups for 2 items"):
        call([0, 1], [1, 1], groups=["a"])


# Tests


@pytest.mark.parametrize(("gained", "lost"), [(0, 1), (3, 3), (2, 10), (40, 25), (0, 0)])
def test_mcnemar_is_the_binomial_test(gained, lost):
    expected = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert paired.mcnemar(gained, lost) == pytest.approx(expected)
    assert paired.paired_permutation(*flips(gained, lost, 7)) == pytest.approx(expected)


def test_permutation_counts_every_pattern():
    """Differences 1, 2, 3 (tenths): of 8 patterns only the two with equal signs reach 6."""
    assert paired.paired_permutation([0.0] * 3, [0.1, 0.2, 0.3]) == pytest.approx(0.25)
    chance = np.random.default_rng(3)
    one, two = chance.random(9), chance.random(9)
    theirs = permutation_test((one, two), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=np.inf)
    assert paired.paired_permutation(one, two) == pytest.approx(theirs.pvalue)


def test_drawn_patterns_come_close_to_t():
    chance = np.random.default_rng(4)
    one, noise = chance.random(200), chance.normal(0.02, 0.1, 200)
    two = np.clip(one + noise, 0, 1)
    p = paired.paired_permutation(one, two)
    assert p == pytest.approx(ttest_rel(one, two).pvalue, abs=0.01) and 0.0001 < p < 0.2
    assert p == paired.paired_permutation(one, two)
    assert p != paired.paired_permutation(one, two, seed=1)
    assert paired.paired_permutation(np.zeros(50), np.linspace(0.1, 0.9, 50), draws=99) == 1 / 100


def test_permutation_flips_whole_groups():
    """Four groups: of 16 patterns two are as far out, however many items each has."""
    one, two = [0.0] * 40, [1.0] * 40
    groups = [i // 10 for i in range(40)]
    assert paired.paired_permutation(one, two, groups=groups) == 2 / 16
    assert paired.paired_permutation(one, two) < 1e-10
    assert paired.paired_permutation([0.1, 0.3, 0.5, 0.5], [0.3, 0.1, 0.5, 0.5], groups=[0, 0, 1, 1]) == 1.0


def test_all_equal_is_no_evidence():
    assert paired.paired_permutation([0.3] * 9, [0.3] * 9) == 1.0
    assert paired.drop_p([0.3] * 9, [0.3] * 9) == 1.0
    assert math.isnan(paired.drop_p([math.nan], [0.3]))


def test_holm_by_hand():
    """Sorted .005 .01 .03 .04 times 4 3 2 1 is .02 .03 .06 .04, and .04 is raised to .06."""
    assert paired.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert paired.holm([0.01, math.nan, 0.9])[::2] == pytest.approx([0.02, 0.9])
    assert math.isnan(paired.holm([0.01, math.nan, 0.9])[1])
    assert paired.holm([]) == []


@QUICK
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_order_and_only_raises(p_values):
    adjusted = paired.holm(p_values)
    assert all(p <= a <= min(1, p * len(p_values)) + 1e-12 for p, a in zip(p_values, adjusted, strict=True))
    for i, p in enumerate(p_values):
        assert all(adjusted[i] <= adjusted[j] for j, q in enumerate(p_values) if p < q)


def test_drop_p_is_the_mid_p():
    """Gained 2 of 12: P(X < 2) + P(X = 2) / 2 = (1 + 12 + 33) / 4096."""
    assert paired.drop_p(*flips(2, 10, 30)) == pytest.approx(46 / 4096)
    assert paired.drop_p(*flips(10, 2, 30)) == pytest.approx(1 - 46 / 4096)


@pytest.mark.parametrize(("grain", "grouped"), [(4, False), (4, True), (1, True)])
def test_drop_p_and_interval_agree(grain, grouped):
    """Outside of McNemar's test both come from one statistic: p < a where the one-sided bound is below 0."""
    chance, agreed = np.random.default_rng(5), set()
    groups = [i // 4 for i in range(60)] if grouped else None
    for _ in range(60):
        one, two = (chance.binomial(grain, p, 60) / grain for p in (0.7, 0.6))
        below = paired.paired_difference(one, two, groups=groups, level=0.9).high < 0
        assert below == (paired.drop_p(one, two, groups=groups) < 0.05)
        agreed.add(below)
    assert agreed == {True, False}


# Bootstrap


# Ranks


def test_ranks_by_hand():
    """Ranks 1 2 3, 1.5 1.5 3 and 2 1 3; the third is last in every block, which of three is no certainty."""
    found = ranks.rank_intervals(np.array([[0.9, 0.5, 0.6], [0.8, 0.5, 0.7], [0.1, 0.1, math.nan]]))
    assert [mean for mean, _, _ in found] == pytest.approx([1.5, 1.5, 3])
    assert found[2][1:] == pytest.approx((3 - norm.ppf(0.975) / 3, 3), abs=1e-3)
    squares = 0.5**2 + 0.5**2
    seen = squares / 2 / 3
    whole = seen + 3 / (3 + squares) / 9
    half = t.ppf(0.975, 2 * (whole / seen) ** 2) * math.sqrt(whole)
    assert found[0][1:] == pytest.approx((1, 1.5 + half))
    lower = ranks.rank_intervals(np.array([[1.0, 2.0], [3.0, 4.0]]), higher=False)
    assert [mean for mean, _, _ in lower] == [1, 2]
    assert ranks.rank_intervals(np.array([[0.9], [0.8], [0.1]])) == [(1, 1, 3), (2, 1, 3), (3, 1, 3)]


@QUICK
@given(st.integers(2, 5), st.integers(2, 6), st.integers(0, 99))
def test_ranks_are_bounded(methods, blocks, seed):
    scores = np.random.default_rng(seed).integers(0, 4, (methods, blocks)).astype(float)
    found = ranks.rank_intervals(scores)
    assert sum(mean for mean, _, _ in found) == pytest.approx(methods * (methods + 1) / 2)
    assert all(1 <= low <= mean + 1e-9 and mean - 1e-9 <= high <= methods for mean, low, high in found)


# Power


def test_power_is_what_mcnemar_does():
    """The formula against the uncorrected test on simulated pairs."""
    cells = np.random.default_rng(8).multinomial(400, [0.10, 0.05, 0.85], size=20_000)
    statistic = (cells[:, 0] - cells[:, 1]) / np.sqrt(cells[:, 0] + cells[:, 1])
    assert power.power_of(0.05, 0.15, 400) == pytest.approx((statistic > norm.ppf(0.975)).mean(), abs=0.02)


@pytest.mark.parametrize(("difference", "discordant"), [(0.05, 0.15), (-0.02, 0.1), (0.1, 0.1), (0.3, 0.2)])
def test_items_needed_inverts_power(difference, discordant):
    needed = power.items_needed(difference, discordant, power=0.9)
    assert needed == int(needed) > 0
    assert power.power_of(difference, discordant, int(needed)) >= 0.9 - 1e-9
    assert needed == 1 or power.power_of(difference, discordant, int(needed) - 1) < 0.9
    assert needed >= power.items_needed(difference, discordant, power=0.8)


def test_no_difference_is_never_found():
    assert power.items_needed(0, 0.1) == math.inf and power.seeds_needed(0, 1) == math.inf
    assert power.power_of(0, 0.1, 10_000) == pytest.approx(0.025)
    assert power.power_of(0, 0, 100) == pytest.approx(0.025)
    assert power.seeds_needed(1e-6, 1) == math.inf and power.seeds_needed(1, 0) == 2
    assert power.drop_seen(0.1, 0) == math.inf


def test_drop_seen_is_found_by_the_gate():
    drop = power.drop_seen(0.10, 400)
    assert drop == pytest.approx((1.6449 + 0.8416) * math.sqrt(0.1 / 400), abs=1e-4)


def test_seeds_needed_by_simulation():
    """Standardised difference 1: ten seeds, and nine are too few (G*Power gives 10 as well)."""
    assert power.seeds_needed(1, 1) == 10
    drawn = np.random.default_rng(9).normal(1, 1, (20_000, 10))
    found = {n: (ttest_1samp(drawn[:, :n], 0, axis=1).pvalue < 0.05).mean() for n in (9, 10)}
    assert found[10] >= 0.795 and found[9] < 0.8
    needed = [power.seeds_needed(d, 1) for d in (5, 2, 1, 0.5, 0.1)]
    assert needed == sorted(needed) and needed[0] == 3 and needed[-1] == 787


# Drift


def run_lengths(limit, slack, drop=0.0, runs=3000, seed=0):
    chance, sums, rounds = np.random.default_rng(seed), np.zeros(runs), np.zeros(runs)
    alive = np.ones(runs, dtype=bool)
    while alive.any():
        rounds += alive
        sums = np.maximum(0, sums + chance.standard_normal(runs) + drop - slack)
        alive &= sums <= limit
    return rounds


@pytest.mark.parametrize(("run_length", "slack"), [(370, 0.5), (100, 0.5), (370, 0.25), (50, 1.0)])
def test_false_alarms_come_as_rarely_as_asked(run_length, slack):
    limit = drift.limit_for(run_length, slack)
    assert run_lengths(limit, slack).mean() == pytest.approx(run_length, rel=0.1)


def test_a_drop_of_one_deviation_is_found_soon():
    found = run_lengths(drift.limit_for(370), 0.5, drop=1.0)
    assert found.mean() < 10 and np.quantile(found, 0.95) < 20
    chance = np.random.default_rng(10)
    values = np.r_[chance.normal(0.8, 0.02, 30), chance.normal(0.78, 0.02, 30)]
    seen = drift.cusum(values.tolist(), target=0.8, deviation=0.02)
    assert seen.alarm is not None and 30 < seen.alarm < 50 and seen.limit == drift.limit_for(370)


def test_cusum_by_hand():
    """Drops of 2, 0, 3 deviations with slack 1/2: sums 1.5, 1, 3.5; a hole keeps the sum, a rise empties it."""
    seen = drift.cusum([0.6, 0.8, math.nan, 0.5, 1.8], target=0.8, deviation=0.1, limit=3.0)
    assert seen.sums == pytest.approx((1.5, 1.0, 1.0, 3.5, 0.0)) and seen.alarm == 3
    assert drift.cusum([0.9] * 50, target=0.8, deviation=0.1).alarm is None
    assert drift.cusum([], target=0.8, deviation=0.1).sums == ()
    often = drift.cusum([0.8], target=0.8, deviation=0.1, run_length=50).limit
    assert 0 < often < drift.limit_for(370) and drift.limit_for(1.01) == 0
    for bad in (0.0, math.nan):
        with pytest.raises(ValueError, match="above 0"):
            drift.cusum([0.8], target=0.8, deviation=bad)


def test_limits_without_overflow():
    limits = [drift.limit_for(1e12, slack) for slack in (0.01, 0.5, 3.0)]
    assert limits == sorted(limits, reverse=True) and all(math.isfinite(limit) for limit in limits)


def test_false_alarm_rate():
    limit = drift.limit_for(370)
    known = drift.false_alarm_rate(limit, 50)
    assert known == pytest.approx((run_lengths(limit, 0.5, seed=2) <= 50).mean(), abs=0.03)
    assert known == pytest.approx(1 - math.exp(-50 / 370), abs=0.04)
    assert drift.false_alarm_rate(limit, 50, history=10) > 1.5 * known
    assert drift.false_alarm_rate(50.0, 50) == 0 and drift.false_alarm_rate(0.0, 50) == 1
