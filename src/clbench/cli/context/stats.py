"""`clbench context stats`: how many tasks and rubrics are solved, and how certain is that?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clbench.cli.options import Json, Lang, say, say_json


def stats(
    files: Annotated[list[Path], typer.Argument(help="Graded files of one system: trials or parts; or a folder.")],
    dataset: Annotated[
        Path | None, typer.Option(help="The data set: its tasks are the denominator, missing ones count as failed.")
    ] = None,
    as_json: Json = False,
    format_: Annotated[Literal["text", "markdown", "csv"], typer.Option("--format", help="Of the tables.")] = "text",
    lang: Lang = None,
) -> None:
    """Print rates over tasks and rubrics with intervals over contexts, and how they depend on the kind of task."""
    from clbench.context.graded import read_tasks
    from clbench.context.grades import files_of, load_grades, system_name
    from clbench.context.summary import summary_of
    from clbench.context.summary_text import summary_sections
    from clbench.context.tables import as_values, shown

    known = read_tasks(dataset) if dataset is not None else None
    read = [each for path in files for each in files_of(path)]
    found = summary_of(load_grades(read, known, system_name(files[0])))
    if as_json:
        say_json(as_values(found))
        return
    say(shown(lambda: summary_sections(found), format_))
