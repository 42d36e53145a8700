"""`clbench export`: write the model of a run as a checkpoint or an adapter that others load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clbench.cli.options import Data, Device, Json, Lang, Place, machine, progress_bars, say, say_json
from clbench.core.errors import SpecError, did_you_mean
from clbench.core.extras import need_models
from clbench.core.wording import tr

if TYPE_CHECKING:
    from clbench.report.runs.load import RunRecord

FORMS = ("every-eval-ever", "lm-eval", "model-card")


def export(
    run: Annotated[
        list[str],
        typer.Argument(
            metavar="[FORM] RUN",
            help="A result: a folder of the store's runs, or a recorded file. Before it, what to write in place of the "
            "model: every-eval-ever or lm-eval (scores, item by item), model-card.",
        ),
    ],
    to: Annotated[Path, typer.Option(help="A new folder.")],
    lesson: Annotated[int | None, typer.Option(help="After which lesson (default: the last).", min=0)] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Merge a low-rank adapter into the weights.")] = False,
    store: Place = None,
    data: Data = None,
    device: Device = "auto",
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Write what a run learnt as a checkpoint for plain transformers or as a PEFT adapter, or its scores for others."""
    from clbench.engine.export import export as write

    form, place = _named(run)
    if form is None:
        need_models("an export")
    record = _record(place)
    after = record.matrix.num_lessons if lesson is None else lesson
    if form is not None:
        _refuse(form, {"--merge": merge, "--store": store, "--data": data, "--device": device != "auto"})
        _write_scores(form, record, after, to, as_json)
        return
    with progress_bars():
        told = write(record, after, to, machine(store, data, 1, device), merge=merge)
    if as_json:
        say_json({"run": record.name, "lesson": after, "folder": str(to), "written": told})
        return
    say(tr("{run} after lesson {number}: {what}", run=record.name, number=after, what=tr(told)))
    say(tr("written to {path}", path=to.resolve()))


def _named(words: list[str]) -> tuple[str | None, Path]:
    """Return the form that is to be written, None for the model itself, and where the run is.

    Raises:
        SpecError: There are other words.
    """
    if len(words) == 1 and (words[0] not in FORMS or Path(words[0]).exists()):
        return None, Path(words[0])
    if len(words) == 2 and words[0] in FORMS:
        return words[0], Path(words[1])
    if len(words) == 2:
        raise SpecError(f"{words[0]!r} is not a form", where="FORM", mend=did_you_mean(words[0], FORMS))
    mend = f"clbench export RUN --to FOLDER, or with one of {', '.join(FORMS)} before RUN"
    raise SpecError("one run is wanted", where="RUN", mend=mend)


def _record(place: Path) -> RunRecord:
    from clbench.report.runs.load import read_runs

    found = read_runs([place])
    if len(found) != 1:
        names = ", ".join(record.name for record in found[:5])
        raise SpecError(f"{place} holds {len(found)} results ({names})", where="RUN", mend="name one of them")
    return found[0]


def _refuse(form: str, given: dict[str, object]) -> None:
    if named := next((name for name, value in given.items() if value), None):
        raise SpecError(f"this has no effect on {form}", where=named, mend="leave it out")


def _write_scores(form: str, record: RunRecord, lesson: int, to: Path, as_json: bool) -> None:
    """Write scores, or the model card, into a folder that is new or empty.

    Raises:
        SpecError: There is no such lesson, or something is in the folder.
    """
    from clbench.engine.export import CARD, check_place, model_card
    from clbench.report.logs.export import write_harness_log, write_record

    check_place(record, lesson, to)
    if form == "model-card":
        to.mkdir(parents=True, exist_ok=True)
        (to / CARD).write_text(model_card(record, lesson), encoding="utf-8")
        files = [to / CARD]
    else:
        files = (write_record if form == "every-eval-ever" else write_harness_log)(record, lesson, to)
    if as_json:
        say_json({"run": record.name, "lesson": lesson, "files": [str(file) for file in files]})
        return
    for file in files:
        say(tr("written to {path}", path=file.resolve()))
