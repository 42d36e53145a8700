"""`clbench run`: run a recipe, resume it, or only plan it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from clbench.cli.options import (
    Anyway,
    Data,
    ExamBatch,
    Json,
    Lang,
    Language,
    Memory,
    Place,
    byte_size,
    complain,
    language,
    progress_bars,
    say,
    say_json,
    shared_machine,
)
from clbench.cli.paying import Paying
from clbench.cli.run_options import (
    Change,
    ExamServer,
    Kept,
    Limit,
    MicroBatch,
    Out,
    Probe,
    Processes,
    Recompute,
    Recorded,
    Serve,
    Shard,
    Workers,
)
from clbench.cli.shared import with_shared
from clbench.core.errors import ExtraError, RankError, SpecError, UserError, did_you_mean
from clbench.core.events import notice, notice_listener
from clbench.core.extras import need_models
from clbench.core.ranks import place
from clbench.core.wording import tr

if TYPE_CHECKING:
    from clbench.core.prices import Prices
    from clbench.core.spec import Keep, Machine
    from clbench.engine.recipe.recipe import Recipe
    from clbench.report.results import Runs
    from clbench.store.store import Store


@with_shared("paying", Paying)
def run(
    context: typer.Context,
    spec: Annotated[Path, typer.Argument(help="A recipe (YAML), or the name of a shipped one: demo.")],
    set_: Change = None,
    data: Data = None,
    store: Place = None,
    workers: Workers = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    out: Out = Path("clbench-report"),
    record: Recorded = None,
    limit: Limit = None,
    micro_batch: MicroBatch = None,
    recompute: Recompute = False,
    processes: Processes = None,
    shard: Shard = False,
    memory: Memory = None,
    anyway: Anyway = False,
    probe: Probe = False,
    exam_batch: ExamBatch = 64,
    exam_server: ExamServer = None,
    serve: Serve = None,
    keep: Kept = "all",
    plan: Annotated[bool, typer.Option("--plan", help="Print what would run, and run nothing.")] = False,
    lang: Lang = None,
    as_json: Json = False,
    *,
    paying: Paying,
) -> int | None:
    """Run a model through a stream with one or more learners; the same command resumes."""
    from clbench.engine.executors.ranks import check_ranks
    from clbench.engine.recipe.recipe import load_recipe
    from clbench.store.store import Store

    _check(plan, probe, record)
    more = {"limit_s": limit, "micro_batch": micro_batch, "recompute": recompute, "exam_batch": exam_batch}
    more |= {"memory": byte_size(memory), "anyway": anyway, "exam_server": exam_server, "serve": serve}
    more |= {"keep": kept(keep), "shard": shard}
    how = shared_machine(store, data, workers, device, processes).model_copy(update=more)
    check_ranks(how)
    recipe, told = load_recipe(spec, set_ or []), None if as_json else language(lang)
    how = paying.on(how, recipe.name)
    stages = Store(how.store)
    if plan:
        return show_plan(recipe, stages, how, as_json, probe)
    if how.processes > place().size:  # no launcher has started them
        return _launch(context.find_root().obj, recipe, stages, how)
    return make(recipe, stages, how, out, record, told) if place().leads else _follow(recipe, stages, how)


def _check(plan: bool, probe: bool, record: Path | None) -> None:
    """Refuse what would do nothing, or could not be made or written after all the work."""
    from clbench.report.runs.record import check_record_folder

    if not place().leads:
        notice_listener.set(lambda _: None)  # rank 0 reads the same recipe, and says it
    check_models("a run", plan)
    _check_planned(plan, probe)
    if record is not None:
        check_record_folder(record)


def make(recipe: Recipe, stages: Store, how: Machine, out: Path, record: Path | None, told: Language | None) -> None:
    """Make the runs of a recipe and say what came out, in a language, or as JSON where none is told."""
    from clbench.engine.run import attempt

    with progress_bars():
        outcomes = attempt(recipe, stages, how)
    tell_outcomes(outcomes, how, out, recipe.name, record, told)


def tell_outcomes(
    outcomes: Sequence[Path | UserError],
    how: Machine,
    out: Path,
    name: str,
    record: Path | None,
    told: Language | None,
    write: Callable[[Any], None] = say_json,
) -> None:
    """Write the report of the runs that were made, and say what could not be; `write` is for machines.

    Raises:
        UserError: None could be made.
        Exit: Some could not.
    """
    from clbench.report.results import Runs

    failed = [one for one in outcomes if isinstance(one, UserError)]
    if len(failed) == len(outcomes):
        raise failed[0]
    prices = how.spending.prices if how.spending is not None else {}
    _tell(Runs([one for one in outcomes if isinstance(one, Path)]), prices, out, name, record, told, write)
    counts = Counter(map(str, failed))
    _end_with([f"{num} of {len(outcomes)} runs could not be made: {why}" for why, num in counts.items()])


def show_plan(recipe: Recipe, store: Store, machine: Machine, as_json: bool, probe: bool | None) -> None:
    """Print a plan, and end with an error if something of it cannot be used or cannot fit.

    Args:
        recipe: What is planned.
        store: Where the rest of it lies.
        machine: What it would be made on.
        as_json: Print JSON alone.
        probe: Whether to learn some steps for the time; None where the command has no such option.
    """
    from clbench.engine.plan_table import tabulate

    broken: dict[str, UserError] = {}
    table = tabulate(recipe.specs(broken), store, machine, broken, probe=bool(probe))
    if not place().leads:
        return
    say_json(table.as_dict()) if as_json else say(table.as_text())
    if table.untimed and probe is False and not as_json:
        say(tr("time: --plan --probe learns 20 steps with each learner, and tells it"))
    lines = [f"{name} cannot be used: {why}" for name, why in table.broken]
    try:
        if table.fit is not None and not machine.anyway:
            table.fit.check()
    except SpecError as error:
        lines.append(str(error))
    _end_with(lines)


def _end_with(lines: Sequence[str]) -> None:
    """Say what could not be done, after all else, and end with the exit code of an error."""
    for line in lines:
        complain(line)
    if lines:
        raise typer.Exit(2)


def _check_planned(plan: bool, probe: bool) -> None:
    """Refuse an option that would do nothing.

    Raises:
        SpecError: Names it.
    """
    if probe and not plan:
        raise SpecError("this belongs to --plan", where="--probe", mend="add --plan")


def _launch(arguments: Sequence[str], recipe: Recipe, stages: Store, how: Machine) -> int:
    """Start the ranks with the same arguments, after what cannot work has been told once; return the exit code."""
    from clbench.cli.launch import launch
    from clbench.engine.inputs import Inputs
    from clbench.engine.resolve import check_device
    from clbench.engine.units import open_runs

    check_device(how)
    broken: dict[str, UserError] = {}
    open_runs(recipe.specs(broken), broken, Inputs(how.data), stages, how)
    return launch(arguments, how.processes)


def _follow(recipe: Recipe, stages: Store, how: Machine) -> int:
    """Do the part of a rank that neither writes nor reports; return its exit code. Rank 0 says what there is to say."""
    from clbench.engine.run import attempt

    try:
        outcomes = attempt(recipe, stages, how)
    except RankError:
        raise
    except UserError:
        return 2
    return 2 if any(isinstance(one, UserError) for one in outcomes) else 0


def _tell(
    results: Runs,
    prices: Mapping[str, Prices],
    out: Path,
    name: str,
    record: Path | None,
    told: Language | None,
    write: Callable[[Any], None],
) -> None:
    """Write the report, and say where it is: in a language, or as JSON where none is told."""
    from clbench.report.decide.texts import TEXTS
    from clbench.report.page.html import write_report
    from clbench.report.runs.cuts import cut_counts
    from clbench.report.runs.groups import group_runs
    from clbench.report.runs.load import read_runs
    from clbench.report.runs.prices import add_prices
    from clbench.report.runs.record import record_runs
    from clbench.report.tables.summary import summary_text

    runs = add_prices(results.records, {}, prices) if prices else results.records
    page = write_report(runs, out, name, told or "en")
    if record is not None:
        record_runs(read_runs(results.folders), record)
    if told is None:
        cut = cut_counts(group_runs(runs))
        write({"results": [str(r) for r in results.folders], "report": str(page), "cut": cut})
        return
    say(summary_text(runs, lang=told))
    say(TEXTS[told]["report_file"].format(path=page.resolve()))


def kept(named: str) -> Keep:
    """Return what `--keep` names.

    Raises:
        SpecError: It names none.
    """
    from clbench.core import spec

    choices: tuple[Keep, ...] = get_args(spec.Keep)
    for choice in choices:
        if named == choice:
            return choice
    raise SpecError(f"there is no choice {named!r}", where="--keep", mend=did_you_mean(named, choices))


def check_models(what: str, plan: bool) -> None:
    """Refuse work that needs a model where none can be loaded; a plan only gets a notice.

    Raises:
        ExtraError: No model can be loaded, and this is not a plan.
    """
    try:
        need_models(what)
    except ExtraError as error:
        if not plan:
            raise
        notice(f"this can be planned here but not run: {error.what}; {error.mend}")
