"""Forgotten and gained items: simulated learners whose transitions are known, and a second way to the estimates."""

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import minimize

from clbench.stats.transitions import BeforeAfter, moves, shares

EXAMS = 200
NUM = 150


def answered(rng, known, rates):
    """Return right (1) and wrong (0) of items: what is known is right, the rest is guessed."""
    return np.where(known | (rng.random(len(rates)) < rates), 1.0, 0.0)


def exam_of(rng, forgets, gains, rates, knows=0.6, later=None, groups=None):
    """Simulate an exam asked twice; return it with the shares of items that truly were forgotten and gained."""
    groups = np.arange(len(rates)) if groups is None else groups
    before, fate = rng.random(groups.max() + 1) < knows, rng.random(groups.max() + 1)
    after = np.where(before, fate >= forgets, fate < gains)
    later = rates if later is None else later
    known = (before[groups], after[groups])
    return BeforeAfter(answered(rng, known[0], rates), answered(rng, known[1], later), rates, later)


def found_of(asked, groups=()):
    return shares([[moves(asked, "an exam", groups)]])


def by_likelihood(asked):
    """Estimate (forgotten, gained) by maximum likelihood over the four states, for one guess rate."""
    g = float(asked.rate_before[0])
    counts = [
        float(((asked.before == b) & (asked.after == a)).sum()) for b, a in itertools.product((1.0, 0.0), repeat=2)
    ]
    # Rows: right-right, right-wrong, wrong-right, wrong-wrong; columns: known twice, forgotten, gained, never known.
    table = np.array(
        [[1, g, g, g * g], [0, 1 - g, 0, g * (1 - g)], [0, 0, 1 - g, g * (1 - g)], [0, 0, 0, (1 - g) ** 2]]
    )

    def loss(z):
        states = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
        return -float(np.dot(counts, np.log(np.maximum(table @ states, 1e-300))))

    best = min((minimize(loss, z, method="Nelder-Mead", options=EXACT) for z in STARTS), key=lambda r: r.fun)
    states = np.exp(best.x) / np.exp(best.x).sum()
    return states[1], states[2]


EXACT = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 20000, "maxfev": 20000}
STARTS = np.array([[0.0, 0, 0, 0], [1.0, 0, -1, 0]])


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.25, 0.5])
def test_estimates_are_those_of_maximum_likelihood(rate):
    rng = np.random.default_rng(3)
    asked = exam_of(rng, 0.4, 0.5, np.full(400, rate))
    found = found_of(asked)
    assert (found["forgotten"].value, found["gained"].value) == pytest.approx(by_likelihood(asked), abs=1e-3)


MIXED = np.array([1 / 2, 1 / 3, 1 / 4, 1 / 10, 0.0] * 30)


@pytest.mark.parametrize("rates", [np.full(NUM, 0.25), np.full(NUM, 0.5), MIXED], ids=["four", "two", "mixed"])
def test_a_pure_guesser_forgets_and_gains_nothing(rates):
    rng = np.random.default_rng(5)
    units = [moves(exam_of(rng, 0.0, 0.0, rates, knows=0.0), "an exam").units.mean(axis=1) for _ in range(400)]
    means, errors = np.mean(units, axis=0), np.std(units, axis=0) / 20
    assert abs(means[0]) < 3 * errors[0], "forgotten is 0 in the mean of many exams"
    assert abs(means[1]) < 3 * errors[1]
    assert means[2] > 0.05, "which raw counts are not"


def test_one_guess_rate_for_items_that_differ_would_not_do():
    rng = np.random.default_rng(6)
    found = []
    for _ in range(400):
        asked = exam_of(rng, 0.0, 0.0, MIXED, knows=0.0)
        even = np.full(NUM, MIXED.mean())
        found.append(moves(BeforeAfter(asked.before, asked.after, even, even), "an exam").units[0].mean())
    assert np.mean(found) < -4 * np.std(found) / 20


CASES = {
    "words": (0.3, 0.2, np.zeros(NUM), None),
    "four choices": (0.3, 0.2, np.full(NUM, 0.25), None),
    "little": (0.05, 0.0, np.full(NUM, 0.25), None),
    "all": (1.0, 0.0, np.full(NUM, 0.25), None),
    "mixed": (0.4, 0.3, MIXED, None),
    "growing": (0.3, 0.2, np.full(NUM, 0.5), np.full(NUM, 0.1)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_known_transitions_come_back_and_lie_in_their_intervals(name):
    forgets, gains, rates, later = CASES[name]
    rng = np.random.default_rng(7)
    found = [found_of(exam_of(rng, forgets, gains, rates, later=later)) for _ in range(EXAMS)]
    for share, true in (("forgotten", 0.6 * forgets), ("gained", 0.4 * gains)):
        values = [f[share].value for f in found]
        error = np.std(values) / math.sqrt(EXAMS)
        near_the_edge = 0.01 if true < 0.05 else 0.0  # estimates are kept above 0, so their mean is not
        assert np.mean(values) == pytest.approx(true, abs=4 * error + near_the_edge)
        covered = np.mean([f[share].low <= true <= f[share].high for f in found])
        assert covered >= 0.9, (name, share, covered)
        assert all(0 <= f[share].low <= f[share].value <= f[share].high <= 1 for f in found)


@pytest.mark.slow
def test_the_interval_of_a_pure_guesser_holds_nothing():
    rng = np.random.default_rng(8)
    found = [found_of(exam_of(rng, 0, 0, MIXED, knows=0.0)) for _ in range(EXAMS)]
    for share in ("forgotten", "gained"):
        assert np.mean([f[share].low <= 0 for f in found]) >= 0.9
        assert np.mean([f[share].value for f in found]) < 0.06


@pytest.mark.slow
def test_intervals_of_groups_hold_the_truth():
    rng = np.random.default_rng(9)
    sizes = [1, 2, 5, 8] * 10
    groups = np.repeat(np.arange(len(sizes)), sizes)
    names = [f"g{k}" for k in groups]
    rates = np.full(len(groups), 0.25)
    found = [found_of(exam_of(rng, 0.4, 0.3, rates, groups=groups), names) for _ in range(EXAMS)]
    alone = [found_of(exam_of(rng, 0.4, 0.3, rates, groups=groups)) for _ in range(EXAMS)]
    for share, true in (("forgotten", 0.24), ("gained", 0.12)):
        assert np.mean([f[share].low <= true <= f[share].high for f in found]) >= 0.9
    held = np.mean([f["forgotten"].low <= 0.24 <= f["forgotten"].high for f in alone])
    assert held < 0.9, "items of a group move together: without groups intervals are too short"


def test_free_text_needs_no_correction():
    asked = exam_of(np.random.default_rng(2), 0.3, 0.2, np.zeros(NUM))
    found = found_of(asked)
    assert found["forgotten"].value == pytest.approx(found["forgotten_raw"].value)
    assert found["gained"].value == pytest.approx(found["gained_raw"].value)
    assert found["forgotten_raw"].value == ((asked.before == 1) & (asked.after == 0)).mean()


def test_estimates_stay_within_what_is_possible():
    num, rate = 40, 0.5
    rates = np.full(num, rate)
    fell = BeforeAfter(np.ones(num), np.zeros(num), rates, rates)  # twice as much as guessing can lose
    assert (found_of(fell)["forgotten"].value, found_of(fell)["gained"].value) == (1.0, 0.0)
    wrong = BeforeAfter(np.zeros(num), np.zeros(num), rates, rates)  # less than guessing gets right
    assert (found_of(wrong)["forgotten"].value, found_of(wrong)["gained"].value) == (0.0, 0.0)
    little = BeforeAfter(np.repeat([1.0, 0.0], 20), np.repeat([0.0, 1.0], 20), rates, rates)
    assert found_of(little)["forgotten"].value == 0.0, "half are right before, as guessing has it: nothing was known"


def test_the_very_same_answers_moved_nothing():
    asked = exam_of(np.random.default_rng(2), 0.0, 0.0, np.full(NUM, 0.25))
    found = shares([[moves(asked, "an exam", same=True)]])
    assert [(s.value, s.low, s.high) for s in found.values()] == [(0.0, 0.0, 0.0)] * 4


def test_what_is_neither_right_nor_wrong_is_not_defined():
    one, none = np.ones(3), np.zeros(3)
    assert BeforeAfter(one, none, none, none).is_defined()
    assert BeforeAfter(np.array([1.0, np.nan, 0.0]), one, none, none).is_defined()
    assert not BeforeAfter(np.array([1.0, 0.5, 0.0]), one, none, none).is_defined()
    assert not BeforeAfter(np.full(3, np.nan), one, none, none).is_defined()
    assert not BeforeAfter(one, none, none, one).is_defined(), "guesses that are always right show nothing"


def test_means_over_exams_and_seeds():
    rng = np.random.default_rng(4)
    exams = [[moves(exam_of(rng, f, 0.2, np.full(NUM, 0.25)), name) for f, name in ((0.2, "a"), (0.6, "b"))]]
    exams += [[moves(exam_of(rng, f, 0.2, np.full(NUM, 0.25)), name) for f, name in ((0.2, "a"), (0.6, "b"))]]
    both, first = shares(exams), shares(exams[:1])
    one = np.mean([[m.units[0].mean() for m in seed] for seed in exams])
    assert both["forgotten"].value == pytest.approx(one)
    assert both["forgotten"].low < first["forgotten"].value < both["forgotten"].high
