"""`clbench context calibrate`: how far can the judge be trusted?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clbench.cli.options import Json, Lang, say, say_json
from clbench.core.errors import SpecError
from clbench.core.wording import tr


def calibrate(
    graded: Annotated[Path, typer.Argument(help="A graded file.")],
    labels: Annotated[
        Path | None, typer.Argument(help="Labels by people: CSV with task_id, rubric_index, label.")
    ] = None,
    plan: Annotated[
        int | None, typer.Option(min=1, help="Choose so many rubrics to label, and write the CSV to fill in.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="File of the plan (default: print it).")] = None,
    seed: Annotated[int, typer.Option(help="Of the plan's choice.")] = 0,
    dataset: Annotated[Path | None, typer.Option(help="The data set, where rows lack their task.")] = None,
    as_json: Json = False,
    format_: Annotated[Literal["text", "markdown", "csv"], typer.Option("--format", help="Of the tables.")] = "text",
    lang: Lang = None,
) -> None:
    """Compare the judge with people and correct its rate; or choose what people should label, blind to verdicts."""
    from clbench.context.calibrate import calibrated
    from clbench.context.calibrate_text import calibration_sections
    from clbench.context.graded import read_tasks
    from clbench.context.grades import one_each
    from clbench.context.labels import plan as planned
    from clbench.context.labels import plan_text, read_labels
    from clbench.context.tables import as_values, shown

    if (plan is None) == (labels is None):
        mend = "`--plan N` to choose rubrics for labelling, or a file of labels"
        raise SpecError("give either labels or --plan", where="context calibrate", mend=mend)
    if out is not None and out.exists():
        raise SpecError(f"{out} is there already", where="--out", mend="name another file: labels in it would be lost")
    grades = one_each(graded, read_tasks(dataset) if dataset is not None else None)
    if plan is not None:
        items = planned(grades, plan, seed)
        text = plan_text(graded, grades, items)
        if out is None:
            say(text.rstrip("\n"))
            return
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
        say(tr("{path}: {num} rubrics to label; write yes or no into the column `label`", path=out, num=len(items)))
        return
    if labels is not None:
        found = calibrated(grades, read_labels(labels, grades))
        if as_json:
            say_json(as_values(found))
            return
        say(shown(lambda: calibration_sections(found), format_))
