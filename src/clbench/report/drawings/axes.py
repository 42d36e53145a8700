"""Axes of drawings, laid out in pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from clbench.report.tables.table import printed


@dataclass(frozen=True)
class Axis:
    """An axis of a drawing.

    Attributes:
        name: For readers.
        unit: How values are printed; see `clbench.report.tables.table.printed`.
        low_is_better: Turns the axis round, so that better is always up and right.
        log: Whether it is logarithmic.
    """

    name: str
    unit: str = "score"
    low_is_better: bool = False
    log: bool = False

    def scaled(self, value: float) -> float:
        """Return a value as it is drawn: its logarithm on a logarithmic axis."""
        return math.log10(max(value, 1e-9)) if self.log else value

    def text(self, scaled: float) -> str:
        """Return the text of a scaled value."""
        return printed(10**scaled if self.log else scaled, self.unit)


@dataclass(frozen=True)
class Scale:
    """An axis laid out from `start` to `end`, in pixels; `low` and `high` are scaled values."""

    axis: Axis
    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(cls, axis: Axis, values: Sequence[float], start: float, end: float) -> Scale:
        """Return an axis laid out so that all values fit, with some room at both ends."""
        low, high = min(map(axis.scaled, values)), max(map(axis.scaled, values))
        room = 0.08 * (high - low) or max(abs(high) * 0.1, 0.01)
        return cls(axis, low - room, high + room, *((end, start) if axis.low_is_better else (start, end)))

    @property
    def span(self) -> tuple[float, float]:
        """The first and the last pixel, the smaller one first."""
        return min(self.start, self.end), max(self.start, self.end)

    def at(self, value: float) -> float:
        """Return the place of a value, in pixels."""
        share = (self.axis.scaled(value) - self.low) / (self.high - self.low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def ticks(self, num: int = 6) -> list[tuple[float, str]]:
        """Return (place, text) of up to about `num` ticks at round values; where none is round, at both ends."""
        values = [v for v in _round_values(self, num) if self.low <= v <= self.high]
        span = self.high - self.low
        return [
            (self.start + (v - self.low) / span * (self.end - self.start), self.axis.text(v))
            for v in (values if len(values) > 1 else (self.low, self.high))
        ]


def _round_values(scale: Scale, num: int) -> list[float]:
    """Return values of 1, 2 or 5 times a power of ten in the range of a scale; scaled as the scale is."""
    if scale.axis.log:
        decades = range(math.floor(scale.low), math.ceil(scale.high) + 1)
        steps = (1, 2, 5) if scale.high - scale.low < num / 2 else (1,)
        return [math.log10(step * 10.0**decade) for decade in decades for step in steps]
    least = (scale.high - scale.low) / num
    power = 10.0 ** math.floor(math.log10(least))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= least)
    first = math.ceil(scale.low / step - 1e-9)
    return [step * k for k in range(first, math.floor(scale.high / step + 1e-9) + 1)]
