"""The rule of the choice, against a second writing of it and case by case."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clbench.engine.tune_rule import Search, Tried, choose, num_kept


def search_of(grid, num_seeds=3, widen=3, legal=lambda settings, name, value: value):
    found = Search(grid, {}, num_seeds, widen, legal)
    found.tried += [Tried(dict(zip(grid, p, strict=True))) for p in itertools.product(*grid.values())]
    return found


def searched(search, score):
    """Run a search on a table of scores: `score(settings)` is (AP, FM) of each seed."""
    while search.due:
        for place in search.due:
            ap, fm = score(search.tried[place].settings)[0]
            search.add(place, [ap], [fm])
        for place in search.due_on_others:
            aps, fms = zip(*score(search.tried[place].settings)[1:], strict=True)
            search.add(place, aps, fms)
        search.widen()
    return search


# --- a second writing of the rule, which shares nothing with the first --------------------------------------------


def goodness(scores):
    ap, fm = (np.mean([s[k] for s in scores]) for k in (0, 1))
    return (-(10**9) if math.isnan(ap) else round(ap * 1e6), -(10**9) if math.isnan(fm) else -round(fm * 1e6))


def winner_of(points, full, score):
    best = None
    for point in points:
        if point in full and (best is None or goodness(score(point)) > goodness(score(best))):
            best = point
    aps = {point: [ap for ap, _ in score(point)] for point in (points[0], best)}
    error = np.std(aps[best], ddof=1) / math.sqrt(len(aps[best]))
    tied = points[0] in full and np.mean(aps[points[0]]) >= np.mean(aps[best]) - error - 5e-7
    return points[0] if tied else best


def next_outward(values, value):
    ordered = sorted(values)
    if value not in (ordered[0], ordered[-1]):
        return None
    before = ordered[1] if value == ordered[0] else ordered[-2]
    return float(f"{value * (value / before):.6g}")


def by_hand(grid, score, widen, most):
    """Return the winner and how many seeds each combination was run on; no value goes beyond `most`."""
    points = list(itertools.product(*grid))
    places, full, widened = max(2, -(-len(points) // 3)), set(), 0
    while True:
        ranked = [*points]
        ranked.sort(key=lambda point: goodness(score(point)[:1]), reverse=True)
        full |= set(ranked[:places])
        winner, new = winner_of(points, full, score), []
        for axis, values in enumerate(grid):
            if len(values) < 3 or isinstance(values[0], str):
                continue
            beside = {p[axis] for p in points if p[:axis] + p[axis + 1 :] == winner[:axis] + winner[axis + 1 :]}
            value = next_outward({*values, *beside}, winner[axis])
            if value is not None and min(value, most) != winner[axis] and widened < widen:
                widened += 1
                new.append((*winner[:axis], min(value, most), *winner[axis + 1 :]))
        if not new:
            return winner, {p: 3 if p in full else 1 for p in points}
        points += new


LEVELS = st.sampled_from([0.0, 0.3, 0.4, 0.45, 0.5, 0.55, 0.6, math.nan])
SCORES = st.lists(st.tuples(LEVELS, LEVELS), min_size=3, max_size=3)
RATES = st.one_of(st.permutations([0.25, 0.5, 1.0]), st.permutations([0.125, 0.25, 0.5, 1.0]))
OWN = st.sampled_from(
    [(), (1.0, 8.0), (8.0, 1.0, 2.0), ("ties", "dare"), ("ties", "dare", "average"), (4.0, 3.0, 9.0, 1.0)]
)


@pytest.mark.slow
@settings(deadline=None, max_examples=400)
@given(RATES, OWN, st.integers(0, 4), st.sampled_from([1.0, 3.0, 10.0, 1e9]), st.data())
def test_two_writings_of_the_rule_choose_the_same(rates, own, widen, most, data):
    grid = {"lr": rates} | ({"own": own} if own else {})
    most = max(most, *(v for values in grid.values() for v in values if isinstance(v, float)))
    known = {}

    def score(point):
        return known.setdefault(tuple(point), data.draw(SCORES) if tuple(point) not in known else None)

    def legal(at, name, value):
        return None if min(value, most) == at[name] else min(value, most)

    found = searched(search_of(grid, widen=widen, legal=legal), lambda at: score(at.values()))
    winner, seeds = by_hand(list(grid.values()), score, widen, most)
    assert tuple(found.winner.settings.values()) == winner
    assert {tuple(t.settings.values()): len(t.aps) for t in found.tried} == seeds
    assert found.num_widened <= widen


# --- case by case ---------------------------------------------------------------------------------------------------


def tried(rate, *aps, fm=0.0):
    return Tried({"lr": rate}, aps, (fm,) * len(aps))


def test_the_best_wins_where_the_default_is_more_than_a_standard_error_below():
    best = tried(2, 0.5, 0.6, 0.7)  # standard error 0.0577
    assert choose([tried(1, 0.55, 0.55, 0.54), best], tried(1, 0.55, 0.55, 0.54)).settings == {"lr": 1}
    assert choose([tried(1, 0.54, 0.54, 0.54), best], tried(1, 0.54, 0.54, 0.54)).settings == {"lr": 2}
    assert choose([best, tried(3, 0.59, 0.6, 0.6)], default=tried(9, 0.6)).settings == {"lr": 2}, "default not in"
    assert choose([tried(1, math.nan, 1, 1), best], default=tried(1, math.nan, 1, 1)).settings == {"lr": 2}


def test_equal_ones_are_told_apart_by_forgetting_then_by_their_order():
    other = tried(9, 0.1, 0.1, 0.1)
    assert choose([other, tried(1, 0.5, 0.5, fm=0.3), tried(2, 0.5, 0.5, fm=0.2)], other).settings == {"lr": 2}
    assert choose([other, tried(1, 0.5, 0.5), tried(2, 0.5, 0.5)], other).settings == {"lr": 1}
    assert choose([other, tried(1, 0.5, 0.5), tried(2, 0.5, 0.5 + 1e-9)], other).settings == {"lr": 1}


def rising(at):
    return [(0.1 * math.log2(1 + at["lr"]), 0.0)] * 3


def test_a_grid_is_widened_until_the_winner_is_inside():
    search = searched(search_of({"lr": [2, 1, 4]}), lambda at: [(-abs(at["lr"] - 8), 0.0)] * 3)
    assert [t.settings["lr"] for t in search.tried] == [2, 1, 4, 8, 16]
    assert [t.widens for t in search.tried] == ["", "", "", "lr", "lr"]
    assert (search.winner.settings, search.edges()) == ({"lr": 8}, {})


def test_a_winner_left_at_the_edge_is_told_with_why():
    search = searched(search_of({"lr": [2, 1, 4]}, widen=2), rising)
    assert search.winner.settings == {"lr": 16}
    assert search.edges() == {"lr": "2 widenings are the most"}
    ends = searched(
        search_of({"lr": [2, 1, 4]}, legal=lambda at, name, value: min(value, 6) if at[name] < 6 else None), rising
    )
    assert (ends.winner.settings, ends.edges()) == ({"lr": 6}, {"lr": "its legal range ends"})


def test_what_has_no_order_or_two_values_is_not_widened():
    search = searched(
        search_of({"lr": [2, 1, 4], "how": ["a", "b", "c"], "share": [1.0, 0.5]}), lambda at: [(0, 0)] * 3
    )
    assert search.num_widened == 0
    assert search.edges() == {}


def test_most_combinations_are_run_on_the_first_seed_alone():
    search = searched(search_of({"lr": [2, 1, 4], "own": ["a", "b"]}), lambda at: [(-abs(at["lr"] - 2), 0.0)] * 3)
    assert [len(t.aps) for t in search.tried] == [3, 3, 1, 1, 1, 1]
    assert num_kept(6) == 2


def test_equal_tries_on_the_first_seed_are_kept_in_their_order():
    search = searched(search_of({"lr": [2, 1, 4]}, widen=0), lambda at: [(0.5, math.nan)] * 3)
    assert [len(t.aps) for t in search.tried] == [3, 3, 1]
    assert search.winner is search.tried[0]
