"""Hand units to an executor in an order in which each finds what it needs, and begin again what a dead worker left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from graphlib import TopologicalSorter

from clbench.core.errors import StoppedError, UserError
from clbench.core.events import Progress, notice, report_progress
from clbench.engine.executors.executor import Ended, Executor, UnitEvent, Watch
from clbench.engine.executors.seats import assign
from clbench.engine.plan import urgency
from clbench.engine.units import Unit

TRIES = 3  # of a unit whose worker is ended from outside
WAIT_S = 0.2  # for an end, before it is looked whether the work shall stop


def dispatch(units: Sequence[Unit], executor: Executor, watch: Watch, done: int, num: int) -> dict[str, UserError]:
    """Make units by an executor.

    Args:
        units: What is missing; each stands behind the one it needs.
        executor: Where they are made.
        watch: Who looks on.
        done: Units made before, of all.
        num: The number of all, for the progress.

    Returns:
        By key, why a unit could not be made; what hangs on it is among them.
    """
    work = _Work(units, executor, watch)
    while work.order.is_active():
        work.begin()
        if not work.running and not work.ready:  # what was left had only failed needs
            continue
        for end in executor.ended(WAIT_S):
            work.end(end)
        report_progress(Progress("units", done + work.num_ended, num, slot=0))
    return work.failed


def stopped(watch: Watch) -> StoppedError | None:
    """Return the error of what does not begin any more, None where the work goes on."""
    why = watch.pause()
    return StoppedError(why, mend="the same command goes on where it stopped") if why else None


class _Work:
    """The state of the work.

    Attributes:
        order: Which units can be made next.
        ready: Keys of those.
        running: Slot -> what it was given.
        failed: Key -> why.
        num_ended: Units that are made, or will not be.
    """

    def __init__(self, units: Sequence[Unit], executor: Executor, watch: Watch) -> None:
        self.units = {unit.key: unit for unit in units}
        self.executor, self.watch = executor, watch
        self.order = TopologicalSorter({u.key: [u.needs] if u.needs in self.units else [] for u in units})
        self.order.prepare()
        self.ready = list[str]()
        self.running = dict[int, Sequence[Unit]]()
        self.failed = dict[str, UserError]()
        self.num_ended = 0
        self._hangs = urgency(units)
        self._left = sum(unit.weight for unit in units)
        self._held: dict[int, str | None] = dict.fromkeys(range(executor.slots))  # idle slot -> what it made last
        self._tries = Counter[str]()
        self._halted = False
        self._next: dict[str | None, list[str]] = {}
        for unit in units:
            self._next.setdefault(unit.needs, []).append(unit.key)

    def begin(self) -> None:
        """Start on idle slots what can be made; where the work shall stop, give up what has not begun."""
        self.ready += self.order.get_ready() if self.order.is_active() else ()
        stop = stopped(self.watch)
        if stop is not None and not self._halted:
            self._halted = True
            self.executor.halt()
        while doomed := [key for key in self.ready if stop is not None or self.units[key].needs in self.failed]:
            for key in doomed:  # what hangs on them is ready then, and doomed too
                self._leave(key, self.failed.get(str(self.units[key].needs)) or stop)
        share = self._left // max(self.executor.slots, 1)
        for slot, key in assign(self._held, self.ready, self.units, self._hangs, share).items():
            del self._held[slot]
            chain = self._chain(key)
            self.ready.remove(key)
            self.running[slot] = chain
            for unit in chain:
                self.watch.tell(UnitEvent("began", unit, slot=slot))
            self.executor.start(slot, chain)

    def end(self, end: Ended) -> None:
        """Take what a slot has made, and put back what it has not."""
        chain = self.running.pop(end.slot)
        self._held[end.slot] = None if end.lost else chain[-1].key
        for made in end.made:
            self._settle(self.units[made.key], made.error)
        tried = {made.key for made in end.made}
        rest = [unit for unit in chain if unit.key not in tried]
        if not rest:
            return
        first = rest[0]
        if end.lost is None:  # the work was halted before it
            self.ready += [first.key] if first.key not in self.ready else []
            return
        self._tries[first.key] += 1
        if not end.again or self._tries[first.key] >= TRIES:
            self._settle(first, end.lost)
            return
        notice(f"{first.label}: {end.lost.what}; it is begun again")
        self.watch.tell(UnitEvent("lost", first, end.lost.what))
        if first.key not in self.ready:
            self.ready.append(first.key)

    def _chain(self, key: str) -> Sequence[Unit]:
        """Return a unit, and behind it what alone goes on from it, as long as the executor takes more."""
        chain = [self.units[key]]
        while len(chain) < self.executor.takes and len(after := self._next.get(chain[-1].key, [])) == 1:
            chain.append(self.units[after[0]])
        return chain

    def _settle(self, unit: Unit, error: UserError | None) -> None:
        if unit.key in self.ready:  # of a chain: it became ready when the one before it was made
            self.ready.remove(unit.key)
        if error is not None:
            self.failed[unit.key] = error
        self.watch.tell(UnitEvent("made" if error is None else "failed", unit, "" if error is None else str(error)))
        self._close(unit.key)

    def _leave(self, key: str, error: UserError | None) -> None:
        assert error is not None, "it is left for a reason"
        self.ready.remove(key)
        self.failed[key] = error
        self.watch.tell(UnitEvent("left", self.units[key], error.what))
        self._close(key)

    def _close(self, key: str) -> None:
        self.num_ended += 1
        self._left -= self.units[key].weight
        self.order.done(key)
        self.ready += self.order.get_ready() if self.order.is_active() else ()
