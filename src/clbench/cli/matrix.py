"""`clbench matrix`: the matrix of checkpoints that another program made; nothing is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from clbench.cli.options import Data, Device, ExamBatch, Json, Lang, Place, language, machine
from clbench.cli.run import check_models, make, show_plan
from clbench.cli.run_options import Change, Out, Recorded
from clbench.core.errors import DataError, SpecError


def matrix(
    checkpoints: Annotated[
        list[str], typer.Argument(help="The model before the first lesson, then the folder that each lesson left.")
    ],
    stream: Annotated[str, typer.Option(help="Stream whose lessons were learnt: a name, or a card's file.")],
    exams: Annotated[
        list[str] | None, typer.Option("--exams", "--exam", help="Exam or suite beyond the stream's (repeatable).")
    ] = None,
    costs: Annotated[
        Path | None, typer.Option(help="YAML or JSON file of what learning cost (default: unknown).")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the result.")] = "checkpoints",
    set_: Change = None,
    data: Data = None,
    store: Place = None,
    device: Device = "auto",
    out: Out = Path("clbench-report"),
    record: Recorded = None,
    exam_batch: ExamBatch = 64,
    plan: Annotated[bool, typer.Option("--plan", help="Print what would be asked, and ask nothing.")] = False,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Make the matrix of checkpoints trained elsewhere: row t is the t-th one; the same command resumes."""
    from clbench.core.validation import validated
    from clbench.engine.recipe.changes import apply_change
    from clbench.engine.recipe.recipe import Recipe
    from clbench.report.runs.record import check_record_folder
    from clbench.store.store import Store

    check_models("a matrix", plan)
    if record is not None:
        check_record_folder(record)
    if len(checkpoints) < 2:
        mend = "name the model before the first lesson, then the folder that each lesson left"
        raise SpecError("one checkpoint makes one row", where="CHECKPOINTS", mend=mend)
    base, *folders = checkpoints
    values: dict[str, Any] = {"name": name, "stream": stream, "exams": exams or [], "model": _base(base)}
    values["learner"] = {"name": "checkpoints", "folders": folders} | ({} if costs is None else {"costs": _read(costs)})
    for change in set_ or ():
        apply_change(values, change)
    recipe: Recipe = validated(Recipe, values, "")
    how = machine(store, data, 1, device).model_copy(update={"exam_batch": exam_batch})
    stages = Store(how.store)
    if plan:
        show_plan(recipe, stages, how, as_json, probe=None)
    else:
        make(recipe, stages, how, out, record, None if as_json else language(lang))


def _base(named: str) -> dict[str, str]:
    if Path(named).expanduser().exists():
        return {"path": named}
    model, _, commit = named.partition("@")
    return {"name": model} | ({"revision": commit} if commit else {})


def _read(path: Path) -> dict[str, Any]:
    from clbench.data.tasks.card_file import read_text

    try:
        return dict(read_text(path).values)
    except DataError as error:
        raise SpecError(
            error.what, where=error.where or "--costs", mend=error.mend or "write fields and values"
        ) from None
