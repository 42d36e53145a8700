"""Drawings of shares and counts, as SVG text: bars with their intervals, and a histogram."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from clbench.report.drawings.figures import LINES

WIDTH, NAME, RIGHT, LINE = 560, 220, 48, 26


def bars(rows: Sequence[tuple[str, float, float, float]], label: str) -> str:
    """Draw one horizontal bar for each share, from 0 to 100 %, with its 95 % interval.

    Args:
        rows: (name, share, low, high); a NaN draws no bar, or no interval.
        label: For screen readers.
    """
    height = LINE * len(rows) + 26
    room = WIDTH - NAME - RIGHT
    parts = [f'<svg class="bars" role="img" aria-label="{escape(label)}" viewBox="0 0 {WIDTH} {height}">']
    for share in (0, 25, 50, 75, 100):
        x = NAME + room * share / 100
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{height - 20}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{height - 6}" text-anchor="middle">{share}</text>')
    for place, (name, value, low, high) in enumerate(rows):
        parts.append(_bar(name, (value, low, high), place * LINE + 6, room))
    return "".join(parts) + "</svg>"


def _bar(name: str, shares: tuple[float, float, float], y: int, room: float) -> str:
    value, low, high = shares
    known, ends = not math.isnan(value), not math.isnan(low + high)
    said = f"{100 * value:.1f} %" if known else "–"
    said += f" ({100 * low:.1f} – {100 * high:.1f})" if ends else ""
    short = name if len(name) <= 34 else name[:33] + "…"
    parts = [f'<g tabindex="0"><title>{escape(name)}: {escape(said)}</title>']
    parts.append(f'<text class="tick" x="{NAME - 8}" y="{y + 13}" text-anchor="end">{escape(short)}</text>')
    if known:
        parts.append(f'<rect x="{NAME}" y="{y}" width="{room * value:.1f}" height="17" rx="2" fill="{LINES[0]}"/>')
        parts.append(f'<text class="tick" x="{WIDTH - 4}" y="{y + 13}" text-anchor="end">{100 * value:.1f}</text>')
    if ends:
        left, right = NAME + room * low, NAME + room * high
        parts.append(f'<line class="ends" x1="{left:.1f}" x2="{right:.1f}" y1="{y + 8.5}" y2="{y + 8.5}"/>')
        parts += [f'<line class="ends" x1="{x:.1f}" x2="{x:.1f}" y1="{y + 4}" y2="{y + 13}"/>' for x in (left, right)]
    return "".join(parts) + "</g>"


def histogram(counts: Sequence[tuple[str, int]], label: str) -> str:
    """Draw one column for each count, with the count above it.

    Args:
        counts: (name, count).
        label: For screen readers.
    """
    width, height, step = 44 * len(counts) + 16, 190, 44
    most = max((count for _, count in counts), default=0) or 1
    parts = [f'<svg class="histogram" role="img" aria-label="{escape(label)}" viewBox="0 0 {width} {height}">']
    for place, (name, count) in enumerate(counts):
        x, tall = 8 + step * place, 140 * count / most
        middle = x + step / 2
        parts.append(f'<g tabindex="0"><title>{escape(name)}: {count}</title>')
        box = f'x="{x + 5}" y="{166 - tall:.1f}" width="{step - 10}" height="{tall:.1f}" rx="2"'
        parts.append(f'<rect {box} fill="{LINES[0]}"/>')
        parts.append(f'<text class="tick" x="{middle}" y="{160 - tall:.1f}" text-anchor="middle">{count}</text>')
        parts.append(f'<text class="tick" x="{middle}" y="182" text-anchor="middle">{escape(name)}</text></g>')
    return "".join(parts) + "</svg>"
