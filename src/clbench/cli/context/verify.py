"""`clbench context verify`: can a submission be taken as it stands?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clbench.cli.options import Json, say, say_json

FOUND = 2


def verify(
    submission: Annotated[
        list[Path], typer.Argument(help="Graded files: parts, or a trial each; or a folder of them.")
    ],
    dataset: Annotated[Path, typer.Option(help="The data set that was to be answered.")],
    trials: Annotated[int | None, typer.Option(min=1, help="How many trials it claims.")] = None,
    as_json: Json = False,
    format_: Annotated[Literal["text", "markdown", "csv"], typer.Option("--format", help="Of the report.")] = "text",
) -> int:
    """Hold a submission against its data set. Exit code 0: nothing found, 2: findings, 3: it cannot be read."""
    from clbench.context.findings import counted, finding_sections
    from clbench.context.grades import files_of
    from clbench.context.tables import Section, as_values, percent, rendered
    from clbench.context.verify import MEANINGS
    from clbench.context.verify import verify as verified

    found = verified([each for path in submission for each in files_of(path)], dataset, trials)
    code = FOUND if found.findings else 0
    if as_json:
        say_json({"verdict": "findings" if code else "clean", "counts": counted(found.findings), **as_values(found)})
        return code
    rows = (
        ("tasks of the data set", str(found.tasks)),
        ("trials", str(found.trials)),
        ("rows", str(found.rows)),
        ("solved, %, as the rows declare", percent(found.declared)),
        ("solved, %, by labels over tasks x trials", percent(found.recomputed)),
        ("findings", str(len(found.findings))),
    )
    head = Section("submission", ("figure", "value"), rows, () if found.findings else ("nothing was found",))
    say(rendered([head, *finding_sections(found.findings, MEANINGS)], format_))
    return code
