"""`clbench tune`: choose the settings of learners on a separate stream."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clbench.cli.options import (
    Anyway,
    Data,
    Json,
    Lang,
    Memory,
    Place,
    byte_size,
    machine,
    progress_bars,
    say,
    say_json,
)
from clbench.cli.run import check_models
from clbench.cli.run_options import Change, Limit
from clbench.core.wording import tr


def tune(
    recipe: Annotated[Path, typer.Argument(help="A tuning recipe (YAML), or the name of a shipped one.")],
    set_: Change = None,
    data: Data = None,
    store: Place = None,
    workers: Annotated[int | None, typer.Option(help="Processes, one thread each (default: cores).")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    limit: Limit = None,
    memory: Memory = None,
    anyway: Anyway = False,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Tune this learner alone, to check its entry (repeatable); writes nothing without --out."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="File for the chosen settings (default: tuned.yaml beside the recipe), with .json and .md."),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print what would run, and run nothing.")] = False,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Try a grid of the same size for every learner on a tuning stream, and write the best settings to a file."""
    from clbench.engine.tune_plan import plan_tuning
    from clbench.engine.tune_recipe import check_apart, load_tuning
    from clbench.engine.tune_record import check_place, table_of, write_tuned
    from clbench.store.store import Store

    check_models("tuning", plan)
    more = {"limit_s": limit, "memory": byte_size(memory), "anyway": anyway}
    how = machine(store, data, workers, device).model_copy(update=more)
    beside = None if only else (recipe if recipe.is_file() else Path()).parent / "tuned.yaml"
    place = out or beside
    if place is not None:
        check_place(place)
    tuning = load_tuning(recipe, set_ or [])
    tuning = tuning.only(only) if only else tuning
    if plan:
        check_apart(tuning, how)
        table = plan_tuning(tuning, Store(how.store), how)
        say_json(table.as_dict()) if as_json else say(table.as_text())
        return
    from clbench.engine.tune import tune as tune_grids

    with progress_bars():
        record = tune_grids(tuning, Store(how.store), how)
    if place is not None:
        write_tuned(record, place, recipe)
    say_json(record) if as_json else _tell(table_of(record), place)


def _tell(table: str, place: Path | None) -> None:
    say(table)
    if place is not None:
        say(tr("written: {path}, and its record beside it as .json and .md", path=place))
