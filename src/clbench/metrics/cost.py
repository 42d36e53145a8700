"""What a run uses up."""

from __future__ import annotations

import math

from clbench.core.protocols import MetricPlugin
from clbench.core.types import Meters


def examples_used(meters: Meters) -> float:
    """Labelled examples taught, each counted once however often it is walked.

    sum_k |lesson_k| = examples. At least 0, lower is better. Source: metered.
    """
    return float(meters.examples_used)


def train_tokens(meters: Meters) -> float:
    """Tokens that went through training, padding not counted, replayed examples included.

    sum over steps of tokens = train_tokens. At least 0, lower is better. Source: metered.
    """
    return float(meters.train_tokens)


PLUGINS = (
    MetricPlugin("examples_used", "examples", examples_used, "meters", "low", 0, math.inf, "count", "cost"),
    MetricPlugin("train_tokens", "tokens", train_tokens, "meters", "low", 0, math.inf, "count", "cost"),
)
