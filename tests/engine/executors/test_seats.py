"""Chains stay with the worker that holds their state, and the work ends no later than when lessons went to anybody."""

import random

import pytest

from clbench.engine.executors.seats import assign
from clbench.engine.plan import urgency
from clbench.engine.units import Unit


def chain(name, weights, root=None):
    """Give the units of a chain of lessons."""
    names = [root, *(f"{name}{i}" for i in range(len(weights)))]
    return [
        Unit(key=names[i + 1], spec=None, lesson=i + 1, label="", needs=names[i], weight=w)
        for i, w in enumerate(weights)
    ]


def simulated(units, workers, choose):
    """Play the work through, a unit taking as long as it weighs; give (when it ends, states that had to be read)."""
    by_key, hangs = {u.key: u for u in units}, urgency(units)
    done, running, now, reads = set(), {}, 0, 0
    held = dict.fromkeys(range(workers))
    while len(done) < len(units):
        taken = {u.key for _, u in running.values()}
        ready = [u.key for u in units if u.key not in done | taken and (u.needs in done or u.needs is None)]
        left = sum(u.weight for u in units if u.key not in done) // workers
        idle = {w: last for w, last in held.items() if w not in running}
        for worker, key in choose(idle, ready, by_key, hangs, left).items():
            reads += by_key[key].needs is not None and held[worker] != by_key[key].needs
            running[worker] = (now + by_key[key].weight, by_key[key])
        now = min(end for end, _ in running.values())
        for worker in [w for w, (end, _) in running.items() if end == now]:
            held[worker] = running.pop(worker)[1].key
            done.add(held[worker])
    return now, reads


def anybody(idle, ready, units, hangs, left):
    """The longest chain first, to whoever is free."""
    return dict(zip(sorted(idle), sorted(ready, key=lambda key: -hangs[key]), strict=False))


def test_short_chains_are_read_once_at_most():
    units = [unit for i in range(16) for unit in chain(f"c{i}-", [5] * 3)]
    assert simulated(units, 2, anybody)[1] >= 30
    end, reads = simulated(units, 2, assign)
    assert end == 120 and reads <= 4


@pytest.mark.parametrize(("chains", "length", "workers", "most"), [(3, 16, 2, 2), (5, 50, 2, 2), (8, 30, 3, 4)])
def test_long_chains_are_cut_about_once_a_worker(chains, length, workers, most):
    units = [unit for i in range(chains) for unit in chain(f"c{i}-", [4] * length)]
    end, reads = simulated(units, workers, assign)
    shortest = max(4 * length, -(-4 * length * chains // workers))
    assert reads <= most
    assert end <= shortest + 8  # two lessons


def test_a_long_chain_is_not_left_to_the_end():
    units = [*chain("short", [1] * 10), *chain("other", [1] * 10), *chain("long", [1] * 20)]
    assert simulated(units, 2, assign)[0] == 20


def test_any_tree_of_lessons_ends_about_as_early_as_before():
    rng = random.Random(0)
    for _ in range(60):
        units = []
        for i in range(rng.randint(1, 6)):
            first = chain(f"r{i}-", [rng.randint(0, 3) for _ in range(rng.randint(1, 4))])
            units += first
            for j in range(rng.randint(0, 3)):
                units += chain(
                    f"r{i}b{j}-", [rng.randint(0, 3) for _ in range(rng.randint(1, 6))], rng.choice(first).key
                )
        workers = rng.randint(1, 4)
        end, reads = simulated(units, workers, assign)
        before, reads_before = simulated(units, workers, anybody)
        assert end <= before + 6, "two lessons of the longest"
        assert reads <= reads_before


def test_one_worker_never_reads_a_chain_twice():
    units = [unit for i in range(4) for unit in chain(f"c{i}-", [1] * 5)]
    assert simulated(units, 1, assign) == (20, 0)
