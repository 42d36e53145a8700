"""Which worker makes what next: a chain of lessons stays where its learner is awake."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from clbench.engine.units import Unit


def assign(
    held: Mapping[int, str | None],
    ready: Collection[str],
    units: Mapping[str, Unit],
    hangs: Mapping[str, int],
    left: int,
) -> dict[int, str]:
    """Return what idle workers make next, for as many as there is work for.

    A worker goes on from the state that it holds, since any other would have to be read, and a model with it. It gives
    that up for a chain that nobody holds only if that chain would otherwise end after everything else: if what hangs on
    it, once the worker has made its own next lesson, is more than an equal share of what is left. So a chain changes
    its worker about once for every worker, and the work ends about as early as if each lesson went to whoever is free.

    Args:
        held: Idle worker -> key of the state that it made last, None for a worker that has made none.
        ready: Keys of the units that can be made.
        units: All units, by key.
        hangs: Key -> the training that hangs on a unit, itself included (`engine.plan.urgency`).
        left: An equal share of the training that is left, for each of all workers.
    """
    own = {worker: key for worker, last in held.items() if (key := _continuation(last, ready, units, hangs))}
    free = sorted(set(ready) - set(own.values()), key=lambda key: (-hangs[key], key))
    chosen: dict[int, str] = {}
    for worker in sorted(held, key=lambda worker: (hangs[own[worker]] if worker in own else -1, worker)):
        if worker in own:
            mine = own[worker]
            late = bool(free) and hangs[free[0]] > max(hangs[mine], left - units[mine].weight)
            chosen[worker] = free.pop(0) if late else mine
        elif free:
            chosen[worker] = free.pop(0)
    return chosen


def _continuation(
    last: str | None, ready: Collection[str], units: Mapping[str, Unit], hangs: Mapping[str, int]
) -> str | None:
    """Return the most urgent unit that goes on from a state, None if there is none."""
    after = [key for key in ready if last is not None and units[key].needs == last]
    return max(after, key=lambda key: (hangs[key], key), default=None)
