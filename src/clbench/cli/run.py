"""`clbench run`: run a recipe, resume it, or only plan it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from clbench.cli.options import Data, Json, Place, machine, progress_bars, say, say_json
from clbench.core.errors import ExtraError, SpecError, did_you_mean
from clbench.core.events import notice
from clbench.core.extras import need_models

if TYPE_CHECKING:
    from clbench.core.spec import Keep
    from clbench.report.results import Runs

Change = Annotated[list[str] | None, typer.Option("--set", help="Change a field: --set learner.lr=1e-3 (repeatable).")]
Limit = Annotated[float | None, typer.Option(help="Most seconds for one lesson with its exams.", min=1)]


def run(
    spec: Annotated[Path, typer.Argument(help="A recipe (YAML), or the name of a shipped one: demo.")],
    set_: Change = None,
    data: Data = None,
    store: Place = None,
    workers: Annotated[int | None, typer.Option(help="Processes, one thread each (default: cores).")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    out: Annotated[Path, typer.Option(help="Folder of the report, or a file that ends in .html.")] = Path(
        "clbench-report"
    ),
    record: Annotated[
        Path | None, typer.Option(help="Also write the results here, to be committed to a repository.")
    ] = None,
    limit: Limit = None,
    micro_batch: Annotated[
        int | None, typer.Option(help="Most examples that are learnt from at a time: less memory.", min=1)
    ] = None,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Make activations again instead of keeping them: less memory.")
    ] = False,
    keep: Annotated[
        str, typer.Option(help="States that stay when a run is complete: all, last, or branch (last and branching).")
    ] = "all",
    plan: Annotated[bool, typer.Option("--plan", help="Print what would run, and run nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Run a model through a stream with one or more learners; the same command resumes."""
    from clbench.engine.recipe.recipe import load_recipe
    from clbench.report.runs.record import check_record_folder
    from clbench.store.store import Store

    check_models("a run", plan)
    if record is not None:
        check_record_folder(record)
    more = {"limit_s": limit, "micro_batch": micro_batch, "recompute": recompute}
    how = machine(store, data, workers, device).model_copy(update=more | {"keep": _kept(keep)})
    recipe = load_recipe(spec, set_ or [])
    stages = Store(how.store)
    if plan:
        from clbench.engine.plan_table import tabulate

        table = tabulate(recipe.specs(), stages, how)
        say_json(table.as_dict()) if as_json else say(table.as_text())
        return
    from clbench.engine import run as engine

    with progress_bars():
        results = engine.run(recipe, stages, how)
    _tell(results, out, recipe.name, record, as_json)


def _tell(results: Runs, out: Path, name: str, record: Path | None, as_json: bool) -> None:
    from clbench.report.page.html import write_report
    from clbench.report.runs.cuts import cut_counts
    from clbench.report.runs.groups import group_runs
    from clbench.report.runs.load import read_runs
    from clbench.report.runs.record import record_runs
    from clbench.report.tables.table import summary_text

    runs = results.records
    page = write_report(runs, out, name)
    if record is not None:
        record_runs(read_runs(results.folders), record)
    if as_json:
        cut = cut_counts(group_runs(runs))
        say_json({"results": [str(r) for r in results.folders], "report": str(page), "cut": cut})
        return
    say(summary_text(runs))
    say(f"report: {page.resolve()}")


def _kept(named: str) -> Keep:
    """Return what `--keep` names.

    Raises:
        SpecError: There is no such choice.
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
