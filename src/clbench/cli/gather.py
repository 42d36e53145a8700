"""`clbench report`: write or print a report of finished runs, or send them to a tracker."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clbench.cli.choosing import Learners, Models, RunNames, Streams, choice_of
from clbench.cli.options import Lang, language, progress_bars, say
from clbench.cli.side_by_side import OnRecord, on_record, say_side_by_side, write_side_by_side
from clbench.core.errors import SpecError
from clbench.core.events import notice

if TYPE_CHECKING:
    from clbench.report.runs.load import RunRecord

Columns = Annotated[list[str] | None, typer.Option(help="Of table, latex, markdown: this figure (repeatable).")]
FILE = "checkpoints.html"
PRINTED = ("table", "csv", "markdown", "json")  # formats of checkpoints that were examined with no stream
CHOSEN = ("table", "latex", "markdown")  # formats whose columns can be chosen


def report(
    paths: Annotated[list[Path], typer.Argument(help="Results, or folders that hold some.")],
    out: Annotated[
        Path, typer.Option(help="Folder of the HTML report (or a file that ends in .html), or of Parquet files.")
    ] = Path("clbench-report"),
    format_: Annotated[
        Literal["html", "table", "csv", "json", "latex", "markdown", "rows", "methods", "items", "parquet"],
        typer.Option("--format", help="html and parquet write files; the others print."),
    ] = "html",
    lang: Lang = None,
    title: Annotated[str, typer.Option(help="Title of the report.")] = "clbench",
    prices: Annotated[Path | None, typer.Option(help="YAML price table: machine_hour, kilowatt_hour, ...")] = None,
    to: Annotated[
        Literal["mlflow", "wandb", "trackio"] | None, typer.Option(help="Send the runs to this tracker instead.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="Write the results here instead, to be committed: JSON, items as Parquet.")
    ] = None,
    project: Annotated[str, typer.Option(help="The tracker's project or experiment.")] = "clbench",
    column: Columns = None,
    run: RunNames = None,
    stream: Streams = None,
    model: Models = None,
    learner: Learners = None,
) -> None:
    """Write a report that shows finished runs side by side."""
    from clbench.report.runs.choose import choose_runs
    from clbench.report.runs.load import load_runs

    if column and format_ not in CHOSEN:
        mend = f"add --format {CHOSEN[0]}, {CHOSEN[1]} or {CHOSEN[2]}"
        raise SpecError(f"--format {format_} has no columns to choose", where="--column", mend=mend)
    elsewhere = to is not None or record is not None
    examined = on_record(paths, model, runs_only=bool(run or stream or learner or elsewhere or column))
    if examined.checkpoints:
        _write_checkpoints(examined, out, format_, title)
        if examined.alone:
            return
    runs: Sequence[RunRecord] = choose_runs(load_runs(examined.runs), choice_of(run, stream, model, learner))
    if record is not None:
        _record(runs, record)
        return
    if prices is not None:
        from clbench.report.runs.prices import add_prices, read_prices

        runs = add_prices(runs, read_prices(prices))
    if to is not None:
        _send(runs, to, project)
    else:
        _write(runs, out, format_, title, language(lang), column or [])


def _write_checkpoints(examined: OnRecord, out: Path, format_: str, title: str) -> None:
    """Show checkpoints that were examined with no stream; a table of runs has no room for them."""
    from clbench.report.page.html import page_at

    checkpoints = examined.checkpoints
    if format_ == "html":
        page = page_at(out, FILE) if examined.alone else page_at(out, "report.html").with_name(FILE)
        write_side_by_side(checkpoints, None, page, title)
        say(f"checkpoints: {page.resolve()}")
    elif not examined.alone:
        place = next(c.path for c in checkpoints if c.path is not None).parent
        what = f"{len(checkpoints)} that were examined with no stream"
        notice(f"left out are checkpoints ({what}): clbench report {place} --format table")
    elif format_ in PRINTED:
        say_side_by_side(checkpoints, None, format_)
    else:
        mend = f"take --format html, {', '.join(PRINTED)}"
        raise SpecError(f"results of `clbench exam` have no --format {format_}", where="--format", mend=mend)


def _record(runs: Sequence[RunRecord], folder: Path) -> None:
    from clbench.report.runs.record import record_runs

    record_runs(runs, folder)
    say(f"{len(runs)} runs: {folder.resolve()}")


def _send(runs: Sequence[RunRecord], to: Literal["mlflow", "wandb", "trackio"], project: str) -> None:
    from clbench.report.tables.trackers import send

    with progress_bars():
        send(runs, to, project)
    say(f"{len(runs)} runs sent to {to}, project {project}")


def _write(runs: Sequence[RunRecord], out: Path, format_: str, title: str, lang: str, columns: Sequence[str]) -> None:
    from clbench.report.tables import exports

    if format_ == "html":
        from clbench.report.decide.texts import TEXTS
        from clbench.report.page.html import write_report

        say(TEXTS[lang]["report_file"].format(path=write_report(runs, out, title, lang).resolve()))
    elif format_ == "parquet":
        from clbench.report.tables.parquet import write_parquet

        for path in write_parquet(runs, out):
            say(str(path.resolve()))
    elif format_ == "table":
        from clbench.report.tables.summary import summary_text

        say(summary_text(runs, columns, lang))
    elif format_ in CHOSEN:
        say((exports.to_latex if format_ == "latex" else exports.to_markdown)(runs, columns).rstrip("\n"))
    else:
        say(exports.EXPORTS[format_](runs).rstrip("\n"))
