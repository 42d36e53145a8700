"""Tables as text for a terminal, as Markdown, as CSV and as JSON values."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np

from clbench.core.plain import plain
from clbench.core.wording import cells, in_english, padded, spoken, tr, translated
from clbench.report.escape import csv_cell, markdown

Format = Literal["text", "markdown", "csv"]
WIDEST = 60  # characters of a cell in a terminal
PROSE = 24  # a column with a longer cell is text, and begins at the left


@dataclass(frozen=True)
class Section:
    """A table with a title, and lines below it.

    Attributes:
        title: What it shows.
        head: Names of the columns; empty where there are only lines.
        rows: Texts, as many in each as columns.
        notes: Lines below.
        words: Whether its cells are words of this tool, and not names of files, which stay as they are in any language.
    """

    title: str
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()
    words: bool = False


def shown(build: Callable[[], Sequence[Section]], form: Format) -> str:
    """Return sections in a format: in the language that is spoken, and as CSV in English, for programs."""
    with in_english() if form == "csv" else nullcontext():
        return rendered(build(), form)


def rendered(sections: Sequence[Section], form: Format) -> str:
    """Return sections in a format; what any of them quotes of a file is escaped."""
    draw = {"text": _as_text, "markdown": _as_markdown, "csv": _as_csv}[form]
    return ("\n" if form == "csv" else "\n\n").join(draw(_worded(section)) for section in sections)


def _worded(section: Section) -> Section:
    if spoken() == "en":
        return section
    word = _word if section.words else _span_word
    return Section(
        _word(section.title),
        tuple(map(_word, section.head)),
        tuple(tuple(map(word, row)) for row in section.rows),
        tuple(map(_word, section.notes)),
    )


def _word(text: str) -> str:
    found = tr(text)
    return found if found != text else _span_word(translated(text))


def _span_word(text: str) -> str:
    """Return an interval, or a bin, in the language that is spoken; another text as it is."""
    if found := re.fullmatch(r"([+-]?[\d.]+) to ([+-]?[\d.]+)", text):
        return tr("{low} to {high}", low=found[1], high=found[2])
    if found := re.fullmatch(r"([\d.]+) or more", text):
        return tr("{num} or more", num=found[1])
    return text


def _as_text(section: Section) -> str:
    table = [[_cut(cell) for cell in row] for row in (section.head, *section.rows) if row]
    widths = [max(cells(row[i]) for row in table) for i in range(len(section.head))]
    left = [not place or width > PROSE for place, width in enumerate(widths)]
    lines = [plain(section.title)]
    for row in table:
        placed = [padded(c, w, right=not text) for c, w, text in zip(row, widths, left, strict=True)]
        lines.append(("  " + "  ".join(placed)).rstrip())
    return "\n".join([*lines, *(f"  {plain(note)}" for note in section.notes)])


def _cut(cell: str) -> str:
    text = plain(cell).replace("\n", " ")
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"


def _as_markdown(section: Section) -> str:
    lines = [f"**{markdown(section.title)}**", ""]
    if section.head:
        lines.append("| " + " | ".join(markdown(c) for c in section.head) + " |")
        lines.append("|---" + "|---:" * (len(section.head) - 1) + "|")
        lines += ["| " + " | ".join(markdown(c) for c in row) + " |" for row in section.rows]
    if section.notes:
        lines += [*([""] if section.head else []), *(f"- {markdown(note)}" for note in section.notes)]
    return "\n".join(lines)


def _as_csv(section: Section) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in (section.head, *section.rows):
        if row:
            writer.writerow([csv_cell(section.title if row is not section.head else "table"), *map(_number, row)])
    for note in section.notes:
        writer.writerow([csv_cell(section.title), csv_cell(note)])
    return out.getvalue().rstrip("\n")


def _number(cell: str) -> str:
    """Return a cell for CSV: signed numbers are numbers, not formulas."""
    try:
        float(cell)
    except ValueError:
        return csv_cell(cell)
    return cell


def percent(value: float) -> str:
    """Return a share in percent with one digit; a dash where it is not known."""
    return "–" if math.isnan(value) else f"{100 * value:.1f}"


def points(value: float) -> str:
    """Return a difference of shares in points with its sign; a dash where it is not known."""
    return "–" if math.isnan(value) else f"{100 * value:+.1f}"


def span(low: float, high: float) -> str:
    """Return an interval of shares in percent; a dash where it is not known."""
    return "–" if math.isnan(low) else tr("{low} to {high}", low=percent(low), high=percent(high))


def decimal(value: float, digits: int = 2) -> str:
    """Return a number; a dash where it is not known."""
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def p_text(p: float) -> str:
    """Return a p-value with four digits, never 0; a dash where it is not known."""
    return "–" if math.isnan(p) else "<0.0001" if p < 0.0001 else f"{p:.4f}"


def as_values(value: Any) -> Any:
    """Return dataclasses, tuples and numbers as JSON values; what is not known, or infinite, as null.

    Example:
        >>> as_values({"a": (float("nan"), 1)})
        {'a': [None, 1]}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_values(vars(value)[f.name]) for f in dataclasses.fields(value)}
    if isinstance(value, tuple) and (names := vars(type(value)).get("_fields")):
        return {name: as_values(part) for name, part in zip(names, cast(tuple[Any, ...], value), strict=True)}
    if isinstance(value, Mapping):
        return {str(k): as_values(v) for k, v in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, (list, tuple)):
        return [as_values(v) for v in cast(Sequence[Any], value)]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
