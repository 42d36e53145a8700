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
    """Tokens that went forward through the model while it learnt, padding not counted.

    Batches, old examples, teachers, Fisher passes, and what the model writes itself: sum over passes of tokens =
    train_tokens. At least 0, lower is better. Source: metered.
    """
    return float(meters.train_tokens)


def train_flops(meters: Meters) -> float:
    """Floating-point operations of learning, estimated from the model's shape and not measured.

    FLOPs = 6 N (D - F) + 2 N F, N the parameters after the last lesson (embeddings and frozen ones included), D all
    tokens that went forward and F those of which no gradient was asked (teachers, texts that the model wrote): 2 N a
    token forward, 4 N backward. Attention over long inputs and what frozen weights save are left out. At least 0, lower
    is better; NaN for a learner that is not trained. Source: Kaplan et al. 2020, "Scaling Laws for Neural Language
    Models", sec. 2.1.
    """
    if not meters.parameters_by_step or not meters.train_tokens or not meters.parameters_by_step[-1]:
        return math.nan
    return meters.parameters_by_step[-1] * (6.0 * meters.train_tokens - 4.0 * meters.forward_tokens)


def joules(meters: Meters) -> float:
    """Energy of the machine while it learnt and was examined, from the hardware's counters.

    joules = sum over stages of what the counters of devices (NVML) and processors (RAPL) went up by; other processes on
    the machine are in it. At least 0, lower is better; NaN where a stage was made without a counter. Source: metered.
    """
    return math.nan if meters.joules is None else meters.joules


def money(meters: Meters) -> float:
    """What the run cost by the user's price table (`--prices`), in the currency of that table.

    (train_s + exam_s) / 3600 * machine_hour + joules / 3.6e6 * kilowatt_hour + examples * labelled_example. At least 0,
    lower is better; NaN without a table, or where it prices energy that was not measured. Source: metered.
    """
    if not meters.prices:
        return math.nan
    hours = (meters.train_s + meters.exam_s) / 3600
    energy = meters.prices.get("kilowatt_hour", 0.0)
    power = joules(meters) / 3.6e6 * energy if energy else 0.0
    labels = meters.examples_used * meters.prices.get("labelled_example", 0.0)
    return hours * meters.prices.get("machine_hour", 0.0) + power + labels


PLUGINS = (
    MetricPlugin("examples_used", "examples", examples_used, "meters", "low", 0, math.inf, "count", "cost"),
    MetricPlugin("train_tokens", "tokens", train_tokens, "meters", "low", 0, math.inf, "count", "cost"),
    MetricPlugin("train_flops", "FLOPs", train_flops, "meters", "low", 0, math.inf, "flops", "cost"),
    MetricPlugin("joules", "energy", joules, "meters", "low", 0, math.inf, "joules", "cost"),
    MetricPlugin("money", "money", money, "meters", "low", 0, math.inf, "money", "cost"),
)
