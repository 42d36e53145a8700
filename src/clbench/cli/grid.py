"""`clbench grid`: plan many runs, make them here or on a cluster, look on, try again what failed, and stop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clbench.cli.grid_view import live, say_event, say_line, watch_until_done
from clbench.cli.making import Hours, Making
from clbench.cli.options import (
    Data,
    Device,
    Json,
    Lang,
    Memory,
    Place,
    byte_size,
    complain,
    language,
    machine,
    provider_addresses,
    say,
    say_json,
)
from clbench.cli.paying import Paying
from clbench.cli.run import check_models, tell_outcomes
from clbench.cli.run_options import Change, Providers, Workers
from clbench.cli.shared import with_shared
from clbench.core.errors import SpecError, UserError

if TYPE_CHECKING:
    from clbench.core.spec import Machine
    from clbench.engine.executors.executor import UnitEvent, Watch
    from clbench.engine.fit import Fit
    from clbench.engine.grid_record import Driver, GridRecord
    from clbench.engine.recipe.recipe import Recipe
    from clbench.engine.units import Run, Unit
    from clbench.store.store import Store

app = typer.Typer(
    name="grid",
    help="Many runs: models x methods x streams x orders x seeds, with what they share made once.",
    no_args_is_help=True,
)
Spec = Annotated[Path, typer.Argument(help="A recipe with axes (YAML), or the name of a shipped one: grid-200.")]
GO_ON = "`clbench grid run` makes all that is missing"


@app.command("plan")
@with_shared("paying", Paying)
def plan(
    spec: Spec,
    set_: Change = None,
    data: Data = None,
    store: Place = None,
    workers: Workers = None,
    device: Device = "auto",
    memory: Memory = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Learn some steps with each method, to tell the time.")
    ] = False,
    max_hours: Hours = None,
    max_disk: Annotated[str | None, typer.Option("--max-disk", help="Most disk that is written, say 40GB.")] = None,
    lang: Lang = None,
    as_json: Json = False,
    *,
    paying: Paying,
) -> None:
    """Print runs, lessons, what is shared, what is there, time, disk, memory, money; exit 2 if that is too much."""
    from clbench.engine.grid_plan import Budget, beyond_budget, plan_grid
    from clbench.report.decide.grid_text import OPTIONS, TEXTS, over_text, plan_text

    check_models("a grid", plan=True)
    how = machine(store, data, workers, device).model_copy(update={"memory": byte_size(memory)})
    recipe, stages = _opened(spec, set_, how)
    how = paying.on(how, recipe.name)
    broken: dict[str, Any] = {}
    found = plan_grid(recipe.specs(broken), stages, how, broken, probe=probe)
    told = language(lang)
    say_json(found.as_dict()) if as_json else say(plan_text(found.as_dict(), told))
    over = beyond_budget(found, Budget(hours=max_hours, disk=byte_size(max_disk), money=paying.budget_usd))
    if over:
        where = ", ".join(OPTIONS[name] for name, _, _ in over)
        complain(str(SpecError(over_text(over, told), where=where, mend=TEXTS[told]["over_mend"])))
    for name, why in found.broken:
        complain(f"{name} cannot be used: {why}")
    unfit = _unfit(found.fit)
    if unfit is not None:
        complain(str(unfit))
    if over or found.broken or unfit is not None:
        raise typer.Exit(2)


@app.command("run")
@with_shared("paying", Paying)
@with_shared("making", Making)
def run(spec: Spec, set_: Change = None, *, making: Making, paying: Paying) -> None:
    """Make all that is missing; the same command resumes, also elsewhere or on another executor."""
    _make(spec, set_, making, paying)


@app.command("retry")
@with_shared("paying", Paying)
@with_shared("making", Making)
def retry(spec: Spec, set_: Change = None, *, making: Making, paying: Paying) -> None:
    """Make what could not be made before, and what hangs on it: with a longer --limit, or a smaller --micro-batch."""
    _make(spec, set_, making, paying, failed=True)


@app.command("status")
def status(
    spec: Spec,
    set_: Change = None,
    data: Data = None,
    store: Place = None,
    watch: Annotated[bool, typer.Option("--watch", help="Say it again when it changes, until it is done.")] = False,
    provider: Providers = None,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Print how many units are done, running, queued, failed and shared, and the time that is left."""
    from clbench.report.decide.grid_text import state_text

    how = machine(store, data, 1).model_copy(update={"providers": provider_addresses(provider)})
    recipe, stages = _opened(spec, set_, how)
    told = language(lang)
    look = _look(recipe, stages, how)
    if watch:
        watch_until_done(look, lambda state: state_text(state, told))
        return
    state = look()
    say_json(state) if as_json else say(state_text(state, told))


@app.command("cancel")
def cancel(spec: Spec, set_: Change = None, store: Place = None, lang: Lang = None) -> None:
    """Stop a grid after what is being made just now; `clbench grid run` goes on later."""
    from clbench.engine.grid_record import STOP, drivers, grid_folder
    from clbench.report.decide.grid_text import TEXTS

    recipe, stages = _opened(spec, set_, machine(store, None, 1))
    folder = grid_folder(stages.folder, recipe.name, recipe.specs({}))
    alive = [driver for driver in drivers(folder) if driver.lives]
    if not alive:
        mend = "`clbench grid status` says how far it has come"
        raise SpecError("nobody makes this grid in this store", where=str(stages.folder), mend=mend)
    (folder / STOP).touch()
    say(TEXTS[language(lang)]["cancelled"].format(num=len(alive)))


# --- what the verbs share -----------------------------------------------------------------------------------


def _opened(spec: Path, sets: list[str] | None, how: Machine) -> tuple[Recipe, Store]:
    from clbench.engine.recipe.recipe import load_recipe
    from clbench.store.store import Store

    return load_recipe(spec, sets or []), Store(how.store)


def _unfit(fit: Fit | None) -> SpecError | None:
    try:
        if fit is not None:
            fit.check()
    except SpecError as error:
        return error
    return None


def _make(spec: Path, sets: list[str] | None, making: Making, paying: Paying, *, failed: bool = False) -> None:
    from clbench.engine.grid_record import GridRecord, failed_before, grid_folder
    from clbench.engine.run import attempt
    from clbench.report.runs.record import check_record_folder

    how, told = making.machine(), language(making.lang)
    check_models("a grid", plan=False)
    if making.record is not None:
        check_record_folder(making.record)
    recipe, stages = _opened(spec, sets, how)
    how = paying.on(how, recipe.name)
    folder = grid_folder(stages.folder, recipe.name, recipe.specs({}))
    before = failed_before(folder)
    if failed and not before:
        raise _nothing_failed(folder, stages)
    record = GridRecord(folder, how)
    watch, state = _watch(recipe.name, record, making, frozenset(before) if failed else None)
    try:
        with live(state, told):
            outcomes = attempt(recipe, stages, how, watch)
    except BaseException as error:
        record.end(stopped=type(error).__name__)
        raise
    record.end(stopped=_why_stopped(outcomes, watch, record))
    say_end = partial(_say_end, outcomes, record.driver.stopped)
    if making.as_json and not any(isinstance(one, Path) for one in outcomes):  # an error follows, and no report
        say_end({"results": [], "report": None, "cut": {}})
    shown = None if making.as_json else told
    tell_outcomes(outcomes, how, making.out, recipe.name, making.record, shown, say_end)


def _nothing_failed(folder: Path, stages: Store) -> SpecError:
    """Return the error of a second try where nothing failed; it says what stopped the grid, if anything did."""
    from clbench.engine.grid_record import stopped_before

    why, where = stopped_before(folder), str(stages.folder)
    if not why:
        return SpecError("nothing failed when this grid was last made", where=where, mend=GO_ON)
    what = f"nothing failed when this grid was last made; it was stopped: {why}"
    mend = "`clbench grid run` goes on where it stopped; where a limit was reached, give it a higher one"
    return SpecError(what, where=where, mend=mend)


def _why_stopped(outcomes: Sequence[Path | UserError], watch: Watch, record: GridRecord) -> str:
    """Return why something is missing although no unit failed, such as a budget that ended within the judging."""
    errors = [str(one).partition("\n")[0] for one in outcomes if isinstance(one, UserError)]
    return (watch.pause() or ("" if record.driver.failed else errors[0])) if errors else ""


def _say_end(outcomes: Sequence[Path | UserError], stopped: str, value: Any) -> None:
    """Write the last event: what came out, what could not be made and why, and what stopped the work."""
    reasons = Counter(str(one) for one in outcomes if isinstance(one, UserError))
    failed = [{"runs": num, "why": why} for why, num in reasons.items()]
    say_line({"event": "end", **value, "failed": failed, "stopped": stopped})


def _watch(
    name: str, record: GridRecord, making: Making, only: frozenset[str] | None
) -> tuple[Watch, Callable[[], Mapping[str, Any]]]:
    """Return who looks on while a grid is made, and what returns its state."""
    from clbench.engine.executors.executor import Watch
    from clbench.engine.grid_plan import num_shared
    from clbench.engine.grid_record import first_reason, hours_over

    num: list[int] = [0, 0]  # units, and states that are shared

    def planned(runs: Sequence[Run], units: Sequence[Unit]) -> None:
        num[:] = [len(units), num_shared(runs, units)]

    def tell(event: UnitEvent) -> None:
        record.hear(event)
        if making.as_json:
            say_event(event)

    def pause() -> str:
        return "`clbench grid cancel` has stopped it" if record.is_stopped() else ""

    reasons = [pause] if making.max_hours is None else [pause, hours_over(making.max_hours)]
    watch = Watch(planned=planned, tell=tell, pause=first_reason(reasons), only=only)
    return watch, lambda: _state(name, num[0] - record.driver.due + record.driver.made, num[0], num[1], [record.driver])


def _state(name: str, done: int, units: int, shared: int, found: Sequence[Driver]) -> dict[str, Any]:
    """Return the state of a grid.

    Args:
        name: Of the recipe.
        done: Units that are made.
        units: All of them.
        shared: States that need not be made once more.
        found: The processes that made it, or make it.
    """
    alive = [driver for driver in found if driver.lives]
    now = sorted({label for driver in alive for label in driver.running})
    failures = {key: why for driver in found for key, why in driver.failed.items()}
    left = [driver.seconds_left for driver in alive]
    known = [one for one in left if one is not None]
    return {
        "name": name,
        "units": units,
        "done": done,
        "running": len(now),
        "failed": len(failures),
        "queued": max(units - done - len(now) - len(failures), 0),
        "shared": shared,
        "at_work": len(alive),
        "seconds_left": max(known) if known else None,
        "stopped": next((d.stopped for d in sorted(found, key=lambda d: -d.written) if d.stopped), ""),
        "now": now,
        "failures": [(label, why.partition("\n")[0]) for label, why in sorted(failures.values())],
    }


def _look(recipe: Recipe, stages: Store, how: Machine) -> Callable[[], dict[str, Any]]:
    """Return what looks into the store how far a grid has come."""
    from clbench.engine.grid_plan import num_shared
    from clbench.engine.grid_record import drivers, grid_folder
    from clbench.engine.make_unit import is_made
    from clbench.engine.plan import plan as plan_units
    from clbench.engine.plan_table import open_planned

    broken: dict[str, Any] = {}
    specs = recipe.specs(broken)
    runs, _, _ = open_planned(specs, stages, how, broken)
    units = plan_units(runs)
    folder = grid_folder(stages.folder, recipe.name, specs)
    made: set[str] = set()

    def look() -> dict[str, Any]:
        made.update(unit.key for unit in units if unit.key not in made and is_made(unit, stages, how))
        found = list(drivers(folder))
        for driver in found:
            driver.failed = {key: why for key, why in driver.failed.items() if key not in made}
        return _state(recipe.name, len(made), len(units), num_shared(runs, units), found)

    return look
