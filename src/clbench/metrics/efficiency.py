"""Time, memory and stored bytes."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from clbench.core.protocols import MetricPlugin
from clbench.core.results import Costs
from clbench.metrics._shape import mean


def train_seconds(costs: Costs) -> float:
    """Wall seconds of learning all lessons, as they were first made.

    sum_k s_k, s_k the seconds of lesson k. At least 0, lower is better. Source: measured.
    """
    return costs.known("train_s")


def exam_seconds(costs: Costs) -> float:
    """Wall seconds of all exams, as they were first asked.

    The sum over the cells of the matrix. At least 0, lower is better. Source: measured.
    """
    return costs.known("exam_s")


def tokens_per_s(costs: Costs) -> float:
    """Tokens that went forward per second of learning, padding not counted.

    train_tokens / train_s. At least 0, higher is better; NaN for a learner that is not trained. Source: measured.
    """
    return costs.train_tokens / costs.train_s if costs.train_s and costs.train_tokens else math.nan


def exam_latency_s_p50(costs: Costs) -> float:
    """Median over exam cells of the seconds per answer.

    50th percentile of seconds / answers. At least 0, lower is better. Source: measured.
    """
    return float(np.percentile(costs.exam_latency_s, 50)) if costs.exam_latency_s else math.nan


def exam_latency_s_p95(costs: Costs) -> float:
    """95th percentile over exam cells of the seconds per answer.

    95th percentile of seconds / answers. At least 0, lower is better. Source: measured.
    """
    return float(np.percentile(costs.exam_latency_s, 95)) if costs.exam_latency_s else math.nan


def peak_memory_bytes(costs: Costs) -> float:
    """Largest resident memory of a process that made a stage of the run.

    Maximum over stages. At least 0, lower is better. Source: measured (resident set, libraries included).
    """
    return costs.known("peak_memory_bytes") if costs.peak_memory_bytes else math.nan


def device_memory_bytes(costs: Costs) -> float:
    """Largest memory that the model took on an accelerator.

    Maximum over stages. At least 0, lower is better; NaN without an accelerator. Source: measured (allocator's peak).
    """
    return costs.known("device_memory_bytes") if costs.device_memory_bytes else math.nan


def kept_bytes(costs: Costs) -> float:
    """Bytes kept beside the base model after the last lesson: examples, Fisher matrices, anchors, adapters.

    Stored examples, the method's other state, and parameters that it added to the base model (rows of a growing label
    head among them). At least 0, lower is better. Source: measured.
    """
    return costs.known("kept_bytes")


def added_parameters(costs: Costs) -> float:
    """Parameters that the method added to the base model.

    |theta_T| - |theta_0|. At least 0, lower is better. Source: measured.
    """
    return costs.known("added_parameters")


def model_size_efficiency(costs: Costs) -> float:
    """How little the model grows.

    MS = min(1, (1/T) sum_k |theta_1| / |theta_k|). In [0, 1], higher is better. Source: Diaz-Rodriguez et al. 2018.
    """
    sizes = costs.parameters_by_lesson
    return min(1.0, mean([sizes[0] / s for s in sizes])) if sizes and all(sizes) else math.nan


def sample_storage_efficiency(costs: Costs) -> float:
    """How few examples are stored against the size of the stream; a method's other state does not count here.

    SSS = 1 - min(1, (1/T) sum_k |M_k| / |D|), M_k the examples stored after lesson k, D all that were taught, in bytes.
    In [0, 1], higher is better; NaN for runs from before stored examples were counted by themselves.
    Source: Diaz-Rodriguez et al. 2018.
    """
    if not costs.stream_bytes or not costs.buffer_bytes_by_lesson:
        return math.nan
    return 1 - min(1.0, mean([stored / costs.stream_bytes for stored in costs.buffer_bytes_by_lesson]))


def compute_efficiency(costs: Costs) -> float:
    """How near the cost of lessons stays to that of the cheapest one, with seconds for operations.

    CE = min(1, (1/T) sum_k min_j s_j / s_k), s_k the seconds of lesson k. In [0, 1], higher is better.
    Source: Diaz-Rodriguez et al. 2018, whose ops_one_epoch * eps is taken as the cheapest lesson.
    """
    seconds = costs.train_s_by_lesson
    return min(1.0, mean([min(seconds) / s for s in seconds])) if seconds and all(seconds) else math.nan


INF = math.inf
_figure = partial(MetricPlugin, needs="costs", better="low", low=0, high=INF, group="efficiency")
PLUGINS = (
    _figure(name="train_seconds", symbol="train s", compute=train_seconds, unit="seconds"),
    _figure(name="exam_seconds", symbol="exam s", compute=exam_seconds, unit="seconds"),
    _figure(name="tokens_per_s", symbol="tok/s", compute=tokens_per_s, better="high", unit="tokens/s"),
    _figure(name="exam_latency_s_p50", symbol="lat p50", compute=exam_latency_s_p50, unit="seconds"),
    _figure(name="exam_latency_s_p95", symbol="lat p95", compute=exam_latency_s_p95, unit="seconds"),
    _figure(name="peak_memory_bytes", symbol="peak mem", compute=peak_memory_bytes, unit="bytes"),
    _figure(name="device_memory_bytes", symbol="device mem", compute=device_memory_bytes, unit="bytes"),
    _figure(name="kept_bytes", symbol="kept", compute=kept_bytes, unit="bytes"),
    _figure(name="added_parameters", symbol="added", compute=added_parameters, unit="count"),
    _figure(
        name="model_size_efficiency", symbol="MS", compute=model_size_efficiency, better="high", high=1, unit="ratio"
    ),
    _figure(
        name="sample_storage_efficiency",
        symbol="SSS",
        compute=sample_storage_efficiency,
        better="high",
        high=1,
        unit="ratio",
    ),
    _figure(name="compute_efficiency", symbol="CE", compute=compute_efficiency, better="high", high=1, unit="ratio"),
)
