"""The tables of methods for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from clbench.report.runs.load import RunRecord
from clbench.report.tables.figure_tables import FigureTable, figure_tables
from clbench.report.tables.table import as_text


def summary_text(runs: Sequence[RunRecord], columns: Sequence[str] = (), lang: str = "en") -> str:
    """Return the table of methods of each scenario as plain text, best average performance first.

    Args:
        runs: At least one.
        columns: Names or symbols of figures; empty takes the usual ones.
        lang: "en" or "zh".

    Raises:
        SpecError: There is no such figure.
    """
    return "\n\n".join(as_text(_table(found)) for found in figure_tables(runs, columns, lang))


def _table(found: FigureTable) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=found.title or None, title_justify="left", title_style="")
    table.caption, table.caption_justify = found.note, "left"
    for place, head in enumerate(found.header):
        table.add_column(head, justify="right" if place else "left", no_wrap=True)
    for label, *cells in found.rows:
        table.add_row(label, *(text.replace(" ± ", "\n± ") for text in cells))
    return table
