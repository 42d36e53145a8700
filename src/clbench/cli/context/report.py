"""`clbench context report`: one HTML page of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clbench.cli.options import Lang, say
from clbench.core.errors import SpecError
from clbench.core.wording import spoken


def report(
    files: Annotated[list[Path], typer.Argument(help="Graded files of one system: trials or parts; or a folder.")],
    out: Annotated[Path, typer.Option(help="The page, or a folder to write context.html into.")] = Path(),
    dataset: Annotated[
        Path | None, typer.Option(help="The data set: its tasks are the denominator, missing ones count as failed.")
    ] = None,
    errors: Annotated[
        Path | None, typer.Option(help="Classes of errors, as `clbench context errors` wrote them.")
    ] = None,
    items: Annotated[int, typer.Option(min=0, help="Most answers to look at; 0 shows none of the texts.")] = 200,
    title: Annotated[str, typer.Option(help="Default: the name of the file or folder.")] = "",
    lang: Lang = None,
) -> None:
    """Write one HTML page: rates, categories, curves, errors, cost, and answers with their rubrics' verdicts."""
    from clbench.context.graded import read_tasks
    from clbench.context.grades import files_of, load_grades, system_name
    from clbench.context.item_browser import chosen, items_of, read_classes
    from clbench.context.page import Shown, html_page
    from clbench.context.spending import spending_of
    from clbench.context.summary import summary_of
    from clbench.report.page.html import page_at

    known = read_tasks(dataset) if dataset is not None else None
    paths = [each for path in files for each in files_of(path)]
    grades = load_grades(paths, known, system_name(files[0]))
    classes = {} if errors is None else read_classes(errors)
    if strange := classes.keys() - {(row.task.id, row.trial) for row in grades.rows.values()}:
        mend = "run `clbench context errors` on the same graded files"
        what = f"{len(strange)} errors are of answers that are not graded here, such as {min(strange)[0]}"
        raise SpecError(what, where=str(errors), mend=mend)
    found = items_of(paths, grades, chosen(grades, items), dataset, classes)
    shown = Shown(grades, summary_of(grades), spending_of(paths), found, classes)
    page = page_at(out, "context.html")
    page.write_text(html_page(shown, title or grades.name, spoken()), encoding="utf-8")
    say(str(page))
