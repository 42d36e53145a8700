"""Abilities over lessons: which is lost first, and how much of each is left at the end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clbench.core.matrix import Matrix
from clbench.report.escape import markdown
from clbench.report.runs.bootstrap import linear_samples
from clbench.report.runs.groups import Group, group_runs
from clbench.report.runs.load import RunRecord
from clbench.stats.bootstrap import Interval, Samples, interval
from clbench.stats.intervals import newcombe, ratio_ends, risk_ratio

LABELS = {"general": "general", "instruction": "instruction", "long_context": "long context"}


@dataclass(frozen=True)
class AbilityCurve:
    """One ability of one learner.

    Attributes:
        ability: Its name.
        scores: Mean over its exams after 0..T lessons, in [0, 1]; NaN where an exam was not due.
        items: Answers behind each score, over exams and seeds.
        lost: First lesson after which it is lost, 1..T; None if it never is.
        retention: (R_T / R_0, low, high), a 95 % interval; NaN where R_0 is 0 or not measured.
    """

    ability: str
    scores: tuple[float, ...]
    items: tuple[int, ...]
    lost: int | None
    retention: tuple[float, float, float]


def ability_curves(matrix: Matrix, runs: Sequence[RunRecord] = ()) -> list[AbilityCurve]:
    """Return the curve of every ability, in the order of the columns.

    An ability is *lost* after the first lesson whose score is significantly below row 0: the 95 % interval of the
    difference lies below 0. With the runs that the matrix is the mean of, it is the interval over their items (whole
    groups of them) and seeds, since all rows ask the same questions. Without them, it is the interval of two
    independent shares (Newcombe), which is conservative.
    """
    groups: dict[str, list[int]] = {}
    for m in matrix.select("general", "instruction", "long_context"):
        column = matrix.columns[m]
        groups.setdefault(column.ability or LABELS[column.kind], []).append(m)
    resampled = runs if runs and all(r.matrix_samples is not None for r in runs) else ()
    return [_curve(matrix, name, members, resampled) for name, members in groups.items()]


def _curve(matrix: Matrix, name: str, members: Sequence[int], runs: Sequence[RunRecord]) -> AbilityCurve:
    scores = tuple(float(v) for v in matrix.values[:, members].mean(axis=1))
    items = tuple(int(n) for n in matrix.n[:, members].sum(axis=1))
    lessons = range(1, len(scores))
    if not runs:
        lost = next((t for t in lessons if newcombe(scores[t], items[t], scores[0], items[0])[1] < 0), None)
        return AbilityCurve(name, scores, items, lost, risk_ratio(scores[-1], items[-1], scores[0], items[0]))

    lost = next((t for t in lessons if _change(runs, members, t).high < 0), None)
    if math.isnan(scores[-1]) or not scores[0] > 0:
        return AbilityCurve(name, scores, items, lost, (math.nan, math.nan, math.nan))
    ratio = scores[-1] / scores[0]
    ends = (ratio, ratio)
    if len(scores) > 1:

        def holds(given: float) -> bool:
            low, high = _change(runs, members, len(scores) - 1, given)
            return low <= 0 <= high

        ends = ratio_ends(holds, ratio, 1 / scores[0])
    return AbilityCurve(name, scores, items, lost, (ratio, *ends))


def _change(runs: Sequence[RunRecord], members: Sequence[int], lesson: int, times: float = 1.0) -> Interval:
    """Return the interval of an ability's score in a row less `times` that of row 0; NaN where a cell was not due."""
    values: list[float] = []
    all_samples: list[Samples] = []
    for run in runs:
        factors = np.zeros(run.matrix.values.shape)
        factors[lesson, members] = 1 / len(members)
        factors[0, members] = -times / len(members)
        if run.matrix_samples is not None:
            value, samples = linear_samples(run.matrix, run.matrix_samples, factors)
            values.append(value)
            all_samples.append(samples)
    return interval(values, all_samples)


def first_lost(curves: Sequence[AbilityCurve]) -> list[str]:
    """Return the abilities that are lost after the earliest lesson, the largest drop first."""
    lessons = [c.lost for c in curves if c.lost is not None]
    if not lessons:
        return []
    first = [c for c in curves if c.lost == min(lessons)]
    return [c.ability for c in sorted(first, key=lambda c: c.scores[min(lessons)] - c.scores[0])]


def abilities_table(runs: Sequence[RunRecord]) -> str:
    """Return a Markdown table: every learner's abilities, with their scores, lesson of loss and retention."""
    groups = [g for g in group_runs(runs) if ability_curves(g.mean)]
    if not groups:
        return ""
    last = max(g.mean.num_lessons for g in groups)
    heads = ["learner", "ability", "untouched", *(f"lesson {t}" for t in range(1, last + 1))]
    heads += ["lost in lesson", "left at the end (95 %)"]
    lines = [f"| {' | '.join(heads)} |", f"|---|---|{'---:|' * (last + 3)}"]
    lines += [f"| {' | '.join(map(markdown, row))} |" for group in groups for row in ability_rows(group, last)]
    return "\n".join(lines) + "\n"


def ability_rows(group: Group, last: int, ends: str = "{low} to {high}") -> list[list[str]]:
    """Return the cells of a group's rows, with the ends of intervals as `ends`; lessons beyond its last are empty."""
    rows: list[list[str]] = []
    for curve in ability_curves(group.mean, group.runs):
        cells = [_percent(s) for s in curve.scores] + [""] * (last + 1 - len(curve.scores))
        left, low, high = curve.retention
        kept = (
            "–"
            if math.isnan(left)
            else f"{100 * left:.0f} % ({ends.format(low=f'{100 * low:.0f}', high=f'{100 * high:.0f}')})"
        )
        label = group.label
        rows.append([label, curve.ability, *cells, str(curve.lost or "–"), kept])
    return rows


def _percent(score: float) -> str:
    return "–" if math.isnan(score) else f"{100 * score:.1f}"
