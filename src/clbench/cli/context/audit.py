"""`clbench context audit`: what is wrong with a data set?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clbench.cli.options import Json, Lang, say, say_json
from clbench.core.errors import SpecError

if TYPE_CHECKING:
    from clbench.context.audit import Audit


def audit(
    dataset: Annotated[Path, typer.Argument(help="The data set.")],
    graded: Annotated[
        list[Path] | None, typer.Option(help="Graded files of systems (repeatable): finds rubrics that none meets.")
    ] = None,
    floor: Annotated[
        list[Path] | None,
        typer.Option(help="Graded files of systems without the context (repeatable): finds rubrics that need none."),
    ] = None,
    before: Annotated[
        Path | None, typer.Option(help="An older version: shows what changed in place of defects.")
    ] = None,
    shown: Annotated[int, typer.Option(min=1, help="Places to print of each kind; --json has all.")] = 5,
    as_json: Json = False,
    format_: Annotated[Literal["text", "markdown", "csv"], typer.Option("--format", help="Of the report.")] = "text",
    lang: Lang = None,
) -> None:
    """List what is wrong with a data set: ids, conversations, rubrics. Exit code 0 whatever is found."""
    from clbench.context.audit import audit as audited
    from clbench.context.findings import counted
    from clbench.context.graded import read_graded, read_tasks
    from clbench.context.grades import files_of
    from clbench.context.tables import as_values

    if before is not None:
        if graded or floor:
            mend = "leave out --graded and --floor, or --before"
            raise SpecError("versions are compared without answers", where="--before", mend=mend)
        _show_changes(before, dataset, shown, (as_json, format_))
        return
    known = read_tasks(dataset) if graded or floor else None
    with_it, without = (
        [row for path in paths or [] for file in files_of(path) for row in read_graded(file, known)]
        for paths in (graded, floor)
    )
    found = audited(dataset, with_it, without, known)
    if as_json:
        say_json({"counts": counted(found.findings), **as_values(found)})
        return
    _show(dataset, found, shown, format_)


def _show(dataset: Path, found: Audit, shown: int, form: Literal["text", "markdown", "csv"]) -> None:
    from clbench.context.audit import MEANINGS
    from clbench.context.findings import finding_sections
    from clbench.context.tables import Section
    from clbench.context.tables import shown as as_shown

    rows = (
        ("rows", str(found.rows)),
        ("contexts", str(found.contexts)),
        ("rubrics", str(found.rubrics)),
        ("findings", str(len(found.findings))),
    )
    notes = () if found.findings else ("nothing was found",)
    head = Section(str(dataset), ("figure", "value"), rows, notes, words=True)
    say(as_shown(lambda: [head, *finding_sections(found.findings, MEANINGS, shown)], form))


def _show_changes(old: Path, new: Path, shown: int, form: tuple[bool, Literal["text", "markdown", "csv"]]) -> None:
    from clbench.context.findings import counted, finding_sections
    from clbench.context.tables import Section, as_values
    from clbench.context.tables import shown as as_shown
    from clbench.context.versions import MEANINGS, changes

    found = changes(old, new)
    as_json, format_ = form
    if as_json:
        say_json({"counts": counted(found), "findings": as_values(found)})
        return
    head = Section(f"{new} against {old}", notes=() if found else ("nothing changed",))
    say(as_shown(lambda: [head, *finding_sections(found, MEANINGS, shown)], format_))
