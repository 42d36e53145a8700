"""Drawings of methods side by side, as SVG text: scatter plot with Pareto front, parallel axes, spread over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from clbench.report.drawings.axes import Axis, Scale
from clbench.report.drawings.figures import DASHES, LINES
from clbench.report.drawings.name_places import NamePlace, place_names, short_name
from clbench.report.tables.table import printed

MOST_BARS = 12  # the intervals of more points would hide them
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 480, 330, 58, 16, 12, 44


@dataclass(frozen=True)
class Point:
    """A method or a bound in a scatter plot, with the ends of its 95 % intervals; NaN where they are not known."""

    label: str
    x: float
    y: float
    x_ends: tuple[float, float] = (math.nan, math.nan)
    y_ends: tuple[float, float] = (math.nan, math.nan)
    is_bound: bool = False


def front(points: Sequence[Point], x: Axis, y: Axis) -> list[Point]:
    """Return the Pareto front, by x: the methods that no other beats in one figure and equals or beats in the other.

    Bounds stand outside of it.
    """

    def worth(point: Point) -> tuple[float, float]:
        return -point.x if x.low_is_better else point.x, -point.y if y.low_is_better else point.y

    def beaten(point: Point) -> bool:
        mine = worth(point)
        return any(a >= mine[0] and b >= mine[1] and (a, b) != mine for a, b in map(worth, known))

    known = [p for p in points if not math.isnan(p.x + p.y) and not p.is_bound]
    return sorted((p for p in known if not beaten(p)), key=lambda p: p.x)


def scatter(points: Sequence[Point], x: Axis, y: Axis, label: str, width: int = WIDTH) -> str:
    """Draw methods as points with their intervals, in the colours of the legend; the Pareto front is a line.

    Names stand where they cover no point and no other name, with a line to their point where they stand apart. More
    than `MOST_BARS` methods are drawn without intervals, on twice the width.
    """
    known = [(n, p) for n, p in enumerate(points) if not math.isnan(p.x + p.y)]
    if len(known) < 2:
        return ""
    bars = len(known) <= MOST_BARS
    width, height = (width, HEIGHT) if bars else (2 * width, HEIGHT + 150)
    shown = [p if bars else Point(p.label, p.x, p.y, is_bound=p.is_bound) for _, p in known]
    across = Scale.over(x, [v for p in shown for v in _reach(p.x, p.x_ends)], LEFT, width - RIGHT)
    up = Scale.over(y, [v for p in shown for v in _reach(p.y, p.y_ends)], height - BOTTOM, TOP)
    parts = [f'<svg class="scatter" role="img" aria-label="{escape(label)}" viewBox="0 0 {width} {height}">']
    parts += _frame(across, up)
    line = " ".join(f"{across.at(p.x):.1f},{up.at(p.y):.1f}" for p in front(shown, x, y))
    parts.append(f'<polyline class="front" fill="none" points="{line}"/>')
    places = place_names(
        [(across.at(p.x), up.at(p.y), short_name(p.label)) for p in shown], (LEFT, TOP, width - RIGHT, height - BOTTOM)
    )
    for (number, _), point, place in zip(known, shown, places, strict=True):
        parts.append(_point(number, point, across, up, place))
    return "".join(parts) + "</svg>"


def _reach(value: float, ends: tuple[float, float]) -> tuple[float, ...]:
    return (value,) if math.isnan(sum(ends)) else (value, *ends)


def _frame(across: Scale, up: Scale) -> list[str]:
    parts: list[str] = []
    left, right, top, bottom = across.span[0], across.span[1], up.span[0], up.span[1]
    for place, text in up.ticks():
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{place:.1f}" y2="{place:.1f}"/>')
        parts.append(f'<text class="tick" x="{left - 5}" y="{place + 4:.1f}" text-anchor="end">{escape(text)}</text>')
    for place, text in across.ticks():
        parts.append(f'<line class="grid" y1="{top}" y2="{bottom}" x1="{place:.1f}" x2="{place:.1f}"/>')
        parts.append(f'<text class="tick" x="{place:.1f}" y="{bottom + 15}" text-anchor="middle">{escape(text)}</text>')
    parts.append(
        f'<text class="tick" x="{(left + right) / 2}" y="{bottom + 36}" text-anchor="middle">'
        f"{escape(across.axis.name)}</text>"
    )
    turned = f'transform="translate(11,{(top + bottom) / 2}) rotate(-90)"'
    return [*parts, f'<text class="tick" {turned} text-anchor="middle">{escape(up.axis.name)}</text>']


def _point(number: int, point: Point, across: Scale, up: Scale, place: NamePlace | None) -> str:
    x, y, colour = across.at(point.x), up.at(point.y), LINES[number % len(LINES)]
    values = [f"{s.axis.name} {s.axis.text(s.axis.scaled(v))}" for s, v in ((across, point.x), (up, point.y))]
    parts = [f'<g tabindex="0"><title>{escape(point.label)}: {escape(", ".join(values))}</title>']
    if not math.isnan(sum(point.x_ends)):
        ends = [across.at(v) for v in point.x_ends]
        parts.append(
            f'<line class="ends" stroke="{colour}" x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
    if not math.isnan(sum(point.y_ends)):
        ends = [up.at(v) for v in point.y_ends]
        parts.append(
            f'<line class="ends" stroke="{colour}" y1="{ends[0]:.1f}" y2="{ends[1]:.1f}" x1="{x:.1f}" x2="{x:.1f}"/>'
        )
    ring = f'fill="none" stroke="{colour}" stroke-width="2"' if point.is_bound else f'fill="{colour}"'
    parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" {ring}/>')
    if place is not None:
        parts.append(place.drawn(x, y, short_name(point.label)))
    return "".join(parts) + "</g>"


def parallel(labels: Sequence[str], axes: Sequence[Axis], values: Sequence[Sequence[float]], label: str) -> str:
    """Draw methods as lines over parallel axes, one per figure; up is better on each, and the ends are its range.

    Args:
        labels: Of the methods.
        axes: One per figure.
        values: [method][axis]; NaN breaks a line.
        label: For screen readers.
    """
    width, height, top, bottom, edge = 104 * max(len(axes) - 1, 1) + 90, 300, 40, 24, 46
    places = [edge + 104 * k for k in range(len(axes))]
    columns = [[row[k] for row in values if not math.isnan(row[k])] or [0.0] for k in range(len(axes))]
    scales = [Scale.over(a, c, height - bottom, top) for a, c in zip(axes, columns, strict=True)]
    parts = [f'<svg class="parallel" role="img" aria-label="{escape(label)}" viewBox="0 0 {width} {height}">']
    for x, scale, column in zip(places, scales, columns, strict=True):
        parts.append(f'<line class="axis" x1="{x}" x2="{x}" y1="{top}" y2="{height - bottom}"/>')
        parts.append(f'<text class="tick head" x="{x}" y="14" text-anchor="middle">{escape(scale.axis.name)}</text>')
        best, worst = (min, max) if scale.axis.low_is_better else (max, min)
        for value, y in ((best(column), 30), (worst(column), height - 6)):
            text = escape(printed(value, scale.axis.unit))
            parts.append(f'<text class="tick" x="{x}" y="{y}" text-anchor="middle">{text}</text>')
    for number, (name, row) in enumerate(zip(labels, values, strict=True)):
        style = f'stroke="{LINES[number % len(LINES)]}" stroke-dasharray="{DASHES[number % len(DASHES)]}"'
        points = [(x, s.at(v)) for x, s, v in zip(places, scales, row, strict=True) if not math.isnan(v)]
        line = " ".join(f"{x},{y:.1f}" for x, y in points)
        parts.append(f'<polyline fill="none" {style} points="{line}"><title>{escape(name)}</title></polyline>')
        parts += [f'<circle cx="{x}" cy="{y:.1f}" r="3" fill="{LINES[number % len(LINES)]}"/>' for x, y in points]
    return "".join(parts) + "</svg>"


def strips(rows: Sequence[tuple[str, Sequence[float], tuple[float, float]]], axis: Axis, label: str) -> str:
    """Draw one strip per method: a dot for every run, a bar for the interval of their mean.

    Args:
        rows: (label, values of the runs, ends of the interval or NaN).
        axis: Of the values.
        label: For screen readers.
    """
    known = [v for _, values, ends in rows for v in (*values, *ends) if not math.isnan(v)]
    if not known:
        return ""
    line, left = 22, 150
    height = line * len(rows) + 34
    scale = Scale.over(axis, known, left, WIDTH + 120 - RIGHT)
    parts = [f'<svg class="strips" role="img" aria-label="{escape(label)}" viewBox="0 0 {WIDTH + 120} {height}">']
    for place, text in scale.ticks():
        parts.append(f'<line class="grid" x1="{place:.1f}" x2="{place:.1f}" y1="4" y2="{height - 26}"/>')
        parts.append(f'<text class="tick" x="{place:.1f}" y="{height - 10}" text-anchor="middle">{escape(text)}</text>')
    for number, (name, values, ends) in enumerate(rows):
        y, colour = line * number + 16, LINES[number % len(LINES)]
        parts.append(
            f'<text class="tick" x="{left - 8}" y="{y + 4}" text-anchor="end">{escape(short_name(name))}</text>'
        )
        if not math.isnan(sum(ends)):
            low, high = (scale.at(v) for v in ends)
            parts.append(f'<line class="ends" stroke="{colour}" x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}"/>')
        for value in values:
            if not math.isnan(value):
                title = escape(f"{name}: {printed(value, axis.unit)}")
                dot = f'<circle cx="{scale.at(value):.1f}" cy="{y}" r="4" fill="{colour}">'
                parts.append(f"{dot}<title>{title}</title></circle>")
    return "".join(parts) + "</svg>"
