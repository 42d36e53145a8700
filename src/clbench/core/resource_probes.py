"""Resources that only some machines can measure: code that can registers a probe, and the store reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ResourceProbe:
    """How a resource is measured.

    Attributes:
        start: Called when a stage begins; its result is passed to `read`.
        read: Called when the stage ends; returns what the stage used, None if that is unknown.
    """

    start: Callable[[], float]
    read: Callable[[float], float | None]


RESOURCE_PROBES: dict[str, ResourceProbe] = {}

EXAM_BATCHES: list[int] = []  # [32, 16]: to what memory brought the batch of the exam that is being asked

DEVICE: dict[str, str] = {}  # {"device": "cuda:0"}: what the work runs on, set when a model is loaded

# How the model of this process learns and answers, as far as the user set it: {"micro_batch": 4}. Set with DEVICE.
HOW: dict[str, Any] = {}
