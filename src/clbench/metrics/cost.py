"""What a run costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from clbench.core.protocols import MetricPlugin
from clbench.core.results import Costs


def examples_used(costs: Costs) -> float:
    """Labelled examples taught, each counted once, however many epochs it is used in.

    At least 0, lower is better. Source: measured.
    """
    return costs.known("examples_used")


def train_tokens(costs: Costs) -> float:
    """Tokens that went forward through the model while it learnt, padding not counted.

    Batches, old examples, teachers, Fisher passes, and what the model writes itself. At least 0, lower is better.
    Source: measured.
    """
    return costs.known("train_tokens")


def train_flops(costs: Costs) -> float:
    """Floating-point operations of learning, estimated from the model's shape and not measured.

    FLOPs = 6 N (D - F) + 2 N F, N the parameters after the last lesson (embeddings and frozen ones included), D all
    tokens that went forward and F those without a gradient (teachers, texts that the model wrote): 2 N a
    token forward, 4 N backward. Attention over long inputs and what frozen weights save are left out. At least 0, lower
    is better; NaN for a learner that is not trained. Source: Kaplan et al. 2020, "Scaling Laws for Neural Language
    Models", sec. 2.1.
    """
    if not costs.parameters_by_lesson or not costs.train_tokens or not costs.parameters_by_lesson[-1]:
        return math.nan
    return costs.parameters_by_lesson[-1] * (6.0 * costs.train_tokens - 4.0 * costs.forward_tokens)


def joules(costs: Costs) -> float:
    """Energy of the machine while it learnt and was examined, from the hardware's counters.

    The sum over stages of what the counters of devices (NVML) and processors (RAPL) went up by. Other processes on the
    machine are in it. At least 0, lower is better; NaN where a stage was made without a counter. Source: measured.
    """
    return math.nan if costs.joules is None else costs.known("joules")


def api_tokens(costs: Costs) -> float:
    """Tokens of a model behind an API, prompts and replies, in exams and in what it wrote in lessons.

    At least 0, lower is better; NaN where no such model was asked. Source: counted by its provider.
    """
    return _total(costs.api_tokens)


def judge_tokens(costs: Costs) -> float:
    """Tokens of the judge that graded answers by rubrics, prompts and verdicts.

    At least 0, lower is better; NaN where none was asked. Source: counted by its provider, or its tokenizer.
    """
    return _total(costs.judge_tokens)


def _total(tokens: Sequence[int]) -> float:
    """Return the prompt's and the reply's tokens of (prompt, cached, completion); NaN where there are none."""
    return float(tokens[0] + tokens[-1]) if tokens else math.nan


def money(costs: Costs) -> float:
    """What the run cost by the user's price table (`--prices`), in the currency of that table.

    (train_s + exam_s) / 3600 * machine_hour + joules / 3.6e6 * kilowatt_hour + examples * labelled_example + tokens of
    a model behind an API and of a judge at their prices. At least 0, lower is better; NaN without a table, or where it
    prices energy that was not measured, or lacks a model. Source: measured.
    """
    if not costs.prices:
        return math.nan
    hours = (costs.known("train_s") + costs.exam_s) / 3600
    energy = costs.prices.get("kilowatt_hour", 0.0)
    power = joules(costs) / 3.6e6 * energy if energy else 0.0
    label = costs.prices.get("labelled_example", 0.0)
    labels = costs.known("examples_used") * label if label else 0.0
    answers = costs.prices.get("answers", math.nan) if costs.api_tokens else 0.0
    verdicts = costs.prices.get("verdicts", math.nan) if costs.judge_tokens else 0.0
    return hours * costs.prices.get("machine_hour", 0.0) + power + labels + answers + verdicts


_figure = partial(MetricPlugin, needs="costs", better="low", low=0, high=math.inf, group="cost")
PLUGINS = (
    _figure(name="examples_used", symbol="examples", compute=examples_used, unit="count"),
    _figure(name="train_tokens", symbol="tokens", compute=train_tokens, unit="count"),
    _figure(name="train_flops", symbol="FLOPs", compute=train_flops, unit="flops"),
    _figure(name="joules", symbol="energy", compute=joules, unit="joules"),
    _figure(name="api_tokens", symbol="API tokens", compute=api_tokens, unit="count"),
    _figure(name="judge_tokens", symbol="judge tokens", compute=judge_tokens, unit="count"),
    _figure(name="money", symbol="money", compute=money, unit="money"),
)
