"""`clbench report`: write or print a report of results that are already there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clbench.cli.options import say


def report(
    paths: Annotated[list[Path], typer.Argument(help="Result folders, or folders that hold some.")],
    out: Annotated[Path, typer.Option(help="Folder of the HTML report.")] = Path("clbench-report"),
    format_: Annotated[
        Literal["html", "table", "csv", "json", "latex", "markdown", "rows"],
        typer.Option("--format", help="html writes files, the others print."),
    ] = "html",
    lang: Annotated[Literal["en", "zh"], typer.Option(help="Language of the HTML report.")] = "en",
    title: Annotated[str, typer.Option(help="Title of the report.")] = "clbench",
) -> None:
    """Report on finished runs, side by side."""
    from clbench.report import exports
    from clbench.report.gather import load_runs
    from clbench.report.html import write_report
    from clbench.report.table import summary_text

    runs = load_runs(paths)
    if format_ == "html":
        say(f"report: {write_report(runs, out, title, lang).resolve()}")
    elif format_ == "table":
        say(summary_text(runs))
    else:
        say(exports.EXPORTS[format_](runs).rstrip("\n"))
