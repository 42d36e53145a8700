"""Where the names of points stand in a drawing, so that none covers another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

LONGEST = 24  # characters of a name
LETTER_W, LETTER_H = 5.9, 11.0  # pixels of a letter at the size of names, generously
MARK = 6.0  # radius that a point keeps free
REACHES = (9.0, 14.0, 20.0, 28.0, 38.0, 50.0, 64.0, 80.0, 98.0, 118.0, 140.0, 165.0, 195.0, 230.0)
TURNS = (-45, 45, -135, 135, 0, 180, -90, 90, *range(-168, 180, 15))  # degrees, 90 is down; the first are preferred
JOINED = 12.0  # pixels from which on a line leads from the name to its point

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class NamePlace:
    """The place of a name: its left edge and baseline in pixels, and whether a line leads to its point."""

    x: float
    y: float
    width: float
    joined: bool

    def drawn(self, x: float, y: float, name: str) -> str:
        """Return the name as SVG, with the line to its point at (x, y)."""
        line = ""
        if self.joined:
            end = min(max(x, self.x), self.x + self.width), self.y - LETTER_H / 3
            line = f'<line class="leader" x1="{x:.1f}" y1="{y:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"/>'
        return f'{line}<text class="name" x="{self.x:.1f}" y="{self.y:.1f}">{escape(name)}</text>'


def short_name(label: str) -> str:
    """Return a label, cut where it is too long for a drawing."""
    return label if len(label) <= LONGEST else f"{label[: LONGEST - 1]}…"


def place_names(points: Sequence[tuple[float, float, str]], frame: Box) -> list[NamePlace | None]:
    """Return a place for the name of every point: near it, inside the frame, over no point and no other name.

    Names of points that stand alone are placed last, since they find room anywhere.

    Args:
        points: (x, y, name) in pixels.
        frame: Left, top, right and bottom edge of the drawing's inside.

    Returns:
        In the order of `points`; None where there is no room.
    """
    marks = [(x - MARK, y - MARK, x + MARK, y + MARK) for x, y, _ in points]
    taken: list[Box] = []
    found: dict[int, NamePlace | None] = {}
    for n in sorted(range(len(points)), key=lambda n: _alone(n, points)):
        x, y, name = points[n]
        width = LETTER_W * sum(2 if ord(letter) > 0x2E80 else 1 for letter in name)
        others = [*marks[:n], *marks[n + 1 :], *taken]
        place = next((p for p in _candidates(x, y, width) if _free(_box(p), others, frame)), None)
        found[n] = place
        if place is not None:
            taken.append(_box(place))
    return [found[n] for n in range(len(points))]


def _alone(n: int, points: Sequence[tuple[float, float, str]]) -> float:
    """Return how far the nearest other point is, in pixels."""
    x, y, _ = points[n]
    return min((math.hypot(x - a, y - b) for k, (a, b, _) in enumerate(points) if k != n), default=math.inf)


def _candidates(x: float, y: float, width: float) -> list[NamePlace]:
    places: list[NamePlace] = []
    for reach in REACHES:
        for turn in TURNS:
            across, down = math.cos(math.radians(turn)), math.sin(math.radians(turn))
            left = x + reach * across - (width if across < -0.3 else width / 2 if across < 0.3 else 0)
            places.append(NamePlace(left, y + reach * down + LETTER_H / 3, width, reach > JOINED))
    return places


def _box(place: NamePlace) -> Box:
    return place.x, place.y - LETTER_H * 0.8, place.x + place.width, place.y + LETTER_H * 0.2


def _free(box: Box, others: Sequence[Box], frame: Box) -> bool:
    inside = box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] and box[3] <= frame[3]
    return inside and not any(box[0] < o[2] and o[0] < box[2] and box[1] < o[3] and o[1] < box[3] for o in others)
