"""Drawings as files of their own for a paper: SVG of a size on paper, and with a library PDF and PNG."""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from clbench.core.extras import need
from clbench.report.drawings.figures import key_line
from clbench.report.escape import plain

COLUMN_MM, PAGE_MM = 84.0, 178.0  # what a drawing may be wide on paper: one column of two, and both
TEXT_PX, TEXT_PT = 11.0, 7.0  # the size of text in the drawings, and on paper where the page is wide enough
POINT_MM = 25.4 / 72
SMALLEST_PT = 5.0  # text that journals still print
DOTS = 300  # of a PNG, per inch
LEGEND_LINE, LETTER = 15, 6.2  # pixels of a line of the legend, and of a letter
EDGE = 6  # pixels that stay free around a drawing: the number of a tick may reach out of it
FONTS = 'Helvetica,Arial,"Liberation Sans","Noto Sans CJK SC","Microsoft YaHei",sans-serif'
STYLE = (
    f"text{{font-size:11px;font-family:{FONTS}}}text.name{{font-size:10.5px}}text.head{{font-weight:600}}"
    ".tick,.name,.legend{fill:#1b1f24}.grid{stroke:#d9dee4}.axis,.leader{stroke:#5b6470}"
    ".guess-rate{stroke:#5b6470;stroke-dasharray:2 3}.taught{stroke:#5b6470;stroke-opacity:.45;stroke-width:3}"
    ".bar{stroke:#1b1f24;stroke-width:4}.ends{stroke-opacity:.55;stroke-width:2}"
    "polyline{stroke-width:2}polyline.front{stroke:#5b6470;stroke-opacity:.5;stroke-width:6}"
)


@dataclass(frozen=True)
class PaperFigure:
    """A drawing for a paper.

    Attributes:
        name: Of its file, without an ending.
        caption: What it shows.
        body: SVG elements.
        width, height: In the drawing's own pixels.
    """

    name: str
    caption: str
    body: str
    width: float
    height: float

    @property
    def width_mm(self) -> float:
        """Width on paper: text is 7 pt, unless the drawing would be wider than a page."""
        return min(self.width * TEXT_PT / TEXT_PX * POINT_MM, PAGE_MM)

    @property
    def height_mm(self) -> float:
        """Height on paper."""
        return self.height * self.width_mm / self.width

    @property
    def text_pt(self) -> float:
        """Size of its text on paper."""
        return TEXT_PX * self.width_mm / self.width / POINT_MM

    def svg(self, unit: str = "mm") -> str:
        """Return an SVG file; sizes are in "mm", or in points without a unit."""
        size = [v if unit == "mm" else v / POINT_MM for v in (self.width_mm, self.height_mm)]
        name = unit if unit == "mm" else ""
        box = f'viewBox="0 0 {self.width:g} {self.height:g}"'
        head = f'width="{size[0]:.2f}{name}" height="{size[1]:.2f}{name}" {box} color="#1b1f24"'
        ground = f'<rect width="{self.width:g}" height="{self.height:g}" fill="#fff"/>'
        title = f"<title>{escape(self.caption)}</title><style>{STYLE}</style>"
        return plain(f'<svg xmlns="http://www.w3.org/2000/svg" {head}>{title}{ground}{self.body}</svg>\n')


def paper_figure(name: str, caption: str, drawing: str, legend: Sequence[str] = ()) -> PaperFigure:
    """Return a drawing of the report as a figure of its own.

    Args:
        name: Of its file.
        caption: What it shows.
        drawing: SVG text with a `viewBox` that begins at 0 0.
        legend: Names of its lines, in the order of their colours, which stand below it.
    """
    width, height = map(float, drawing.partition('viewBox="0 0 ')[2].partition('"')[0].split())
    body = drawing.partition(">")[2].rpartition("</svg>")[0]
    rows = _legend_rows(legend, width)
    for line, row in enumerate(rows):
        for number, left in row:
            place = f"translate({left:g},{height + 8 + LEGEND_LINE * line:g})"
            text = f'<text class="legend" x="36" y="9">{escape(legend[number])}</text>'
            body += f'<g transform="{place}">{key_line(number)}{text}</g>'
    height += 12 + LEGEND_LINE * len(rows) if rows else 0
    framed = f'<g transform="translate({EDGE},{EDGE})">{body}</g>'
    return PaperFigure(name, caption, framed, width + 2 * EDGE, height + 2 * EDGE)


def _legend_rows(legend: Sequence[str], width: float) -> list[list[tuple[int, float]]]:
    """Return rows of (number, left edge): as many names in a row as fit."""
    rows: list[list[tuple[int, float]]] = []
    left = math.inf
    for number, name in enumerate(legend):
        room = 52 + LETTER * sum(2 if ord(letter) > 0x2E80 else 1 for letter in name)
        if left + room > width or not rows:
            rows.append([])
            left = 6.0
        rows[-1].append((number, left))
        left += room
    return rows


def need_converter(format_: str) -> None:
    """Refuse PDF and PNG where the library that makes them is not installed.

    Raises:
        ExtraError: Names the extra.
    """
    if format_ != "svg":
        need("figures", "vl_convert", f"a figure as {format_.upper()}")


def figure_bytes(figure: PaperFigure, format_: str) -> bytes:
    """Return a figure as the bytes of an "svg", "pdf" or "png" file; a PNG has 300 dots an inch.

    Raises:
        ExtraError: The library for PDF and PNG is not installed.
    """
    if format_ == "svg":
        return figure.svg().encode()
    need_converter(format_)
    library: Any = importlib.import_module("vl_convert")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of fonts that it looked for and did not find
        if format_ == "pdf":
            return bytes(library.svg_to_pdf(figure.svg("pt")))
        return bytes(library.svg_to_png(figure.svg("pt"), scale=DOTS / 72, ppi=72))
