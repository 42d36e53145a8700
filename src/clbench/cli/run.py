"""`clbench run`: run a recipe, resume it, or only plan it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from clbench.cli.options import Data, Json, Place, machine, progress_bars, say, say_json
from clbench.core.errors import ExtraError, SpecError
from clbench.core.extras import need_models
from clbench.core.notice import notice

Change = Annotated[list[str] | None, typer.Option("--set", help="Change a field: --set learner.lr=1e-3 (repeatable).")]
Limit = Annotated[float | None, typer.Option(help="Most seconds for one lesson with its exams.", min=1)]


def run(
    spec: Annotated[Path, typer.Argument(help="A recipe or run spec (YAML).")],
    set_: Change = None,
    data: Data = None,
    store: Place = None,
    workers: Annotated[int | None, typer.Option(help="Processes, one thread each [default: cores].")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    out: Annotated[Path, typer.Option(help="Folder of the report, or its file, that ends in .html.")] = Path(
        "clbench-report"
    ),
    record: Annotated[Path | None, typer.Option(help="Also copy the result folders here, to be committed.")] = None,
    limit: Limit = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be made, and make nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Run a model through a stream with one or more learners; the same command resumes."""
    from clbench.engine.grid import load_grid, run_grid
    from clbench.store.store import Store

    check_models("a run", plan)
    how = machine(store, data, workers, device).model_copy(update={"limit_s": limit})
    grid = load_grid(spec, set_ or [])
    opened = Store(how.store)
    if plan:
        from clbench.engine.plan import plan_of

        table = plan_of(grid.specs(), opened, how)
        say_json(table.as_dict()) if as_json else say(table.as_text())
        return
    with progress_bars():
        results = run_grid(grid, opened, how)
    from clbench.report.cuts import cut_counts
    from clbench.report.gather import group_runs, load_runs
    from clbench.report.html import write_report
    from clbench.report.table import summary_text

    runs = load_runs(results)
    page = write_report(runs, out, grid.name)
    if record is not None:
        _copy(results, record)
    if as_json:
        cut = cut_counts(group_runs(runs))
        say_json({"results": [str(r) for r in results], "report": str(page), "cut": cut})
        return
    say(summary_text(runs))
    say(f"report: {page.resolve()}")


def check_models(what: str, plan: bool) -> None:
    """Refuse work for which no model can be loaded here; a plan needs none, and says so.

    Raises:
        ExtraError: No model can be loaded, and it is to be made.
    """
    try:
        need_models(what)
    except ExtraError as error:
        if not plan:
            raise
        notice(f"this can be planned here and not made: {error.what}; {error.mend}")


def _copy(results: Sequence[Path], folder: Path) -> None:
    """Put the results of this grid, and no others, into a folder; a folder that holds something else is refused."""
    strange = sorted(p.name for p in folder.glob("*") if not (p / "spec.yaml").is_file())
    if strange:
        raise SpecError(
            f"{folder} holds {strange[0]!r}, which is no result", where="--record", mend="name a new folder"
        )
    shutil.rmtree(folder, ignore_errors=True)
    for result in results:
        shutil.copytree(result, folder / result.name)
