"""What only some machines can measure of a stage: whoever can registers it, and the store's meter reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Gauge:
    """How something is measured.

    Attributes:
        start: Called when a stage begins; what it gives is handed to `read`.
        read: Called when the stage ends; gives what it took, None where that cannot be told.
    """

    start: Callable[[], float]
    read: Callable[[float], float | None]


GAUGES: dict[str, Gauge] = {}

DEVICE: dict[str, str] = {}  # {"device": "cuda:0"}: what the work runs on, told by whoever loads a model
