"""Choose the settings of learners by `RULE`, on a stream that is not the reported one. Read `tune` first."""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from clbench.core.errors import LessonError, UserError
from clbench.core.events import Progress, notice, progress_listener, report_progress
from clbench.core.spec import Machine
from clbench.engine.fitting import fitting, worth_a_look
from clbench.engine.inputs import Inputs
from clbench.engine.run import attempt
from clbench.engine.tune_plan import runs_at_most
from clbench.engine.tune_recipe import AP, FM, Tuning, check_apart
from clbench.engine.tune_record import record_of
from clbench.engine.tune_rule import Search, Tried
from clbench.engine.units import open_runs
from clbench.store.store import Store

HARDWARE = ("cpu", "gpus", "threads", "platform", "python", "packages", "git")  # of a run's provenance


@dataclass
class _Bench:
    """Where combinations are run, and what has been run so far.

    Attributes:
        at_most: Units that the whole makes at most, a unit being one lesson with its exams.
        units: Units that were made by this command.
        phases: How often combinations were put to work.
        hardware: What the runs were made on, each once.
    """

    tuning: Tuning
    store: Store
    machine: Machine
    at_most: int
    units: int = 0
    phases: int = 0
    hardware: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


def tune(tuning: Tuning, store: Store, machine: Machine) -> dict[str, Any]:
    """Try grids on the tuning stream and choose by `RULE`; work that is in the store is not done again.

    Returns:
        Plain data: the rule, where and with what it was tried, the chosen settings, and all that was tried.

    Raises:
        SpecError: The tuning stream is not apart from a reported one; or a combination cannot fit.
        UserError: A run could not be made. One whose loss is not finite counts as tried, with undefined scores.
    """
    stream = check_apart(tuning, machine)
    _check_fit(tuning, store, machine)
    bench = _Bench(tuning, store, machine, runs_at_most(tuning) * len(stream))
    first, *others = tuning.recipe.seeds
    searches = {name: _search(name, tuning) for name in tuning.grids}
    while due := {name: search.due for name, search in searches.items() if search.due}:
        _run(bench, searches, due, [first])
        due = {name: search.due_on_others for name, search in searches.items() if search.due_on_others}
        _run(bench, searches, due, others)
        for search in searches.values():
            search.widen()
    if bench.units:
        report_progress(Progress("units", bench.units, bench.units, slot=0))
    return record_of(tuning, stream, searches, bench.hardware)


def _check_fit(tuning: Tuning, store: Store, machine: Machine) -> None:
    """Refuse grids of which a combination cannot fit, before another is run."""
    points = [(name, i, s) for name, grid in tuning.grids.items() for i, s in enumerate(grid.combinations, start=1)]
    specs = tuning.runs(points, tuning.recipe.seeds[:1]).specs()
    if not any(worth_a_look(spec.model, machine) for spec in specs):
        return
    inputs = Inputs(machine.data)
    runs = open_runs(specs, {}, inputs, store, machine)
    if why := next((one for one in fitting(runs, store, inputs, machine) if isinstance(one, UserError)), None):
        raise why


def _search(name: str, tuning: Tuning) -> Search:
    grid = tuning.grids[name]
    search = Search(grid.values, grid.fixed, len(tuning.recipe.seeds), tuning.recipe.widen, partial(tuning.legal, name))
    search.tried += [Tried(settings) for settings in grid.combinations]
    return search


def _run(bench: _Bench, searches: Mapping[str, Search], due: Mapping[str, Sequence[int]], seeds: Sequence[int]) -> None:
    """Run combinations on some seeds, and put their scores into the searches."""
    points = [(name, place) for name, places in due.items() for place in places]
    if not points:
        return
    bench.phases += 1
    num = len(points) * len(seeds)
    notice(f"tuning, phase {bench.phases}: {num} runs on seed {', '.join(map(str, seeds))}; time left: of all, at most")
    recipe = bench.tuning.runs([(n, place + 1, searches[n].tried[place].settings) for n, place in points], seeds)
    with _of_the_whole(bench):
        outcomes = attempt(recipe, bench.store, bench.machine)
    for i, (name, place) in enumerate(points):
        scores = [_scores(outcome, bench) for outcome in outcomes[i * len(seeds) : (i + 1) * len(seeds)]]
        searches[name].add(place, [ap for ap, _ in scores], [fm for _, fm in scores])


@contextmanager
def _of_the_whole(bench: _Bench) -> Generator[None]:
    """Report the progress of a phase as that of all phases, so that the time left is that of the whole, at most."""
    listen, before = progress_listener.get(), bench.units

    def tell(progress: Progress) -> None:
        if progress.slot == 0:
            bench.units = before + progress.done
            total = max(bench.at_most, before + progress.total)
            progress = replace(progress, done=bench.units, total=total)
        if listen is not None:
            listen(progress)

    token = progress_listener.set(tell)
    try:
        yield
    finally:
        progress_listener.reset(token)


def _scores(outcome: Path | UserError, bench: _Bench) -> tuple[float, float]:
    """Return AP and FM of a run, undefined where its loss was not finite; note what it was made on."""
    if isinstance(outcome, LessonError):
        return math.nan, math.nan
    if isinstance(outcome, UserError):
        raise outcome
    found = json.loads((outcome / "scores.json").read_text(encoding="utf-8"))
    made = json.loads((outcome / "provenance.json").read_text(encoding="utf-8"))
    devices = sorted({str(stage["origin"].get("device", "")) for stage in made["stages"]})
    hardware = {"devices": devices} | {part: made[part] for part in HARDWARE}
    if hardware not in bench.hardware:
        bench.hardware.append(hardware)
    ap, fm = (math.nan if found[name] is None else float(found[name]) for name in (AP, FM))
    return ap, fm
