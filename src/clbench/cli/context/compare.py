"""`clbench context compare`: do systems differ on the same tasks?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clbench.cli.options import Json, Lang, say, say_json


def compare(
    sides: Annotated[
        list[Path], typer.Argument(help="Two or more systems: a graded file each, or a folder of trials.")
    ],
    dataset: Annotated[
        Path | None, typer.Option(help="The data set: its tasks are the denominator, missing ones count as failed.")
    ] = None,
    against: Annotated[str | None, typer.Option(help="Compare all others with this system only.")] = None,
    power: Annotated[bool, typer.Option("--power", help="Print the differences that can be found at all.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Compare although tasks, rubrics or judges differ.")] = False,
    as_json: Json = False,
    format_: Annotated[Literal["text", "markdown", "csv"], typer.Option("--format", help="Of the tables.")] = "text",
    lang: Lang = None,
) -> None:
    """Compare systems task by task: differences with intervals, exact tests, Holm's correction and ranks."""
    from clbench.context.compare import compare as compared
    from clbench.context.compare_text import comparison_sections
    from clbench.context.graded import read_tasks
    from clbench.context.grades import files_of, load_grades, system_names
    from clbench.context.tables import as_values, shown

    known = read_tasks(dataset) if dataset is not None else None
    read = [
        load_grades(files_of(path), known, name, force=force)
        for path, name in zip(sides, system_names(sides), strict=True)
    ]
    found = compared(read, against, force=force)
    if as_json:
        say_json(as_values(found))
        return
    say(shown(lambda: comparison_sections(found, power=power), format_))
