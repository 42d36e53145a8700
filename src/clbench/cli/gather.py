"""`clbench report`: write or print a report of results that are already there, or send them to a tracker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clbench.cli.options import progress_bars, say


def report(
    paths: Annotated[list[Path], typer.Argument(help="Result folders, or folders that hold some.")],
    out: Annotated[
        Path, typer.Option(help="Folder of the HTML report (or its file, that ends in .html), or of Parquet files.")
    ] = Path("clbench-report"),
    format_: Annotated[
        Literal["html", "table", "csv", "json", "latex", "markdown", "rows", "parquet"],
        typer.Option("--format", help="html and parquet write files, the others print."),
    ] = "html",
    lang: Annotated[Literal["en", "zh"], typer.Option(help="Language of the HTML report.")] = "en",
    title: Annotated[str, typer.Option(help="Title of the report.")] = "clbench",
    prices: Annotated[Path | None, typer.Option(help="YAML price table: machine_hour, kilowatt_hour, ...")] = None,
    to: Annotated[
        Literal["mlflow", "wandb", "trackio"] | None, typer.Option(help="Send the runs to this tracker instead.")
    ] = None,
    project: Annotated[str, typer.Option(help="The tracker's project or experiment.")] = "clbench",
) -> None:
    """Report on finished runs, side by side."""
    from clbench.report import exports
    from clbench.report.gather import load_runs

    runs = load_runs(paths)
    if prices is not None:
        from clbench.report.prices import priced, read_prices

        runs = priced(runs, read_prices(prices))
    if to is not None:
        from clbench.report.trackers import send

        with progress_bars():
            send(runs, to, project)
        say(f"{len(runs)} runs sent to {to}, project {project}")
    elif format_ == "html":
        from clbench.report.html import write_report

        say(f"report: {write_report(runs, out, title, lang).resolve()}")
    elif format_ == "parquet":
        from clbench.report.parquet import write_parquet

        for path in write_parquet(runs, out):
            say(str(path.resolve()))
    elif format_ == "table":
        from clbench.report.table import summary_text

        say(summary_text(runs))
    else:
        say(exports.EXPORTS[format_](runs).rstrip("\n"))
