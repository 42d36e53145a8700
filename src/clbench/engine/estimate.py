"""How long units take and when all of them are made: from what the store has on record, or a probe of each learner."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from clbench.core.keys import canonical
from clbench.engine.plan import urgency
from clbench.engine.units import Unit
from clbench.store.index import Index
from clbench.store.store import Store

Kind = tuple[str, str, bool]  # model, learner, whether the lesson is taken over from another learner


@dataclass
class _Rate:
    seconds: float = 0.0
    amount: float = 0.0

    def add(self, seconds: float, amount: float) -> None:
        self.seconds += seconds
        self.amount += amount

    @property
    def each(self) -> float | None:
        return self.seconds / self.amount if self.amount else None


@dataclass
class Estimate:
    """Seconds of units by what like units took; None where nothing like them is known."""

    learn: dict[Kind, _Rate] = field(default_factory=dict)
    ask: dict[str, _Rate] = field(default_factory=dict)
    probed: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def learning(self, unit: Unit) -> float | None:
        """Return the seconds that a unit's lesson takes."""
        if not unit.weight:
            return 0.0
        known = self.learn.get(_kind(unit))
        if known is None and _who(unit) in self.probed:
            return self.probed[_who(unit)][0] * unit.weight
        if known is None:  # like methods on this model, then any
            rates = [rate for kind, rate in self.learn.items() if kind[0] == unit.spec.model.name]
            known = _sum(rates or self.learn.values())
        return None if known.each is None else known.each * unit.weight

    def asking(self, unit: Unit, num: int) -> float | None:
        """Return the seconds that `num` exams of a unit take."""
        if not num:
            return 0.0
        if not self.ask and _who(unit) in self.probed:
            return self.probed[_who(unit)][1] * num
        each = _sum(self.ask.values()).each
        times = [self.ask[e.name].each if e.name in self.ask else each for e in unit.exams]
        known = [one for one in times if one is not None]
        return sum(known) / len(known) * num if known else None


def _sum(rates: Iterable[_Rate]) -> _Rate:
    found = _Rate()
    for rate in rates:
        found.add(rate.seconds, rate.amount)
    return found


def _kind(unit: Unit) -> Kind:
    return (unit.spec.model.name, unit.spec.learner_name, unit.adopts)


def _who(unit: Unit) -> str:
    return canonical([unit.spec.model, unit.spec.learner])


def estimate(units: Sequence[Unit], store: Store, probed: Mapping[str, tuple[float, float]]) -> Estimate:
    """Return what is known of the time that units take.

    Args:
        units: Units of a plan; those that are in the store say what the others will take.
        store: The store.
        probed: Canonical [model, learner] -> seconds for an example, and for an exam.
    """
    found = Estimate(probed=probed)
    if not store.folder.is_dir():
        return found
    for row in Index(store).rows("ask"):
        found.ask.setdefault(str(json.loads(row.why).get("exam")), _Rate()).add(row.wall_s, 1)
    for unit in units:
        if unit.weight and (stage := store.stage("state", unit.key)) is not None:
            found.learn.setdefault(_kind(unit), _Rate()).add(stage["meter"]["wall_s"], unit.weight)
    return found


def critical_path(units: Sequence[Unit], seconds: Mapping[str, float]) -> tuple[float, list[Unit]]:
    """Return the longest chain of units that need each other: its seconds, and the units in their order."""
    ends: dict[str, tuple[float, list[Unit]]] = {}
    for unit in units:  # each stands behind the one it needs
        before, chain = ends.get(str(unit.needs), (0.0, []))
        ends[unit.key] = (before + seconds.get(unit.key, 0.0), [*chain, unit])
    return max(ends.values(), key=lambda end: end[0], default=(0.0, []))


def makespan(units: Sequence[Unit], seconds: Mapping[str, float], workers: int) -> float:
    """Return when all units are made by so many workers, the one on which most hangs first.

    Example:
        >>> makespan([], {}, 2)
        0.0
    """
    hangs, here = urgency(units), {unit.key for unit in units}
    after: dict[str | None, list[str]] = {}
    for unit in units:
        after.setdefault(unit.needs if unit.needs in here else None, []).append(unit.key)
    ready = [(-hangs[key], key) for key in after.get(None, [])]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < workers:
            _, key = heapq.heappop(ready)
            heapq.heappush(running, (now + seconds.get(key, 0.0), key))
        now, key = heapq.heappop(running)
        for child in after.get(key, []):
            heapq.heappush(ready, (-hangs[child], child))
    return now
