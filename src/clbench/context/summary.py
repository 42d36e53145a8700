"""What the grades of one system say: rates over tasks and rubrics, with intervals over contexts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clbench.context.graded import TaskFacts
from clbench.context.grades import Grades
from clbench.stats.clustered import Clustered, Split, clustered_interval, ratio_interval, variance_split
from clbench.stats.rates import Bounds, bounds, mean_and_deviation, pass_at_k, pass_hat_k, threshold_curve

Floats = NDArray[np.float64]
THRESHOLDS = tuple(range(100, 45, -5))
# About 4, 8, 16 and 32 thousand tokens, the paper's bins: CL-bench has four characters per token.
LENGTHS = (16_000, 32_000, 64_000, 128_000)
RUBRICS = (5, 10, 20, 40)
MOST_MISSES = 10  # more are counted together


class Interval(NamedTuple):
    """A share with its 95 % interval; NaN where it is not known."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Part:
    """The tasks that share a property.

    Attributes:
        name: The property's value.
        rate: Share of tasks solved.
        rubrics: Share of all their rubrics met.
    """

    name: str
    rate: Clustered
    rubrics: Interval


@dataclass(frozen=True)
class OfTrials:
    """What k trials give: at least one passes, all pass; both are means over tasks."""

    k: int
    any_passes: Clustered
    all_pass: Clustered


@dataclass(frozen=True)
class Doubts:
    """What rows say that cannot be taken as it stands.

    Attributes:
        disagree: Rows whose own score is not the one that their rubrics give.
        odd_labels: Labels that are neither yes nor no; they count as no.
        misfits: Rows with more or fewer labels than rubrics; their score is 0.
        without_rubrics: Tasks without a rubric; they cannot be solved.
    """

    disagree: int
    odd_labels: int
    misfits: int
    without_rubrics: int


@dataclass(frozen=True)
class Summary:
    """The figures of one system.

    Attributes:
        name, judges: Of the system, and who judged.
        tasks, contexts, trials: How many.
        rate: Share of tasks solved, over all trials, with the interval over contexts.
        by_trial: The share of each trial; `mean` and `deviation` (n - 1) are of these, as the public board has them.
        unjudged: Answers that nobody judged; `limits` is the rate with all of them failed, and passed.
        states: How many answers are in each state.
        micro, macro: Share of all rubrics met, and mean over tasks of the share of a task's rubrics met.
        curve: Share of answers that meet at least so many percent of their rubrics.
        misses: How many judged answers miss so many rubrics; the last count is of that many or more.
        parts: By property: categories, sub-categories, length of the prompt, turn, number of rubrics.
        of_trials: For k = 1 to the number of trials.
        split: The variance between contexts, tasks and trials.
        doubts: What does not fit.
    """

    name: str
    judges: list[str]
    tasks: int
    contexts: int
    trials: int
    rate: Clustered
    by_trial: list[float]
    mean: float
    deviation: float
    unjudged: int
    limits: Bounds
    states: dict[str, int]
    micro: Interval
    macro: Clustered
    curve: dict[int, float]
    misses: dict[int, int]
    parts: dict[str, list[Part]]
    of_trials: list[OfTrials]
    split: Split
    doubts: Doubts


def summary_of(grades: Grades) -> Summary:
    """Return the figures of a system; answers that are missing or not whole count as failed."""
    passed, met, sizes, contexts = grades.passed(), grades.met(), grades.sizes(), grades.contexts
    trials = grades.trials
    unjudged = int(grades.unjudged().sum())
    by_trial = [float(v) for v in passed.mean(axis=0)]
    mean, deviation = mean_and_deviation(by_trial)
    shares = np.divide(met, sizes[:, None], out=np.zeros_like(met), where=sizes[:, None] > 0)
    curve = threshold_curve(met.ravel(), np.repeat(sizes, trials), THRESHOLDS)
    return Summary(
        name=grades.name,
        judges=grades.judges,
        tasks=len(grades.tasks),
        contexts=len(set(contexts)),
        trials=trials,
        rate=clustered_interval(passed.mean(axis=1), contexts),
        by_trial=by_trial,
        mean=mean,
        deviation=deviation,
        unjudged=unjudged,
        limits=bounds(int(passed.sum()), unjudged, passed.size),
        states=grades.states(),
        micro=Interval(*ratio_interval(met.sum(axis=1), sizes * trials, contexts)),
        macro=clustered_interval(shares.mean(axis=1), contexts),
        curve=dict(zip(THRESHOLDS, curve, strict=True)),
        misses=_misses(grades),
        parts=_parts(grades, passed.mean(axis=1), met.sum(axis=1)),
        of_trials=_of_trials(passed, contexts),
        split=variance_split(passed, contexts),
        doubts=_doubts(grades),
    )


def _misses(grades: Grades) -> dict[int, int]:
    judged = [row for row in grades.rows.values() if row.state == "ok" and row.fits and row.met]
    found = Counter(min(len(row.met) - row.num_met, MOST_MISSES) for row in judged)
    return {num: found[num] for num in range(MOST_MISSES + 1)}


def _of_trials(passed: Floats, contexts: Sequence[str]) -> list[OfTrials]:
    trials = passed.shape[1]
    counts = passed.sum(axis=1).astype(int).tolist()
    found: list[OfTrials] = []
    for k in range(1, trials + 1):
        one, every = ([rule(c, trials, k) for c in counts] for rule in (pass_at_k, pass_hat_k))
        ends = [clustered_interval(np.array(values), contexts) for values in (one, every)]
        found.append(OfTrials(k, *ends))
    return found


def _doubts(grades: Grades) -> Doubts:
    rows = list(grades.rows.values())
    return Doubts(
        disagree=sum(r.judge_score not in (None, r.score) for r in rows if r.state == "ok"),
        odd_labels=sum(r.odd for r in rows),
        misfits=sum(not r.fits for r in rows if r.state == "ok"),
        without_rubrics=sum(not task.rubrics for task in grades.tasks),
    )


def _parts(grades: Grades, passed: Floats, met: Floats) -> dict[str, list[Part]]:
    return {
        title: _by(grades, passed, met, name)
        for title, name in (
            ("category", lambda t: t.category),
            ("sub-category", lambda t: f"{t.category} / {t.sub_category}"),
            ("characters of the prompt", lambda t: _binned(t.chars, LENGTHS) if t.chars else "not recorded"),
            ("turn", lambda t: str(t.turn) if t.turn else "not recorded"),
            ("rubrics", lambda t: _binned(len(t.rubrics), RUBRICS)),
        )
    }


def _by(grades: Grades, passed: Floats, met: Floats, name: Callable[[TaskFacts], str]) -> list[Part]:
    names = [name(task) for task in grades.tasks]
    sizes, contexts = grades.sizes() * grades.trials, np.array(grades.contexts, dtype=object)
    found: list[Part] = []
    for each in sorted(set(names), key=_in_order):
        there = np.array([n == each for n in names])
        own = contexts[there].tolist()
        rubrics = Interval(*ratio_interval(met[there], sizes[there], own))
        found.append(Part(each, clustered_interval(passed[there], own), rubrics))
    return found


def _in_order(name: str) -> tuple[float, str]:
    """Return a key that puts numbers and bins by size, other names by their letters."""
    digits = name.replace(" ", "").partition("to")[0].removesuffix("ormore")
    return (float(digits), "") if digits.isdecimal() else (math.inf, name)


def _binned(value: int, edges: Sequence[int]) -> str:
    """Return the bin of a number: the edges belong to the lower one.

    Example:
        >>> _binned(5, (5, 10)), _binned(6, (5, 10)), _binned(11, (5, 10))
        ('0 to 5', '6 to 10', '11 or more')
    """
    lower = 0
    for edge in edges:
        if value <= edge:
            return f"{lower} to {edge}"
        lower = edge + 1
    return f"{lower} or more"
