"""The tables of methods for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from clbench.report.runs.load import RunRecord
from clbench.report.runs.unlearnt import unlearnt_sentences
from clbench.report.tables.figure_tables import FigureTable, figure_tables
from clbench.report.tables.table import as_text
from clbench.report.tables.translations import TRANSLATIONS


def summary_text(runs: Sequence[RunRecord], columns: Sequence[str] = (), lang: str = "en") -> str:
    """Return the table of methods of each scenario as plain text, best average performance first.

    What no method learnt is said below its table, before all else: forgetting of it means nothing.

    Args:
        runs: At least one.
        columns: Names or symbols of figures; empty takes the usual ones.
        lang: "en" or "zh".

    Raises:
        SpecError: There is no such figure.
    """
    return "\n\n".join(as_text(_table(found, lang)) for found in figure_tables(runs, columns, lang))


def _table(found: FigureTable, lang: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=found.title or None, title_justify="left", title_style="")
    table.caption = "\n".join([*unlearnt_sentences(found.groups, TRANSLATIONS[lang]), found.note])
    table.caption_justify = "left"
    for place, head in enumerate(found.header):
        table.add_column(head, justify="right" if place else "left", no_wrap=True)
    for label, *cells in found.rows:
        table.add_row(label, *(text.replace(" ± ", "\n± ") for text in cells))
    return table
