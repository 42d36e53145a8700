"""The trend of every ability over many checkpoints, with an alarm where one falls at once or declines slowly.

A checkpoint is what a run was after one of its lessons, or a model that was tested by the gate.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clbench.core.graded import GradedItems, graded_items
from clbench.core.item_scores import ItemScores
from clbench.core.matrix import Matrix
from clbench.metrics.average import average_by_lesson
from clbench.report.runs.abilities import LABELS, ability_curves
from clbench.report.runs.exam_items import marked_rows
from clbench.report.runs.load import NO_SHEETS, RunRecord
from clbench.stats.drift import Drift, cusum, limit_at
from clbench.stats.gate import POOLED, apart_p, fall_p, plainest
from clbench.stats.paired import holm
from clbench.store.history import Passed, Sitting

Floats = NDArray[np.float64]
LEAST = 3  # checkpoints after the first ones, without which a slow decline is not watched


@dataclass(frozen=True)
class Series:
    """One score over checkpoints.

    Attributes:
        source: Name of the run, or "gate" for the checkpoints that were tested by the gate.
        name: Ability or exam; "own tasks" for the average of the tasks taught so far.
        values: In [0, 1], one per checkpoint, oldest first.
        items: Answers behind a value.
        checkpoints: Names of the checkpoints.
        dates: When each was examined, as far as that is on record.
        rows: Grades of the same items at every checkpoint; None where they are not on record.
        groups: The group of each item; None where items are independent.
        failed: Places of the checkpoints that the gate found worse.
        changes: What is summed for a slow decline, one per checkpoint, in [-1, 1]; () means the values themselves. The
            average of the tasks taught is over more tasks at every checkpoint, so there it is the mean change since
            each task was learnt: a harder task is not a decline.
        wordings: Number of the wording in which every item was asked, one array (items,) per checkpoint; () where there
            is one wording. Where labels grow, an item has more choices later on: such answers are not compared.
    """

    source: str
    name: str
    values: tuple[float, ...]
    items: int
    checkpoints: tuple[str, ...]
    rows: tuple[GradedItems | None, ...] = ()
    groups: Sequence[Hashable] | None = None
    failed: frozenset[int] = frozenset()
    changes: tuple[float, ...] = ()
    wordings: tuple[NDArray[np.int64], ...] = ()
    dates: tuple[str, ...] = ()

    @property
    def terms(self) -> tuple[float, ...]:
        """Return what is summed for a slow decline."""
        return self.changes or self.values


@dataclass(frozen=True)
class Watched:
    """A series with its alarms.

    Attributes:
        series: The series.
        target, deviation: Mean and deviation of the reference checkpoints.
        reference: Places of these: the first checkpoints that did not fail.
        fall_p: p of every checkpoint against those, after Holm's correction over all checkpoints of all series; NaN
            where there was nothing to compare with.
        fall_at: Place of the first checkpoint that fell at once; None if none did.
        drift: CUSUM over the checkpoints after the reference; None where there are too few.
        begins: Place of the first of these.
        more_to_fall, more_to_drift: Checkpoints that are needed before a fall, and a slow decline, are watched for.
    """

    series: Series
    target: float
    deviation: float
    reference: tuple[int, ...]
    fall_p: tuple[float, ...]
    fall_at: int | None
    drift: Drift | None
    begins: int
    more_to_fall: int
    more_to_drift: int

    @property
    def never_comparable(self) -> bool:
        """Return whether no two checkpoints were asked the same, so that nothing can ever be compared."""
        return bool(self.series.wordings) and not self.more_to_fall and all(math.isnan(p) for p in self.fall_p)

    @property
    def decline_at(self) -> int | None:
        """Return the place of the alarm for a slow decline; None if there is none."""
        return None if self.drift is None or self.drift.alarm is None else self.begins + self.drift.alarm

    @property
    def alarm_at(self) -> int | None:
        """Return the place of the first alarm, for a fall or a decline; None if there is none."""
        return min((k for k in (self.fall_at, self.decline_at) if k is not None), default=None)

    @property
    def alarm(self) -> str | None:
        """Return the name of the checkpoint of the first alarm."""
        return None if self.alarm_at is None else self.series.checkpoints[self.alarm_at]

    @property
    def state(self) -> str:
        """Return "alarm", "not watched" (too few checkpoints, or none that can be compared) or "quiet"."""
        if self.alarm_at is not None:
            return "alarm"
        return "not watched" if self.more_to_fall or self.more_to_drift or self.never_comparable else "quiet"


def run_series(runs: Sequence[RunRecord]) -> list[Series]:
    """Return the abilities of every run and the average of its tasks so far, over its lessons; row 0 is left out."""
    found: list[Series] = []
    for run in runs:
        matrix, lessons = run.matrix, tuple(str(k) for k in range(1, run.matrix.num_lessons + 1))
        for curve in ability_curves(matrix):
            exams = [
                c.name
                for c in (matrix.columns[m] for m in matrix.select("general", "instruction", "long_context"))
                if (c.ability or LABELS[c.kind]) == curve.ability
            ]
            rows, groups, _ = _rows(run, exams)
            name, values = curve.ability, curve.scores[1:]
            found.append(Series(run.spec.name, name, values, curve.items[-1], lessons, rows, groups))
        tasks = matrix.select("task")
        if not tasks:
            continue
        items = int(matrix.n[-1, tasks].sum())
        rows, groups, wordings = _rows(run, [matrix.columns[m].name for m in tasks])
        values, changes = tuple(average_by_lesson(matrix)), changes_since_learnt(matrix, run.item_scores)
        found.append(
            Series(run.spec.name, "own tasks", values, items, lessons, rows, groups, changes=changes, wordings=wordings)
        )
    return found


def changes_since_learnt(matrix: Matrix, item_scores: ItemScores = NO_SHEETS) -> tuple[float, ...]:
    """Return, for rows 1..T, the mean of R[k, i] - R[t_i, i] over the tasks i taught so far; NaN if unknown.

    Tasks that are asked differently in rows k and t_i (more choices, where labels grow) are left out.
    """
    questions = {(s.exam, lesson): row.questions for s in item_scores.exams for lesson, row in s.rows.items()}
    tasks = matrix.select("task")
    taught = np.array([matrix.columns[m].taught or 0 for m in tasks])
    found: list[float] = []
    for lesson in range(1, matrix.num_lessons + 1):
        names = [matrix.columns[m].name for m in tasks]
        same = [questions.get((n, lesson)) == questions.get((n, t)) for n, t in zip(names, taught, strict=True)]
        comparable = (taught <= lesson) & np.array(same, dtype=bool)
        columns = np.array(tasks, dtype=np.intp)[comparable]
        change = matrix.values[lesson, columns] - matrix.values[taught[comparable], columns]
        found.append(float(np.nanmean(change)) if not np.isnan(change).all() else math.nan)
    return tuple(found)


def _rows(
    run: RunRecord, exams: Sequence[str]
) -> tuple[tuple[GradedItems | None, ...], list[Hashable] | None, tuple[NDArray[np.int64], ...]]:
    """Return the items of some exams in every row from 1 on, their groups, and the numbers of their wordings.

    A task that is not yet taught has no scores.
    """
    matrix, item_scores = run.matrix, [s for s in run.item_scores.exams if s.exam in exams]
    if len(item_scores) < len(exams) or not item_scores:
        return (), None, ()
    taught = {c.name: c.taught or 0 for c in matrix.columns}
    arrays: list[Floats] = []
    numbers: list[NDArray[np.int64]] = []
    for exam_scores in item_scores:
        array = np.full((matrix.num_lessons + 1, len(exam_scores.ids)), np.nan)
        number = np.zeros(array.shape, dtype=np.int64)
        order = list(dict.fromkeys(r.questions for r in exam_scores.rows.values()))
        for lesson, row in exam_scores.rows.items():
            number[lesson] = order.index(row.questions)
            if lesson >= taught[exam_scores.exam]:
                array[lesson] = _items(row, exam_scores.scorer.name)
        arrays.append(array[1:])
        numbers.append(number[1:])
    groups: list[Hashable] | None = None
    if any(s.groups for s in item_scores):
        groups = [(s.exam, s.groups[k] if s.groups else k) for s in item_scores for k in range(len(s.ids))]
    wordings = np.concatenate(numbers, axis=1)
    return (
        tuple(map(graded_items, np.concatenate(arrays, axis=1))),
        groups,
        tuple(wordings) if wordings.any() else (),
    )


def _items(row: GradedItems, scorer: str) -> Floats:
    """Return what every item adds to the exam's score: its own score, or its pseudo-value if the exam takes no mean."""
    found = marked_rows([row], scorer)
    values = np.full(found.items, np.nan)
    values[found.known] = found.only(found.known).units()
    return values


def gate_series(history: Sequence[Passed]) -> list[Series]:
    """Return every exam over the checkpoints that were tested by the gate; other questions begin another series."""
    checkpoints = tuple(f"{k} {Path(p.model).name}" for k, p in enumerate(history, start=1))
    found: list[Series] = []
    for name in dict.fromkeys(name for p in history for name in p.sittings):
        results = [p.sittings.get(name) for p in history]
        digests = list(dict.fromkeys(s.digest for s in results if s is not None and s.digest)) or [""]
        for number, digest in enumerate(digests):
            # A line of an older clbench does not say its questions: they are taken for the first ones.
            mine = [s if s and s.digest in ((digest, "") if not number else (digest,)) else None for s in results]
            known = [s for s in mine if s is not None]
            failed = frozenset(k for k, p in enumerate(history) if p.regressed & {name, POOLED} and mine[k])
            groups = next((s.groups for s in known if s.groups), None)
            found.append(
                Series(
                    source="gate",
                    name=name if not number else f"{name}, other questions {number + 1}",
                    values=tuple(math.nan if s is None else s.score for s in mine),
                    items=max(s.items for s in known),
                    checkpoints=checkpoints,
                    dates=tuple(p.made_at for p in history),
                    rows=_grades(mine),
                    groups=groups,
                    failed=failed,
                )
            )
    return found


def _grades(results: Sequence[Sitting | None]) -> tuple[GradedItems | None, ...]:
    """Return the grades of every checkpoint; as means where the exam's rule is the mean in all of them."""
    found = [None if s is None or s.row is None else marked_rows([s.row], s.scorer) for s in results]
    plain = [None if m is None else plainest(m) for m in found]
    return tuple(plain if all(m is None or m.is_mean for m in plain) else found)


def watch_series(series: Sequence[Series], first: int, rate: float, slack: float = 0.5) -> list[Watched]:
    """Watch every series for a fall at one checkpoint and for a slow decline, both against its first checkpoints.

    Each gets half of the rate.

    - Fall: every checkpoint from the second on is compared with the first ones before it, item by item as the gate does
      (`clbench.stats.gate.fall_p`; as two shares of different items where items are not on record), after Holm's
      correction over all checkpoints of all series.
    - Slow decline: a CUSUM. Its target and deviation are those of the first checkpoints; the deviation is at least what
      other items would change, sqrt(s (1 - s) / n). Its limit is found by simulation, with both estimated from as many
      checkpoints as here (`clbench.stats.drift.limit_at`), and the rate is shared evenly over the series.

    The first checkpoints are the reference. A checkpoint that failed in the gate is not part of it, and neither is one
    that lies below it with a p of at most half the rate, shared over the series.

    Args:
        series: What is watched; a series with too few checkpoints is "not watched".
        first: Checkpoints in the reference, >= 2.
        rate: False-alarm rate over all series and checkpoints, in (0, 1).
        slack: See `cusum`.
    """
    share = rate / 2 / max(len(series), 1)
    compared = [_reference(s, first, share) for s in series]
    adjusted = iter(holm([p for _, ps in compared for p in ps]))
    falls = [tuple(next(adjusted) for _ in ps) for _, ps in compared]
    enough = sum(_lacking(s, refs, first) == 0 for s, (refs, _) in zip(series, compared, strict=True))
    slow = (rate / 2 / max(enough, 1), slack)
    return [
        _watch(s, refs, first, (f, rate / 2), slow) for s, (refs, _), f in zip(series, compared, falls, strict=True)
    ]


def _reference(series: Series, first: int, share: float) -> tuple[tuple[int, ...], list[float]]:
    """Return the places of the reference checkpoints, and p of every checkpoint against those before it."""
    refs: list[int] = []
    ps: list[float] = []
    for place, value in enumerate(series.values):
        p = _fall(series, refs, place) if refs and not math.isnan(value) else math.nan
        ps.append(p)
        good = not math.isnan(value) and place not in series.failed and not p <= share
        if good and len(refs) < first:
            refs.append(place)
    return tuple(refs), ps


def _fall(series: Series, refs: Sequence[int], place: int) -> float:
    rows = series.rows or (None,) * len(series.values)
    now, before = rows[place], [_comparable(series, k, place) for k in refs]
    known = [row for row in before if row is not None]
    if now is not None and known:
        parts = tuple(p for row in known for p in row.parts)
        old = graded_items(np.concatenate([row.scores for row in known]), parts, known[0].rule)
        return fall_p(old, now, groups=series.groups)
    return apart_p(float(np.mean([series.values[k] for k in refs])), series.values[place], series.items)


def _comparable(series: Series, ref: int, place: int) -> GradedItems | None:
    """Return the grades of a checkpoint, without the items that another one asked in other words."""
    row = series.rows[ref] if series.rows else None
    if row is None or not series.wordings:
        return row
    return graded_items(
        np.where(series.wordings[ref] == series.wordings[place], row.scores, np.nan), row.parts, row.rule
    )


def _lacking(series: Series, refs: Sequence[int], first: int) -> int:
    """Return how many more checkpoints are needed before a slow decline is watched for."""
    if len(refs) < first:
        return first - len(refs) + LEAST
    return max(0, LEAST - sum(not math.isnan(v) for v in series.values[refs[-1] + 1 :]))


def _watch(
    series: Series, refs: tuple[int, ...], first: int, falls: tuple[tuple[float, ...], float], slow: tuple[float, float]
) -> Watched:
    start = np.array([series.terms[k] for k in refs])
    target = float(np.mean([series.values[k] for k in refs])) if refs else math.nan
    noise = math.sqrt(max(target * (1 - target), 0.0) / max(series.items, 1)) if len(start) else math.nan
    deviation = max(float(start.std(ddof=1)) if len(start) > 1 else 0.0, noise, 1e-3) if len(start) else math.nan
    begins = refs[-1] + 1 if refs else 0
    lacking = _lacking(series, refs, first)
    drift = None
    if not lacking:
        rest = series.terms[begins:]
        drift = cusum(rest, float(start.mean()), deviation, limit_at(slow[0], len(rest), first, slow[1]), slow[1])
    num = sum(not math.isnan(v) for v in series.values)
    return Watched(
        series=series,
        target=target,
        deviation=deviation,
        reference=refs,
        fall_p=falls[0],
        fall_at=next((k for k, p in enumerate(falls[0]) if p <= falls[1]), None),
        drift=drift,
        begins=begins,
        more_to_fall=max(0, 2 - num) if refs or num < 2 else 1,
        more_to_drift=lacking,
    )
