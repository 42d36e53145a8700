"""Forgotten and gained items of recorded runs: of every task since its lesson, of every ability since row 0."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from clbench.core.item_scores import ExamScores
from clbench.core.matrix import Column
from clbench.report.runs.abilities import LABELS
from clbench.report.runs.load import RunRecord
from clbench.stats.transitions import BeforeAfter, Moves, Share, moves, shares

UNDEFINED = Share()
UNGRADED = "graded between right and wrong"
MISSING = "not asked or not graded at both times"


@dataclass(frozen=True)
class ItemChange:
    """What one method forgot and gained, item by item, between a lesson and the last one.

    Attributes:
        name: A task, an ability, or "tasks": the mean over all tasks taught before the last lesson.
        kind: "task", "tasks" or "ability".
        since: The lesson after which the first answers were given; 0 is the untouched model; None for "tasks".
        until: The last lesson.
        items: Items of its exams.
        forgotten, gained: Corrected for guessing.
        forgotten_raw, gained_raw: As counted.
        why_not: Why nothing is defined; empty if it is.
    """

    name: str
    kind: Literal["task", "tasks", "ability"]
    since: int | None
    until: int
    items: int
    forgotten: Share = UNDEFINED
    gained: Share = UNDEFINED
    forgotten_raw: Share = UNDEFINED
    gained_raw: Share = UNDEFINED
    why_not: str = ""

    def record(self) -> dict[str, Any]:
        """Return it as a JSON value; what is not defined is null."""
        found = asdict(self)
        for name, value in found.items():
            if isinstance(value, dict):
                found[name] = {end: None if math.isnan(v) else v for end, v in value.items()}
        return found


def item_changes(runs: Sequence[RunRecord]) -> list[ItemChange]:
    """Return the changes of each task taught before the last lesson, of all of them, and of each ability.

    Args:
        runs: One, or the seeds of one method; figures are means over them.

    Returns:
        Nothing for runs without items on record. An ability is the mean of its exams. A change is not defined where an
        exam of it has scores between 0 and 1, or was not asked at both times.
    """
    first = runs[0].matrix
    last = first.num_lessons
    if any(not r.item_scores.exams for r in runs) or not last:
        return []
    tasks = [c for c in first.columns if c.kind == "task" and c.taught is not None and c.taught < last]
    abilities: dict[str, list[Column]] = {}
    for column in first.columns:
        if column.kind != "task":
            abilities.setdefault(column.ability or LABELS[column.kind], []).append(column)
    found = [_change(runs, c.name, "task", [c]) for c in tasks]
    if len(tasks) > 1:
        found.append(_change(runs, "tasks", "tasks", tasks))
    return found + [_change(runs, name, "ability", members) for name, members in abilities.items()]


def _change(
    runs: Sequence[RunRecord], name: str, kind: Literal["task", "tasks", "ability"], columns: Sequence[Column]
) -> ItemChange:
    by_seed = [[_moves(run, column) for column in columns] for run in runs]
    items = sum(column.size for column in columns)
    since = None if kind == "tasks" else columns[0].taught or 0
    until = runs[0].matrix.num_lessons
    reasons = [found for seed in by_seed for found in seed if isinstance(found, str)]
    if reasons:
        return ItemChange(name, kind, since, until, items, why_not=reasons[0])
    found = shares([[found for found in seed if isinstance(found, Moves)] for seed in by_seed])
    return ItemChange(
        name,
        kind,
        since,
        until,
        items,
        forgotten=found["forgotten"],
        gained=found["gained"],
        forgotten_raw=found["forgotten_raw"],
        gained_raw=found["gained_raw"],
    )


def _moves(run: RunRecord, column: Column) -> Moves | str:
    """Return what the items of an exam add to the shares, or why that is not defined."""
    exam = next((e for e in run.item_scores.exams if e.exam == column.name), None)
    rows = (column.taught or 0, run.matrix.num_lessons)
    if exam is None or any(row not in exam.rows for row in rows):
        return MISSING
    before, after = (exam.rows[row] for row in rows)
    asked = BeforeAfter(before.values(), after.values(), *(_rates(exam, column, row) for row in rows))
    if not asked.graded().any():
        return MISSING
    if not asked.is_defined():
        return UNGRADED
    return moves(asked, exam.digest, exam.groups, same=before.answers_key == after.answers_key)


def _rates(exam: ExamScores, column: Column, row: int) -> np.ndarray:
    """Return the score of guessing each item in a row."""
    if exam.guess_rates:
        return np.array(exam.guess_rates, dtype=np.float64)
    grown = exam.rows[row].guess_rate
    return np.full(len(exam.ids), column.guess_rate if grown is None else grown)
