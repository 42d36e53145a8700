"""Time, memory and what is kept."""

from __future__ import annotations

import math

import numpy as np

from clbench.core.protocols import MetricPlugin
from clbench.core.types import Meters
from clbench.metrics._shape import mean


def train_seconds(meters: Meters) -> float:
    """Wall seconds of learning all lessons, as they were first made.

    train_s = sum_k s_k, s_k the seconds of lesson k. At least 0, lower is better. Source: metered.
    """
    return meters.train_s


def exam_seconds(meters: Meters) -> float:
    """Wall seconds of all exams, as they were first sat.

    exam_s = sum over cells of exam seconds. At least 0, lower is better. Source: metered.
    """
    return meters.exam_s


def tokens_per_s(meters: Meters) -> float:
    """Tokens that went forward per second of learning, padding not counted.

    train_tokens / train_s. At least 0, higher is better; NaN for a learner that is not trained. Source: metered.
    """
    return meters.train_tokens / meters.train_s if meters.train_s and meters.train_tokens else math.nan


def exam_latency_s_p50(meters: Meters) -> float:
    """Median over exam cells of the seconds per answer.

    50th percentile of seconds / answers. At least 0, lower is better. Source: metered.
    """
    return float(np.percentile(meters.exam_latency_s, 50)) if meters.exam_latency_s else math.nan


def exam_latency_s_p95(meters: Meters) -> float:
    """95th percentile over exam cells of the seconds per answer.

    At least 0, lower is better. Equation: percentile 95 of seconds / answers = p95. Source: metered.
    """
    return float(np.percentile(meters.exam_latency_s, 95)) if meters.exam_latency_s else math.nan


def peak_memory_bytes(meters: Meters) -> float:
    """Largest resident memory of a process that made a stage of the run.

    max over stages = peak. At least 0, lower is better. Source: metered (resident set,
    libraries included).
    """
    return float(meters.peak_memory_bytes) if meters.peak_memory_bytes else math.nan


def device_memory_bytes(meters: Meters) -> float:
    """Largest memory that the model took of an accelerator.

    max over stages = peak. At least 0, lower is better; NaN without an accelerator. Source: metered (allocator's peak).
    """
    return float(meters.device_memory_bytes) if meters.device_memory_bytes else math.nan


def kept_bytes(meters: Meters) -> float:
    """Bytes kept beside the base model after the last lesson: examples, Fisher matrices, anchors, adapters.

    kept_bytes = stored examples + the method's other state + parameters that it added to the base model (rows of a
    growing label head among them). At least 0, lower is better. Source: metered.
    """
    return float(meters.kept_bytes)


def added_parameters(meters: Meters) -> float:
    """Parameters that the method added to the base model.

    |theta_T| - |theta_0| = added. At least 0, lower is better. Source: metered.
    """
    return float(meters.added_parameters)


def model_size_efficiency(meters: Meters) -> float:
    """How little the model grows.

    MS = min(1, (1/T) sum_k |theta_1| / |theta_k|). In [0, 1], higher is better. Source: Diaz-Rodriguez et al. 2018.
    """
    sizes = meters.parameters_by_step
    return min(1.0, mean([sizes[0] / s for s in sizes])) if sizes and all(sizes) else math.nan


def sample_storage_efficiency(meters: Meters) -> float:
    """How few examples are stored against the size of the stream; a method's other state does not count here.

    SSS = 1 - min(1, (1/T) sum_k |M_k| / |D|), M_k the examples stored after lesson k, D all that were taught, in bytes.
    In [0, 1], higher is better; NaN for runs from before stored examples were counted by themselves.
    Source: Diaz-Rodriguez et al. 2018.
    """
    if not meters.stream_bytes or not meters.buffer_bytes_by_step:
        return math.nan
    return 1 - min(1.0, mean([stored / meters.stream_bytes for stored in meters.buffer_bytes_by_step]))


def compute_efficiency(meters: Meters) -> float:
    """How evenly the cost of lessons stays at that of the cheapest one, with seconds for operations.

    CE = min(1, (1/T) sum_k min_j s_j / s_k), s_k the seconds of lesson k. In [0, 1], higher is better.
    Source: Diaz-Rodriguez et al. 2018, whose ops_one_epoch * eps is taken as the cheapest lesson.
    """
    seconds = meters.train_s_by_step
    return min(1.0, mean([min(seconds) / s for s in seconds])) if seconds and all(seconds) else math.nan


INF = math.inf
PLUGINS = (
    MetricPlugin("train_seconds", "train s", train_seconds, "meters", "low", 0, INF, "seconds", "efficiency"),
    MetricPlugin("exam_seconds", "exam s", exam_seconds, "meters", "low", 0, INF, "seconds", "efficiency"),
    MetricPlugin("tokens_per_s", "tok/s", tokens_per_s, "meters", "high", 0, INF, "tokens/s", "efficiency"),
    MetricPlugin("exam_latency_s_p50", "lat p50", exam_latency_s_p50, "meters", "low", 0, INF, "seconds", "efficiency"),
    MetricPlugin("exam_latency_s_p95", "lat p95", exam_latency_s_p95, "meters", "low", 0, INF, "seconds", "efficiency"),
    MetricPlugin("peak_memory_bytes", "peak mem", peak_memory_bytes, "meters", "low", 0, INF, "bytes", "efficiency"),
    MetricPlugin(
        "device_memory_bytes", "device mem", device_memory_bytes, "meters", "low", 0, INF, "bytes", "efficiency"
    ),
    MetricPlugin("kept_bytes", "kept", kept_bytes, "meters", "low", 0, INF, "bytes", "efficiency"),
    MetricPlugin("added_parameters", "added", added_parameters, "meters", "low", 0, INF, "count", "efficiency"),
    MetricPlugin("model_size_efficiency", "MS", model_size_efficiency, "meters", "high", 0, 1, "ratio", "efficiency"),
    MetricPlugin(
        "sample_storage_efficiency", "SSS", sample_storage_efficiency, "meters", "high", 0, 1, "ratio", "efficiency"
    ),
    MetricPlugin("compute_efficiency", "CE", compute_efficiency, "meters", "high", 0, 1, "ratio", "efficiency"),
)
