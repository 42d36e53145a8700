"""`clbench report`: write or print a report of finished runs, or send them to a tracker."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clbench.cli.choosing import Learners, Models, RunNames, Streams, choice_of
from clbench.cli.options import Lang, language, progress_bars, say
from clbench.cli.side_by_side import OnRecord, on_record, say_side_by_side, write_side_by_side
from clbench.core.errors import DataError, SpecError, did_you_mean
from clbench.core.events import notice

if TYPE_CHECKING:
    from clbench.report.runs.load import RunRecord

Columns = Annotated[list[str] | None, typer.Option(help="Of table, latex, markdown: this figure (repeatable).")]
FILE = "checkpoints.html"
PRINTED = ("table", "csv", "markdown", "json")  # formats of checkpoints that were examined with no stream
CHOSEN = ("table", "latex", "markdown")  # formats whose columns can be chosen
DRAWN = ("svg", "pdf", "png")  # formats of single figures
Printed = Literal["table", "csv", "json", "latex", "markdown", "rows", "methods", "items"]
Written = Literal["html", "parquet", "svg", "pdf", "png"]
FIGURES_HELP = (
    "Of svg, pdf, png: matrix, curves, tradeoff (these three by default), spread, profile, ranks, retention or items "
    "(repeatable)."
)
Figures = Annotated[list[str] | None, typer.Option(help=FIGURES_HELP)]
Tracker = Annotated[
    Literal["mlflow", "wandb", "trackio"] | None, typer.Option(help="Send the runs to this tracker instead.")
]
Recorded = Annotated[
    Path | None, typer.Option(help="Write the results here instead, to be committed: JSON, items as Parquet.")
]


def report(
    paths: Annotated[list[Path], typer.Argument(help="Results, or folders that hold some.")],
    out: Annotated[
        Path, typer.Option(help="Folder of the HTML report (or a file that ends in .html), of Parquet, or of figures.")
    ] = Path("clbench-report"),
    format_: Annotated[
        Literal[Written, Printed],
        typer.Option("--format", help="html, parquet, svg, pdf and png write files; the others print."),
    ] = "html",
    lang: Lang = None,
    title: Annotated[str, typer.Option(help="Title of the report.")] = "clbench",
    prices: Annotated[Path | None, typer.Option(help="YAML price table: machine_hour, kilowatt_hour, ...")] = None,
    to: Tracker = None,
    record: Recorded = None,
    project: Annotated[str, typer.Option(help="The tracker's project or experiment.")] = "clbench",
    column: Columns = None,
    figure: Figures = None,
    run: RunNames = None,
    stream: Streams = None,
    model: Models = None,
    learner: Learners = None,
) -> None:
    """Write a report that shows finished runs side by side."""
    from clbench.report.runs.choose import choose_runs
    from clbench.report.runs.load import load_runs

    _check_choices(column, figure, format_)
    elsewhere = to is not None or record is not None or format_ in DRAWN
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
        from clbench.report.runs.prices import add_prices, read_prices, read_token_prices

        runs = add_prices(runs, read_prices(prices), read_token_prices(prices))
    if to is not None:
        _send(runs, to, project)
    elif format_ in DRAWN:
        _draw(runs, out, format_, language(lang), figure or ["matrix", "curves", "tradeoff"])
    else:
        _write(runs, out, format_, title, language(lang), column or [])


def _check_choices(column: list[str] | None, figure: list[str] | None, format_: str) -> None:
    """Refuse a choice that the format does not have.

    Raises:
        SpecError: Names the option, and formats that have it.
    """
    if column and format_ not in CHOSEN:
        mend = f"add --format {CHOSEN[0]}, {CHOSEN[1]} or {CHOSEN[2]}"
        raise SpecError(f"--format {format_} has no columns to choose", where="--column", mend=mend)
    if figure and format_ not in DRAWN:
        mend = f"add --format {DRAWN[0]}, {DRAWN[1]} or {DRAWN[2]}"
        raise SpecError(f"--format {format_} has no single figures", where="--figure", mend=mend)


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


def _draw(runs: Sequence[RunRecord], out: Path, format_: str, lang: str, figures: Sequence[str]) -> None:
    from clbench.report.drawings.paper import SMALLEST_PT, figure_bytes, need_converter
    from clbench.report.page.single_figures import FIGURES, single_figures
    from clbench.report.runs.groups import group_runs
    from clbench.report.tables.translations import TRANSLATIONS

    for name in figures:
        if name not in FIGURES:
            raise SpecError(f"there is no figure {name!r}", where="--figure", mend=did_you_mean(name, FIGURES))
    need_converter(format_)
    if out.suffix.lower() in (".html", ".htm", f".{format_}") or out.is_file():
        raise SpecError("single figures are several files", where=f"--out {out}", mend="name a folder")
    groups, drawn = group_runs(runs), 0
    for name in dict.fromkeys(figures):
        found = single_figures(groups, name, TRANSLATIONS[lang])
        if not found:
            notice(f"--figure {name}: these runs have nothing to draw of it")
        for each in found:
            out.mkdir(parents=True, exist_ok=True)
            path = out / f"{each.name}.{format_}"
            path.write_bytes(figure_bytes(each, format_))
            small = f" (less than {SMALLEST_PT:g} pt)" if each.text_pt < SMALLEST_PT else ""
            say(f"{path}: {each.width_mm:.0f} x {each.height_mm:.0f} mm, text of {each.text_pt:.1f} pt{small}")
        drawn += len(found)
    if not drawn:
        raise DataError("there is nothing to draw", where="--figure", mend="name other figures: see --help")


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
