"""What a tuning would run at most, before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from clbench.core.spec import Machine
from clbench.core.wording import tr
from clbench.engine.inputs import Inputs
from clbench.engine.make_unit import is_made
from clbench.engine.plan import plan
from clbench.engine.plan_table import rates
from clbench.engine.tune_recipe import Grid, Tuning
from clbench.engine.tune_rule import num_kept
from clbench.engine.units import open_run
from clbench.store.store import Store

TRIED = "{num} runs: {tries} combinations of each learner on seed {seed}; defaults come first"
KEPT = "{num} runs: the best {kept} of each on seeds {seeds}"
WIDENED = "{num} runs at most: {widen} widenings of each, where the winner is at the edge of its grid"


@dataclass(frozen=True)
class TunePlan:
    """What is tried, and how many runs that takes.

    Attributes:
        grids: Learner -> setting -> its values, the default first.
        tries: Combinations of each learner.
        kept: How many of them are run on all seeds.
        seeds: All seeds, the first one first.
        widen: Most combinations beyond the grid, per learner.
        runs: Runs on the first seed, on the others, and of widenings at most.
        runs_at_most: Their sum.
        seconds: Estimated at most, less what is in the store of the first seed; None where the store has nothing like
            it.
        workers: Processes side by side.
    """

    grids: Mapping[str, Mapping[str, tuple[Any, ...]]]
    tries: int
    kept: int
    seeds: tuple[int, ...]
    widen: int
    runs: tuple[int, int, int]
    runs_at_most: int
    seconds: float | None
    workers: int

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as JSON."""
        return asdict(self)

    def as_text(self) -> str:
        """Return the grids, the runs of each phase and their sum."""
        width = max(map(len, self.grids))
        rows = [f"{name:<{width}}  {_values(grid)}" for name, grid in self.grids.items()]
        first, others, widened = self.runs
        rows += [
            tr(TRIED, num=f"{first:>6}", tries=self.tries, seed=self.seeds[0]),
            tr(KEPT, num=f"{others:>6}", kept=self.kept, seeds=", ".join(map(str, self.seeds[1:]))),
            tr(WIDENED, num=f"{widened:>6}", widen=self.widen),
        ]
        time = tr("time unknown")
        if self.seconds is not None:
            seconds = f"{self.seconds / self.workers:.0f}"
            time = tr("about {seconds} s at most with {workers} workers", seconds=seconds, workers=self.workers)
        text = "{runs} runs at most of {num} learners: {time}"
        return "\n".join([*rows, tr(text, runs=self.runs_at_most, num=len(self.grids), time=time)])


def num_runs(tuning: Tuning) -> tuple[int, int, int]:
    """Return how many runs there are on the first seed, on the other seeds, and of widenings at most."""
    learners, seeds = len(tuning.grids), len(tuning.recipe.seeds)
    return (
        learners * tuning.tries,
        learners * num_kept(tuning.tries) * (seeds - 1),
        learners * tuning.recipe.widen * seeds,
    )


def runs_at_most(tuning: Tuning) -> int:
    """Return how many runs there are at most."""
    return sum(num_runs(tuning))


def plan_tuning(tuning: Tuning, store: Store, machine: Machine) -> TunePlan:
    """Plan a tuning; only keys are computed, of all grids on the first seed, which stands for the others."""
    points = [(name, i, s) for name, grid in tuning.grids.items() for i, s in enumerate(grid.combinations, start=1)]
    specs = tuning.runs(points, tuning.recipe.seeds[:1]).specs()
    inputs = Inputs(machine.data)
    units = plan(open_run(spec, inputs, store, machine) for spec in specs)
    made = sum(is_made(unit, store, machine) for unit in units)
    rate, ask_s = rates(units, store)
    seconds = None
    if rate is not None and ask_s is not None:
        each = sum(rate * unit.weight + ask_s * len(unit.exams) for unit in units) / len(units)
        seconds = each * (runs_at_most(tuning) * len(units) / len(specs) - made)
    return TunePlan(
        grids={name: _shown(grid) for name, grid in tuning.grids.items()},
        tries=tuning.tries,
        kept=num_kept(tuning.tries),
        seeds=tuning.recipe.seeds,
        widen=tuning.recipe.widen,
        runs=num_runs(tuning),
        runs_at_most=runs_at_most(tuning),
        seconds=seconds,
        workers=machine.workers,
    )


def _shown(grid: Grid) -> dict[str, tuple[Any, ...]]:
    return {**{k: (v,) for k, v in grid.fixed.items()}, **grid.values}


def _values(grid: Mapping[str, tuple[Any, ...]]) -> str:
    return "; ".join(f"{setting} {', '.join(map(str, values))}" for setting, values in grid.items())
