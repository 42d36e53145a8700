"""Drawings as SVG text, without a library or script: a heat map of R, and curves over lessons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from clbench.core.matrix import Matrix

# cividis: readable with any colour vision, and in grey print
RAMP = ((0, 32, 76), (44, 66, 109), (87, 92, 109), (124, 123, 120), (165, 156, 116), (211, 193, 100), (255, 234, 70))
# Okabe & Ito 2008
LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#7f7f7f", "#F0E442")
DASHES = ("", "6 3", "2 2", "8 3 2 3", "1 3", "10 4")
CELL_W, CELL_H, LEFT, TOP, KEY_H = 46, 24, 150, 92, 34


def ramp(value: float) -> tuple[str, str]:
    """Return (fill colour, text colour) for a score in [0, 1]."""
    place = min(max(value, 0.0), 1.0) * (len(RAMP) - 1)
    low = min(int(place), len(RAMP) - 2)
    colour = [a + (b - a) * (place - low) for a, b in zip(RAMP[low], RAMP[low + 1], strict=True)]
    dark = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] < 140
    return "rgb(" + ",".join(f"{c:.0f}" for c in colour) + ")", "#fff" if dark else "#111"


def heat_map(matrix: Matrix, label: str, texts: Mapping[str, str]) -> str:
    """Draw R: rows are lessons, named by what they teach, and columns are exams.

    Above them stand the score of guessing and the untouched model. Cells right after a task's own lesson are outlined;
    cells that were not due are hatched. The key of colours stands below.
    """
    rows, columns = matrix.values.shape
    tasks = len(matrix.select("task"))
    gap = 10 if 0 < tasks < columns else 0
    lefts = [LEFT + c * CELL_W + (gap if c >= tasks else 0) for c in range(columns)]
    width, height = LEFT + columns * CELL_W + gap + 46, TOP + (rows + 1) * CELL_H + KEY_H
    box = f'viewBox="0 0 {width} {height}" style="max-width:{width}px"'
    parts = [f'<svg class="heat" role="img" aria-label="{escape(label)}" {box}>']
    parts.append(
        '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<line x1="0" y1="0" x2="0" y2="6" stroke="currentColor" stroke-opacity=".35"/></pattern></defs>'
    )
    for column, x in zip(matrix.columns, lefts, strict=True):
        parts.append(
            f'<text transform="translate({x + CELL_W / 2 + 3:.0f},{TOP - 6}) rotate(-38)" class="tick">'
            f"{escape(_short(column.name))}<title>{escape(column.name)}</title></text>"
        )
    parts += _guess_row(matrix, lefts, texts["guessing"])
    for r in range(rows):
        y = TOP + (r + 1) * CELL_H
        name, whole = (texts["untouched"],) * 2 if r == 0 else _lesson_name(matrix, r)
        title = f"<title>{escape(whole)}</title>"
        parts.append(f'<text x="{LEFT - 8}" y="{y + 16}" text-anchor="end" class="tick">{escape(name)}{title}</text>')
        parts += [_cell(matrix, r, c, x, y) for c, x in enumerate(lefts)]
    return "".join([*parts, *_colour_key(TOP + (rows + 1) * CELL_H + 8)]) + "</svg>"


def _guess_row(matrix: Matrix, lefts: Sequence[int], name: str) -> list[str]:
    """Return the row of guess rates, as numbers alone."""
    parts = [f'<text x="{LEFT - 8}" y="{TOP + 16}" text-anchor="end" class="tick">{escape(name)}</text>']
    for column, x in zip(matrix.columns, lefts, strict=True):
        place = f'x="{x + CELL_W / 2:.0f}" y="{TOP + 16}" text-anchor="middle"'
        parts.append(f'<text {place} class="tick">{100 * column.guess_rate:.0f}</text>')
    return parts


def _lesson_name(matrix: Matrix, lesson: int) -> tuple[str, str]:
    """Return a lesson's number with what it teaches: cut to the room there is, and whole."""
    taught = [c.name for c in matrix.columns if c.taught == lesson]
    whole = f"{lesson} {', '.join(taught)}".strip()
    short = f"{lesson} {_short(taught[0]) if taught else ''}{f' +{len(taught) - 1}' if len(taught) > 1 else ''}".strip()
    return short, whole


def _colour_key(y: int) -> list[str]:
    """Return the key of colours: 0, 50 and 100 percent."""
    steps = 20
    parts = [
        f'<rect x="{LEFT + 8 * k}" y="{y}" width="8" height="8" fill="{ramp(k / (steps - 1))[0]}"/>'
        for k in range(steps)
    ]
    for share in (0, 0.5, 1):
        place = f'x="{LEFT + share * 8 * steps:.0f}" y="{y + 20}" text-anchor="middle"'
        parts.append(f'<text {place} class="tick">{100 * share:.0f}</text>')
    return parts


def _short(name: str) -> str:
    name = name.removeprefix("world_").removeprefix("mini_")
    return name if len(name) <= 18 else name[:17] + "…"


def _cell(matrix: Matrix, r: int, c: int, x: int, y: int) -> str:
    value, column = float(matrix.values[r, c]), matrix.columns[c]
    box = f'x="{x + 1}" y="{y + 1}" width="{CELL_W - 2}" height="{CELL_H - 2}" rx="3"'
    if math.isnan(value):
        return f'<rect {box} fill="url(#hatch)"><title>{escape(column.name)}, {_after(r)}: not due</title></rect>'
    fill, ink = ramp(value)
    outline = ' stroke="#D55E00" stroke-width="2"' if column.taught == r and r else ""
    ungraded = int(matrix.ungraded[r, c])
    note = f", {ungraded} ungraded" if ungraded else ""
    title = f"{column.name}, {_after(r)}: {100 * value:.2f} % of {int(matrix.n[r, c])} answers{note}"
    return (
        f'<g tabindex="0"><title>{escape(title)}</title><rect {box} fill="{fill}"{outline}/>'
        f'<text x="{x + CELL_W / 2:.0f}" y="{y + 16}" text-anchor="middle" fill="{ink}" class="value">'
        f"{100 * value:.0f}{'*' if ungraded else ''}</text></g>"
    )


def _after(lesson: int) -> str:
    return f"after lesson {lesson}" if lesson else "untouched"


def curves(
    series: Mapping[str, Sequence[float]],
    label: str,
    taught: int | None = None,
    guess_rate: float = 0.0,
    ticks: Sequence[str] | None = None,
) -> str:
    """Draw scores over lessons, one line per method, with a dotted line at the guess rate.

    Args:
        series: Method -> scores; NaN leaves a gap.
        label: For screen readers.
        taught: Lesson that is marked by a bar.
        guess_rate: Score of guessing; 0 draws no line.
        ticks: Names of the places on the axis, where these are not lessons.
    """
    width, height, left, bottom, top = 300, 170, 34, 22, 10
    last = max(len(v) for v in series.values()) - 1
    every = 1 + last // 12  # more numbers would overlap
    lessons = [str(lesson) if lesson % every == 0 else "" for lesson in range(last + 1)]
    names = [escape(t) for t in ticks] if ticks else lessons

    def at(lesson: float, value: float) -> tuple[float, float]:
        x = left + (width - left - 8) * lesson / max(last, 1)
        return x, top + (height - top - bottom) * (1 - value)

    parts = [f'<svg class="curve" role="img" aria-label="{escape(label)}" viewBox="0 0 {width} {height}">']
    for value in (0.0, 0.5, 1.0):
        _, y = at(0, value)
        parts.append(f'<line x1="{left}" x2="{width - 8}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        parts.append(f'<text x="{left - 5}" y="{y + 4:.1f}" text-anchor="end" class="tick">{100 * value:.0f}</text>')
    for lesson in range(last + 1):
        x, y = at(lesson, 0)
        parts.append(f'<text x="{x:.1f}" y="{height - 6}" text-anchor="middle" class="tick">{names[lesson]}</text>')
    if taught is not None:
        x, _ = at(taught, 0)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{height - bottom}" class="taught"/>')
    if guess_rate > 0:
        _, y = at(0, guess_rate)
        parts.append(f'<line x1="{left}" x2="{width - 8}" y1="{y:.1f}" y2="{y:.1f}" class="guess-rate"/>')
    for number, (name, values) in enumerate(series.items()):
        points = [(k, *at(k, v)) for k, v in enumerate(values) if not math.isnan(v)]
        style = f'stroke="{LINES[number % len(LINES)]}" stroke-dasharray="{DASHES[number % len(DASHES)]}"'
        parts.append(f'<polyline fill="none" {style} points="{" ".join(f"{x:.1f},{y:.1f}" for _, x, y in points)}"/>')
        for k, x, y in points:
            title = f"{escape(name)}, {escape(ticks[k]) if ticks else _after(k)}: {100 * values[k]:.1f} %"
            dot = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{LINES[number % len(LINES)]}">'
            parts.append(f"{dot}<title>{title}</title></circle>")
    return "".join(parts) + "</svg>"


STYLE = (
    "text{font:11px system-ui,sans-serif;fill:#5b6470}.grid{stroke:#d9dee4}"
    ".guess-rate{stroke:#5b6470;stroke-dasharray:2 3}"
    ".taught{stroke:#5b6470;stroke-opacity:.45;stroke-width:3}polyline{stroke-width:2}"
)


def standing_alone(series: Mapping[str, Sequence[float]], label: str, ticks: Sequence[str] | None = None) -> str:
    """Draw curves with their legend as an SVG file of its own."""
    line, width, height = 16, 480, 170 + 16 * len(series) + 10
    drawing = curves(series, label, ticks=ticks).replace("<svg ", '<svg x="90" width="300" height="170" ', 1)
    keys = [
        f'<g transform="translate(100,{176 + line * n})">{key_line(n)}<text x="38" y="9">{escape(name)}</text></g>'
        for n, name in enumerate(series)
    ]
    box = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    background = f'<rect width="{width}" height="{height}" fill="#fff"/>'
    style = f"<style>{STYLE}</style>{background}"
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box}>{style}{drawing}{"".join(keys)}</svg>\n'


def key_line(number: int) -> str:
    """Draw a sample of a line for the legend."""
    style = f'stroke="{LINES[number % len(LINES)]}" stroke-dasharray="{DASHES[number % len(DASHES)]}"'
    line = f'<line x1="0" x2="30" y1="5" y2="5" stroke-width="2.5" {style}/>'
    return f'<svg width="30" height="10" aria-hidden="true">{line}</svg>'
