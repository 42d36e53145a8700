"""Skewed scores and groups of unequal size: intervals hold, simulated from scratch."""

import numpy as np
import pytest

from clbench.stats.gate import Pairs, judge_exams, worse_p
from clbench.stats.paired import paired_difference
from clbench.stats.single import score_interval


def falls(rng, groups: int, share: float):
    """Draw graded scores before and after in groups of unequal size; a share of whole groups falls, nothing rises."""
    places = np.repeat(np.arange(groups), np.maximum(1, rng.geometric(1 / 8, groups)))
    before = rng.choice([0.25, 0.5, 0.75, 1.0], len(places))
    fell = (rng.random(groups) < share)[places]
    return before, np.where(fell, 0.0, before), places.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("groups", [10, 30])
def test_groups_that_fall_as_a_whole_are_not_missed(groups):
    """10 % of groups fall: 80 % of intervals held the truth, and 1 of 4 calls "not worse" were wrong."""
    rng, runs, truth = np.random.default_rng(groups), 200, -0.1 * 0.625
    held = wrong = 0
    for turn in range(runs):
        before, after, places = falls(rng, groups, 0.1)
        found = paired_difference(before, after, groups=places)
        held += found.low <= truth <= found.high
        wrong += turn < runs / 2 and worse_p(Pairs("x", before, after, places), -truth) <= 0.05
    assert held / runs >= 0.9
    assert wrong / (runs / 2) <= 0.15


@pytest.mark.parametrize(("items", "least"), [(10, 0.87), (30, 0.91), (100, 0.91)])
def test_many_scores_near_an_end_and_few_far_from_it(items, least):
    """Beta(0.2, 1.8), no two scores alike: 81 % of intervals of ten held 0.1."""
    rng, runs = np.random.default_rng(items), 400
    ends = [score_interval(rng.beta(0.2, 1.8, items))[1:] for _ in range(runs)]
    assert np.mean([low <= 0.1 <= high for low, high in ends]) >= least


def test_a_clear_fall_needs_no_thousands_of_items():
    """-20.8 points of 24 items among nine rows, nearly shown: items are told for this fall, not for one of 2 points."""
    old = np.ones(24)
    new = np.where(np.arange(24) < 5, 0.0, 1.0)
    alike = [(f"x{k}", old, old, None) for k in range(8)]
    verdict = judge_exams([("reading", old, new, None), *alike], margin=0.02)[0]
    assert verdict.state == "not shown"
    assert 24 < verdict.needed < 200


def long_tailed(rng, groups: int):
    """Draw groups of which most hold an item or two, and a few dozens; numbers of items follow Zipf's law."""
    return np.repeat(np.arange(groups), np.minimum(rng.zipf(1.5, groups), 60))


@pytest.mark.slow
@pytest.mark.parametrize(("groups", "lost"), [(30, 0.3), (100, 0.05)])
def test_a_few_large_groups_that_have_not_fallen_yet_are_not_forgotten(groups, lost):
    """Whole groups are lost: 81 to 87 % of intervals held the truth, and 16 to 25 % of calls "not worse" were wrong."""
    rng, runs = np.random.default_rng(groups), 120
    held = wrong = 0
    for _ in range(runs):
        places = long_tailed(rng, groups)
        after = 1.0 - (rng.random(groups) < lost)[places]
        found = paired_difference(np.ones(len(places)), after, groups=places.tolist())
        held += found.low <= -lost <= found.high
        wrong += worse_p(Pairs("x", np.ones(len(places)), after, places.tolist()), lost) <= 0.05
    assert held / runs >= 0.93
    assert wrong / runs <= 0.08


def test_answers_that_are_worded_anew_prove_no_more_than_equal_ones():
    """Every score moves a little and one of twenty falls: 37 % of intervals of ten held the truth."""
    rng, runs, truth = np.random.default_rng(3), 200, -0.05 * 5 / 6
    held = 0
    for _ in range(runs):
        change = np.where(rng.random(10) < 0.05, -rng.beta(5, 1, 10), rng.normal(0, 0.02, 10))
        found = paired_difference(np.maximum(-change, 0), np.maximum(change, 0))
        held += found.low <= truth <= found.high
    assert held / runs >= 0.87
