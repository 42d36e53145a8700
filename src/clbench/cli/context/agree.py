"""`clbench context agree`: do judges agree with each other, and with themselves?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clbench.cli.options import Json, Lang, say, say_json
from clbench.core.errors import SpecError


def agree(
    files: Annotated[
        list[Path], typer.Argument(help="Graded files of the same answers, by several judges or twice by one.")
    ],
    family: Annotated[
        list[str] | None, typer.Option(help="NAME=FAMILY of a judge or model (repeatable), such as o3=gpt.")
    ] = None,
    dataset: Annotated[Path | None, typer.Option(help="The data set, where rows lack their task.")] = None,
    as_json: Json = False,
    format_: Annotated[Literal["text", "markdown", "csv"], typer.Option("--format", help="Of the tables.")] = "text",
    lang: Lang = None,
) -> None:
    """Compare judges on the same answers: kappas and alpha by rubric and task, repeats, orders, own family."""
    from clbench.context.agree import agree as agreed
    from clbench.context.agree_text import agreement_sections
    from clbench.context.graded import read_tasks
    from clbench.context.grades import files_of
    from clbench.context.tables import as_values, shown

    families: dict[str, str] = {}
    for given in family or []:
        name, sign, value = given.rpartition("=")
        if not (name and sign and value):
            raise SpecError(f"{given!r} is not NAME=FAMILY", where="--family", mend="write, for example, o3=gpt")
        families[name] = value.lower()
    known = read_tasks(dataset) if dataset is not None else None
    found = agreed([each for path in files for each in files_of(path)], known, families)
    if as_json:
        say_json(as_values(found))
        return
    say(shown(lambda: agreement_sections(found), format_))
