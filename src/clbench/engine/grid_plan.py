"""What a grid takes before it is made: runs, lessons, exams, what is shared, what is there, time, disk and memory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from clbench.core.errors import UserError
from clbench.core.spec import Machine, RunSpec
from clbench.engine.estimate import critical_path, estimate, makespan
from clbench.engine.fit import Fit
from clbench.engine.inputs import Inputs
from clbench.engine.make_unit import answers_missing
from clbench.engine.plan import plan
from clbench.engine.plan_spending import Expected, expected
from clbench.engine.plan_table import needs_of, open_planned, probed_times
from clbench.engine.units import Run, Unit
from clbench.store.store import Store


@dataclass(frozen=True)
class Saving:
    """Work that is done once for several runs.

    Attributes:
        what: "untouched": exams of the untouched model; "prefix": lessons that runs begin with alike (other methods
            of the same name, orders, horizons, exams); "first_lesson": lessons taken over from another learner,
            beside those that are learnt for that alone;
            "answers": exams of equal states; "loads": models and states that are not loaded once more for each exam;
            "streams": streams and exams that are read once.
        apart: What the runs would do if each did it for itself.
        together: What is done.
        examples: Of lessons, the examples that need not be walked.
    """

    what: str
    apart: int
    together: int
    examples: int = 0


@dataclass(frozen=True)
class GridPlan:
    """A grid before it is made.

    Attributes:
        runs: Their number.
        broken: Models that cannot be used, as their names and why; their runs are left out.
        lessons_apart, lessons: Lessons to be learnt by each run for itself, and together, as far as they are learnt
            from examples; what is taken over from another learner does not count.
        walked_apart, walked: Examples that are walked in these, repeated by epochs.
        exams_apart, exams: Exams to be asked by each run for itself, and together.
        savings: What is done once for several runs, one by one.
        units, in_store: States with their exams, and how many of them are made.
        exams_in_store: Exams that are answered.
        seconds: Of all that is to be made, one after another; None where nothing like it is known.
        unknown: Units of unknown time.
        hours: Until all is made, with the workers that there are; None as above.
        critical_hours, critical: The longest chain of units that need each other, and its first and last.
        workers: Units made side by side.
        source: Where the times come from: "records" of the store, "probe", or "".
        fit: Memory and disk; None where no model can be looked at.
        money: What answers behind an API may cost; None where that is not known.
        asks_api: Whether any are asked there.
    """

    runs: int
    broken: tuple[tuple[str, str], ...]
    lessons_apart: int
    lessons: int
    walked_apart: int
    walked: int
    exams_apart: int
    exams: int
    savings: tuple[Saving, ...]
    units: int
    in_store: int
    exams_in_store: int
    seconds: float | None
    unknown: int
    hours: float | None
    critical_hours: float | None
    critical: tuple[str, ...]
    workers: int
    source: str
    fit: Fit | None
    money: float | None = None
    asks_api: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        own = {name: value for name, value in vars(self).items() if name not in ("fit", "savings")}
        savings = [asdict(saving) for saving in self.savings]
        return {**own, "savings": savings, "memory": None if self.fit is None else self.fit.as_dict()}


@dataclass(frozen=True)
class Budget:
    """What a grid may take; None sets no limit: hours until all is made, bytes of disk, and money."""

    hours: float | None = None
    disk: int | None = None
    money: float | None = None


def beyond_budget(found: GridPlan, budget: Budget) -> list[tuple[str, float | None, float]]:
    """Return what a plan takes more than it may, as (field of the budget, planned, allowed).

    What cannot be planned counts as more: a limit that cannot be held against anything would be no limit.
    """
    disk = None if found.fit is None else found.fit.disk
    planned = {"hours": found.hours, "disk": disk, "money": found.money if found.asks_api else 0.0}
    over: list[tuple[str, float | None, float]] = []
    for name, allowed in vars(budget).items():
        value = planned[name]
        if allowed is not None and (value is None or value > allowed):
            over.append((name, value, allowed))
    return over


def plan_grid(
    specs: Sequence[RunSpec], store: Store, machine: Machine, broken: Mapping[str, UserError], *, probe: bool = False
) -> GridPlan:
    """Plan a grid, as `plan_table.tabulate` plans runs: from the same arguments, and with the same errors."""
    runs, inputs, why = open_planned(specs, store, machine, broken)
    units = plan(runs)
    made = {unit.key: answers_missing(unit, store, machine) for unit in units}
    found, _ = needs_of(runs, units, made, inputs, machine)
    here = [run.spec for run in runs if run.spec.model.provider is None]
    known = estimate(units, store, probed_times(here, machine, inputs) if probe else {})
    due = {u.key: len(u.exams) if (num := made[u.key]) is None else num for u in units}
    missing = [u for u in units if due[u.key] or (made[u.key] is None and u.weight)]
    parts = {u.key: (known.learning(u) if made[u.key] is None else 0.0, known.asking(u, due[u.key])) for u in missing}
    seconds = {key: sum(p for p in part if p is not None) for key, part in parts.items()}
    unknown = sum(None in part for part in parts.values())
    all_unknown = bool(missing) and unknown == len(missing)
    longest, chain = critical_path(missing, seconds)
    counts = _counted(runs, units, inputs)
    paid = any(run.spec.model.provider is not None or run.spec.judge is not None for run in runs)
    asked = expected(runs, units, store, machine) if paid else []
    return GridPlan(
        runs=len(runs),
        broken=why,
        **counts,
        units=len(units),
        in_store=len(units) - len(missing),
        exams_in_store=counts["exams"] - sum(due.values()),
        seconds=None if all_unknown else sum(seconds.values()),
        unknown=unknown,
        hours=None if all_unknown else makespan(missing, seconds, machine.workers) / 3600,
        critical_hours=None if all_unknown else longest / 3600,
        critical=tuple(dict.fromkeys(u.label for u in (chain[:1] + chain[-1:]))),
        workers=machine.workers,
        source="probe" if known.probed and not known.learn else "records" if known.learn or known.ask else "",
        fit=found,
        money=_money(asked),
        asks_api=bool(asked),
    )


def _money(asked: Sequence[Expected]) -> float | None:
    """Return the money that answers and verdicts cost at most; None where a part of it is not known."""
    known = [one.usd for one in asked if one.usd is not None and not one.unknown]
    return math.fsum(known) if len(known) == len(asked) else None


def _counted(runs: Sequence[Run], units: Sequence[Unit], inputs: Inputs) -> dict[str, Any]:
    """Return what runs would do each for itself and what they do together, and the difference one by one."""
    of_key = {unit.key: unit for unit in units}
    chains = [run.trajectory.keys[1:] for run in runs]
    exams_apart = sum(1 for run in runs for _ in run.due_cells)
    own = {key for chain in chains for key in chain}
    weights = {key: of_key[key].weight for key in own if key in of_key}
    learnt = [key for key in weights if not of_key[key].adopts and weights[key]]
    adopting = [key for key in weights if of_key[key].adopts]
    lent = {unit.key for unit in units if unit.weight and unit.key not in own}  # learnt for those that take it over
    lessons_apart = sum(bool(weights.get(key)) for chain in chains for key in chain)
    walked_apart = sum(weights.get(key, 0) for chain in chains for key in chain)
    rows = [unit for unit in units if unit.weight == 0 and unit.needs is None]
    asked_first = sum(1 for run in runs for lesson, _, _ in run.due_cells if lesson == 0)
    exams = sum(len(unit.exams) for unit in units)
    first = sum(len(unit.exams) for unit in rows)
    once = len(learnt) + len(adopting)
    savings = (
        Saving("untouched", asked_first, first),
        Saving("prefix", lessons_apart, once, walked_apart - sum(weights[k] for k in (*learnt, *adopting))),
        Saving(
            "first_lesson",
            len(adopting),
            len(lent),
            sum(weights[k] for k in adopting) - sum(of_key[k].weight for k in lent),
        ),
        Saving("answers", exams_apart - asked_first, exams - first),
        Saving("loads", exams, sum(bool(unit.exams) for unit in units)),
        Saving("streams", len(runs), inputs.num_read),
    )
    return {
        "lessons_apart": lessons_apart,
        "lessons": len(learnt) + len(lent),
        "walked_apart": walked_apart,
        "walked": sum(weights[key] for key in learnt) + sum(of_key[key].weight for key in lent),
        "exams_apart": exams_apart,
        "exams": exams,
        "savings": tuple(saving for saving in savings if saving.apart > saving.together),
    }


def num_shared(runs: Sequence[Run], units: Sequence[Unit]) -> int:
    """Return how many states need not be made once more: those that runs would make each for itself, less the units."""
    return max(sum(len(run.trajectory.keys) for run in runs) - len(units), 0)
