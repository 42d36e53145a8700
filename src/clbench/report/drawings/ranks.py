"""A critical-difference diagram: methods by mean rank, with bars over those that are not told apart."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from clbench.stats.ranks import alike

LONGEST = 22  # characters of a name that fit beside the axis
WIDTH, SIDE, TOP, LINE, BAR = 640, 170, 58, 18, 9
STYLE = (
    "text{font:11px system-ui,sans-serif;fill:#5b6470}text.name{fill:#1b1f24}"
    ".axis{stroke:#5b6470}.leader{stroke:#5b6470}.bar{stroke:#1b1f24;stroke-width:4}"
)


def rank_diagram(labels: Sequence[str], ranks: Sequence[float], difference: float, label: str) -> str:
    """Draw methods on an axis of mean ranks, best on the left; a bar joins methods within the critical difference.

    Args:
        labels: Names of at least two methods, in any order.
        ranks: Their mean ranks, 1..number of methods.
        difference: The critical difference, drawn to scale above the axis.
        label: For screen readers.

    Source: Demsar 2006, figure 1.
    """
    order = sorted(range(len(labels)), key=lambda i: ranks[i])
    sorted_ranks, num = [ranks[i] for i in order], len(order)
    bars = alike(sorted_ranks, difference)
    deep = TOP + BAR * (len(bars) + 1)
    height = deep + LINE * ((num + 1) // 2) + 8
    parts = [f'<svg class="ranks" role="img" aria-label="{escape(label)}" viewBox="0 0 {WIDTH} {height}">']
    parts += _axis(num, difference)
    for place, i in enumerate(order):
        left = place < (num + 1) // 2
        y = deep + LINE * ((place if left else num - 1 - place) + 1) - 4
        x, end = _at(ranks[i], num), SIDE - 8 if left else WIDTH - SIDE + 8
        text = labels[i] if len(labels[i]) <= LONGEST else f"{labels[i][: LONGEST - 1]}…"
        name = f"{escape(text)} {ranks[i]:.2f}<title>{escape(labels[i])}</title>"
        anchor, side = ("end", end - 4) if left else ("start", end + 4)
        points = f"{x:.1f},{TOP} {x:.1f},{y} {end},{y}"
        parts.append(f'<polyline class="leader" style="stroke-width:1" fill="none" points="{points}"/>')
        parts.append(f'<text class="name" x="{side}" y="{y + 4}" text-anchor="{anchor}">{name}</text>')
    for level, (first, last) in enumerate(bars):
        y = TOP + BAR * (level + 1)
        ends = f'x1="{_at(sorted_ranks[first], num) - 3:.1f}" x2="{_at(sorted_ranks[last], num) + 3:.1f}"'
        parts.append(f'<line class="bar" {ends} y1="{y}" y2="{y}"/>')
    return "".join(parts) + "</svg>"


def _at(rank: float, num: int) -> float:
    return SIDE + (WIDTH - 2 * SIDE) * (rank - 1) / (num - 1)


def _axis(num: int, difference: float) -> list[str]:
    """Draw the axis with its ticks, and the critical difference above it, as far as the axis reaches."""
    every = 1 + num // 15
    parts = [f'<line class="axis" x1="{_at(1, num)}" x2="{_at(num, num)}" y1="{TOP}" y2="{TOP}"/>']
    for rank in range(1, num + 1, every):
        x = _at(rank, num)
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 5}" y2="{TOP}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{TOP - 9}" text-anchor="middle">{rank}</text>')
    end = _at(1 + min(difference, num - 1), num)
    parts.append(f'<line class="bar" x1="{SIDE}" x2="{end:.1f}" y1="22" y2="22"/>')
    parts.append(f'<text class="tick" x="{SIDE}" y="14">CD = {difference:.2f}</text>')
    return parts


def standing_alone(drawing: str) -> str:
    """Return a diagram as an SVG file of its own."""
    box = drawing.partition('viewBox="0 0 ')[2].partition('"')[0]
    width, height = box.split()
    size = f'xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
    background = f'<style>{STYLE}</style><rect width="{width}" height="{height}" fill="#fff"/>'
    head, _, rest = drawing.partition(">")
    return head.replace("<svg ", f"<svg {size}", 1) + ">" + background + rest + "\n"
