"""The test of a claim by a sample: its arithmetic by hand, its false alarms and its power by simulation."""

import math

import numpy as np
import pytest

from clbench.stats.overstated import overstatement
from clbench.stats.power import detectable

DRAWS = 1500


def alarms(raised, num, noise, level=0.01, seed=0):
    """Return how often a claim is called overstated: answers differ in how often a judge passes them."""
    rng = np.random.default_rng(seed)
    found = 0
    for _ in range(DRAWS):
        passes = np.where(rng.random(num) < 0.25, 1 - noise * rng.random(num), noise * rng.random(num))
        claim, again = rng.random((2, num)) < passes
        claim = claim | (rng.random(num) < raised)
        lost, gained = int((claim & ~again).sum()), int((again & ~claim).sum())
        tail = sum(math.comb(lost + gained, k) for k in range(lost, lost + gained + 1)) / 2 ** (lost + gained)
        found += tail < level
    return found / DRAWS


@pytest.mark.parametrize("noise", [0.02, 0.15, 0.5])
def test_honest_claims_are_accused_no_more_often_than_said(noise):
    error = 3 * math.sqrt(0.01 * 0.99 / DRAWS)
    assert alarms(0.0, 200, noise) <= 0.01 + error


def test_raised_verdicts_are_found_as_often_as_planned():
    rng = np.random.default_rng(1)
    passes = np.where(rng.random(4000) < 0.25, 1 - 0.15 * rng.random(4000), 0.15 * rng.random(4000))
    claim, again = rng.random((2, 4000)) < passes
    planned = overstatement([*map(bool, claim[:300])], [*map(bool, again[:300])]).seen
    assert 0.05 < planned < 0.12
    assert alarms(0.20, 300, 0.15) > 0.99
    assert alarms(0.05, 300, 0.15) < 0.6  # too few for a small forgery, and `seen` says so
    assert alarms(0.05, 2500, 0.15) > 0.95


def test_the_arithmetic_is_that_of_the_binomial():
    claimed, again = [True] * 30 + [False] * 70, [True] * 18 + [False] * 12 + [True] * 3 + [False] * 67
    found = overstatement(claimed, again)
    assert (found.lost, found.gained, found.sampled) == (12, 3, 100)
    assert found.p == pytest.approx(sum(math.comb(15, k) for k in range(12, 16)) / 2**15)
    assert found.change.value == pytest.approx(-0.09)
    assert found.change.low < -0.09 < found.change.high < 0


def test_a_judge_without_noise_needs_one_lost_verdict():
    assert overstatement([True, True, False], [True, False, False], noisy=False).p == 0.0
    assert overstatement([True, False], [True, True], noisy=False).p == 1.0
    assert overstatement([True] * 10, [True] * 10, noisy=False).seen == pytest.approx(1 - 0.2**0.1)


def test_what_the_page_on_statistics_says_of_sizes():
    one = [True] * 25 + [False] * 375
    assert round(100 * overstatement([*one], [False] * 25 + [True] * 25 + [False] * 350).seen, 1) == 5.6
    assert round(100 * detectable(0.125, 1500, level=0.02), 1) == 2.9


def test_nothing_sampled_says_nothing():
    found = overstatement([], [])
    assert (found.p, found.sampled) == (1.0, 0)
    with pytest.raises(ValueError, match="zip"):
        overstatement([True], [])
