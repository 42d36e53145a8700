"""`clbench export`: write the model of a run as a checkpoint or an adapter that others load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clbench.cli.options import Data, Device, Json, Lang, Place, machine, progress_bars, say, say_json
from clbench.core.errors import SpecError
from clbench.core.extras import need_models
from clbench.core.wording import tr


def export(
    run: Annotated[Path, typer.Argument(help="A result: a folder of the store's runs, or a recorded file.")],
    to: Annotated[Path, typer.Option(help="A new folder.")],
    lesson: Annotated[int | None, typer.Option(help="After which lesson (default: the last).", min=0)] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Merge a low-rank adapter into the weights.")] = False,
    store: Place = None,
    data: Data = None,
    device: Device = "auto",
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Write what a run learnt as a checkpoint for plain transformers or as a PEFT adapter, with a model card."""
    from clbench.engine.export import export as write
    from clbench.report.runs.load import read_runs

    need_models("an export")
    found = read_runs([run])
    if len(found) != 1:
        names = ", ".join(record.name for record in found[:5])
        raise SpecError(f"{run} holds {len(found)} results ({names})", where="RUN", mend="name one of them")
    (record,) = found
    after = record.matrix.num_lessons if lesson is None else lesson
    with progress_bars():
        told = write(record, after, to, machine(store, data, 1, device), merge=merge)
    if as_json:
        say_json({"run": record.name, "lesson": after, "folder": str(to), "written": told})
        return
    say(tr("{run} after lesson {number}: {what}", run=record.name, number=after, what=tr(told)))
    say(tr("written to {path}", path=to.resolve()))
