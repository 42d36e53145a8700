"""When units are made by so many workers: small plans whose answer is seen at a glance."""

import random

import pytest

from clbench.engine.estimate import critical_path, makespan
from clbench.engine.units import Unit


def unit(key, needs=None, weight=1):
    return Unit(key=key, spec=None, lesson=0, label=key, needs=needs, weight=weight)


FORK = [unit("a"), unit("b", "a", 5), unit("c", "a", 2), unit("d", "c", 2), unit("e")]
TIMES = {"a": 1.0, "b": 5.0, "c": 2.0, "d": 2.0, "e": 3.0}


@pytest.mark.parametrize(("workers", "seconds"), [(1, 13.0), (2, 7.0), (3, 6.0), (9, 6.0)])
def test_the_end_of_a_small_plan(workers, seconds):
    assert makespan(FORK, TIMES, workers) == seconds


def test_the_longest_chain():
    seconds, chain = critical_path(FORK, TIMES)
    assert (seconds, [one.key for one in chain]) == (6.0, ["a", "b"])
    assert critical_path([], {}) == (0.0, [])


@pytest.mark.parametrize("seed", range(20))
def test_no_plan_ends_before_its_bounds_or_after_its_sum(seed):
    chance = random.Random(seed)
    units, times = [], {}
    for number in range(30):
        needs = chance.choice([None, *(one.key for one in units)])
        units.append(unit(str(number), needs, chance.randrange(1, 9)))
        times[str(number)] = chance.uniform(0.1, 5)
    for workers in (1, 2, 4, 30):
        end, longest, whole = makespan(units, times, workers), critical_path(units, times)[0], sum(times.values())
        assert max(longest, whole / workers) <= end + 1e-9
        assert end <= longest + whole / workers + 1e-9, "Graham's bound for any list"
    assert makespan(units, times, 30) == pytest.approx(longest)
    assert makespan(units, times, 1) == pytest.approx(whole)


def test_what_needs_something_that_is_made_may_begin_at_once():
    assert makespan([unit("b", "a"), unit("c", "a")], {"b": 1.0, "c": 2.0}, 2) == 2.0
