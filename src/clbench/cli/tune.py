"""`clbench tune`: choose the settings of methods on a separate stream."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from clbench.cli.options import Data, Json, Place, machine, progress_bars, say, say_json
from clbench.cli.run import Change, Limit, check_models


def tune(
    recipe: Annotated[Path, typer.Argument(help="A tuning recipe (YAML), or the name of a shipped one.")],
    set_: Change = None,
    data: Data = None,
    store: Place = None,
    workers: Annotated[int | None, typer.Option(help="Processes, one thread each (default: cores).")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    limit: Limit = None,
    out: Annotated[
        Path | None, typer.Option(help="File for the chosen settings (default: tuned.yaml beside the recipe).")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print what would run, and run nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Try a small grid of each learner's settings on a tuning stream, and write the best ones to a file."""
    from clbench.engine.tune import check_apart, check_place, load_tuning, write_tuned
    from clbench.engine.tune import tune as tune_grid
    from clbench.store.store import Store

    check_models("tuning", plan)
    how = machine(store, data, workers, device).model_copy(update={"limit_s": limit})
    place = out or (recipe if recipe.is_file() else Path()).parent / "tuned.yaml"
    check_place(place)
    tuning = load_tuning(recipe, set_ or [])
    stages = Store(how.store)
    if plan:
        from clbench.engine.plan_table import tabulate

        check_apart(tuning, how)
        table = tabulate(tuning.runs.specs(), stages, how)
        say_json(table.as_dict()) if as_json else say(table.as_text())
        return
    with progress_bars():
        record = tune_grid(tuning, stages, how)
    write_tuned(record, place, recipe)
    say_json(record) if as_json else say(_table(record))
    if not as_json:
        say(f"written: {place}")


def _table(record: Mapping[str, Any]) -> str:
    chosen = record["settings"]
    rows = ["  learner  AP  FM  settings"]
    for name, tries in record["tried"].items():
        for one in tries:
            star = "*" if len(tries) > 1 and one["settings"] == chosen.get(name) else " "
            settings = ", ".join(f"{k}={v}" for k, v in one["settings"].items())
            rows.append(f"{star} {name}  {_percent(one['AP'])}  {_percent(one['FM'])}  {settings}")
    rows.append(f"* chosen: {record['rule']}")
    for name, settings in record["at_edge"].items():
        rows.append(f"{name}: the best {' and '.join(settings)} is at the edge of the grid; try values beyond it")
    return "\n".join(rows)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"
