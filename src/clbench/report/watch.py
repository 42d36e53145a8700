"""The trend of every ability over many rounds, and an alarm where one falls at once or declines slowly."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clbench.core.matrix import Matrix
from clbench.core.sheets import Row, Sheets
from clbench.metrics.average import average_by_lesson
from clbench.report.abilities import LABELS, ability_curves
from clbench.report.gather import NO_SHEETS, RunRecord
from clbench.report.marks import marked_rows
from clbench.stats.drift import Drift, cusum, limit_at
from clbench.stats.gate import POOLED, apart_p, fall_p, plainest
from clbench.stats.marked import Marked
from clbench.stats.paired import holm
from clbench.store.history import Passed, Sitting

Floats = NDArray[np.float64]
LEAST = 3  # rounds after the first ones, without which a slow decline is not watched


@dataclass(frozen=True)
class Series:
    """One score over rounds.

    Attributes:
        source: Run, or "gate" for checkpoints that passed through it.
        name: Ability or exam; "own tasks" for the average of what was taught so far.
        values: In [0, 1], one per round, oldest first.
        items: Answers behind a value.
        rounds: Names of the rounds.
        rows: What the same items came to in every round; None where they are not on record.
        groups: What each item belongs to; None is nothing shared.
        failed: Places of the rounds in which the gate found it worse.
        changes: What is summed up for a slow decline, one per round, in [-1, 1]; () is the values themselves. For own
            tasks, whose average is over more tasks in every round: the mean change since each was learnt, so that
            a harder task is no decline.
        asked: Number of the way in which every item was asked in every round, shape (items,) each; () where each was
            asked alike. Where labels grow, an item has more choices later on: these answers are not compared.
    """

    source: str
    name: str
    values: tuple[float, ...]
    items: int
    rounds: tuple[str, ...]
    rows: tuple[Marked | None, ...] = ()
    groups: Sequence[Hashable] | None = None
    failed: frozenset[int] = frozenset()
    changes: tuple[float, ...] = ()
    asked: tuple[NDArray[np.int64], ...] = ()

    @property
    def summed(self) -> tuple[float, ...]:
        """What is summed up for a slow decline."""
        return self.changes or self.values


@dataclass(frozen=True)
class Watched:
    """A series and what was seen in it.

    Attributes:
        series: It.
        target, deviation: Of the rounds that say how it was.
        first: Places of these rounds: the first ones that did not fail.
        falls: p of every round, that it does not lie below those, after Holm over all rounds of all series; NaN where
            there was nothing to compare with.
        fell: Place of the first round that fell at once; None if none did.
        drift: Over the rounds after the first ones; None where there are too few.
        begins: Place of the first round of these.
        more_to_fall, more_to_drift: Rounds that are lacking before a fall, and a slow decline, are watched for.
    """

    series: Series
    target: float
    deviation: float
    first: tuple[int, ...]
    falls: tuple[float, ...]
    fell: int | None
    drift: Drift | None
    begins: int
    more_to_fall: int
    more_to_drift: int

    @property
    def asked_anew(self) -> bool:
        """Whether no two rounds asked the same, so that nothing can be compared, however many come."""
        return bool(self.series.asked) and not self.more_to_fall and all(math.isnan(p) for p in self.falls)

    @property
    def declined(self) -> int | None:
        """Place of the round in which the alarm for a slow decline rang; None if it did not."""
        return None if self.drift is None or self.drift.alarm is None else self.begins + self.drift.alarm

    @property
    def rang(self) -> int | None:
        """Place of the first round that rang, for a fall or a decline; None if none did."""
        return min((k for k in (self.fell, self.declined) if k is not None), default=None)

    @property
    def alarm(self) -> str | None:
        """The name of that round."""
        return None if self.rang is None else self.series.rounds[self.rang]

    @property
    def state(self) -> str:
        """Is "alarm"; "not watched" where rounds are lacking for a fall or a slow decline, or all ask anew; "quiet"."""
        if self.rang is not None:
            return "alarm"
        return "not watched" if self.more_to_fall or self.more_to_drift or self.asked_anew else "quiet"


def run_series(runs: Sequence[RunRecord]) -> list[Series]:
    """Give the abilities of every run over its rounds, and the average of its own tasks so far; row 0 is left out."""
    found: list[Series] = []
    for run in runs:
        matrix, rounds = run.matrix, tuple(str(k) for k in range(1, run.matrix.num_lessons + 1))
        for curve in ability_curves(matrix):
            exams = [
                c.name
                for c in (matrix.columns[m] for m in matrix.select("general", "instruction", "long_context"))
                if (c.ability or LABELS[c.kind]) == curve.ability
            ]
            rows, groups, _ = _rows(run, exams)
            name, values = curve.ability, curve.scores[1:]
            found.append(Series(run.spec.name, name, values, curve.items[-1], rounds, rows, groups))
        own = matrix.select("own")
        items = int(matrix.n[-1, own].sum())
        rows, groups, asked = _rows(run, [matrix.columns[m].name for m in own])
        values, changes = tuple(average_by_lesson(matrix)), changes_since_learnt(matrix, run.sheets)
        found.append(
            Series(run.spec.name, "own tasks", values, items, rounds, rows, groups, changes=changes, asked=asked)
        )
    return found


def changes_since_learnt(matrix: Matrix, sheets: Sheets = NO_SHEETS) -> tuple[float, ...]:
    """Give, for rows 1..T, the mean of R[k, i] - R[t_i, i] over the tasks i that were taught so far; NaN if unknown.

    Tasks that row k asks otherwise than row t_i, as the sheets tell (more choices, where labels grow), are left out.
    """
    ways = {(s.exam, step): row.asked for s in sheets.sheets for step, row in s.rows.items()}
    own = matrix.select("own")
    taught = np.array([matrix.columns[m].taught or 0 for m in own])
    found: list[float] = []
    for step in range(1, matrix.num_lessons + 1):
        alike = [ways.get((matrix.columns[m].name, k)) for m, t in zip(own, taught, strict=True) for k in (step, t)]
        there = (taught <= step) & np.array([a == b for a, b in zip(alike[::2], alike[1::2], strict=True)], dtype=bool)
        known = np.array(own, dtype=np.intp)[there]
        change = matrix.values[step, known] - matrix.values[taught[there], known]
        found.append(float(np.nanmean(change)) if not np.isnan(change).all() else math.nan)
    return tuple(found)


def _rows(
    run: RunRecord, exams: Sequence[str]
) -> tuple[tuple[Marked | None, ...], list[Hashable] | None, tuple[NDArray[np.int64], ...]]:
    """Give the items of some exams in every row from 1 on, their groups, and in which of the ways they were asked.

    A task not yet taught has no scores.
    """
    matrix, sheets = run.matrix, [s for s in run.sheets.sheets if s.exam in exams]
    if len(sheets) < len(exams) or not sheets:
        return (), None, ()
    taught = {c.name: c.taught or 0 for c in matrix.columns}
    arrays: list[Floats] = []
    ways: list[NDArray[np.int64]] = []
    for sheet in sheets:
        array = np.full((matrix.num_lessons + 1, len(sheet.ids)), np.nan)
        way, order = np.zeros(array.shape, dtype=np.int64), list(dict.fromkeys(r.asked for r in sheet.rows.values()))
        for step, row in sheet.rows.items():
            way[step] = order.index(row.asked)
            if step >= taught[sheet.exam]:
                array[step] = _items(row, sheet.scorer.name)
        arrays.append(array[1:])
        ways.append(way[1:])
    groups: list[Hashable] | None = None
    if any(s.groups for s in sheets):
        groups = [(s.exam, s.groups[k] if s.groups else k) for s in sheets for k in range(len(s.ids))]
    asked = np.concatenate(ways, axis=1)
    return (
        tuple(Marked(row[None]) for row in np.concatenate(arrays, axis=1)),
        groups,
        tuple(asked) if asked.any() else (),
    )


def _items(row: Row, scorer: str) -> Floats:
    """Give what every item counts for in the exam's score: its own, or its pseudo-value where that is no mean."""
    found = marked_rows([row], scorer)
    values = np.full(found.items, np.nan)
    values[found.known] = found.only(found.known).units()
    return values


def gate_series(passed: Sequence[Passed]) -> list[Series]:
    """Give every exam over the checkpoints that passed through the gate; other questions begin another series."""
    rounds = tuple(f"{k} {Path(p.model).name}" for k, p in enumerate(passed, start=1))
    found: list[Series] = []
    for name in dict.fromkeys(name for p in passed for name in p.sittings):
        sat = [p.sittings.get(name) for p in passed]
        digests = list(dict.fromkeys(s.digest for s in sat if s is not None and s.digest)) or [""]
        for number, digest in enumerate(digests):
            # A line of an older clbench does not tell its questions: it is taken for the first.
            mine = [s if s and s.digest in ((digest, "") if not number else (digest,)) else None for s in sat]
            known = [s for s in mine if s is not None]
            failed = frozenset(k for k, p in enumerate(passed) if p.regressed & {name, POOLED} and mine[k])
            groups = next((s.groups for s in known if s.groups), None)
            found.append(
                Series(
                    source="gate",
                    name=name if not number else f"{name}, other questions {number + 1}",
                    values=tuple(math.nan if s is None else s.score for s in mine),
                    items=max(s.items for s in known),
                    rounds=rounds,
                    rows=_sat(mine),
                    groups=groups,
                    failed=failed,
                )
            )
    return found


def _sat(sittings: Sequence[Sitting | None]) -> tuple[Marked | None, ...]:
    """Give what was marked in every round; as means where the exam's rule comes to that in all of them."""
    found = [None if s is None or s.row is None else marked_rows([s.row], s.scorer) for s in sittings]
    plain = [None if m is None else plainest(m) for m in found]
    return tuple(plain if all(m is None or m.is_mean for m in plain) else found)


def watched(series: Sequence[Series], first: int, rate: float, slack: float = 0.5) -> list[Watched]:
    """Watch every series for a fall in one round and for a slow decline, both against its first rounds.

    Half of the rate goes to either. A fall: every round from the second on is compared with the first ones before it,
    item by item as the gate does (`clbench.stats.gate.fall_p`; where items are not on record, as two shares of other
    items), after Holm's correction over all rounds of all series. A decline: a CUSUM, with target and deviation those
    of the first rounds, the deviation at least what other items would change (sqrt(s (1 - s) / n)), and a limit found
    by simulation with both estimated from as many rounds as here (`clbench.stats.drift.limit_at`), shared out evenly
    over the series.

    A round that the gate failed is none of the first ones, nor is one that lies below them with a p of at most half
    the rate, shared out over the series.

    Args:
        series: What is watched; one with too few rounds is not, and says so.
        first: Rounds that say how it was, >= 2.
        rate: False-alarm rate over all series and rounds, in (0, 1).
        slack: See `cusum`.
    """
    share = rate / 2 / max(len(series), 1)
    begun = [_begun(s, first, share) for s in series]
    adjusted = iter(holm([p for _, ps in begun for p in ps]))
    falls = [tuple(next(adjusted) for _ in ps) for _, ps in begun]
    enough = sum(_lacking(s, refs, first) == 0 for s, (refs, _) in zip(series, begun, strict=True))
    slow = (rate / 2 / max(enough, 1), slack)
    return [_watch(s, refs, first, (f, rate / 2), slow) for s, (refs, _), f in zip(series, begun, falls, strict=True)]


def _begun(series: Series, first: int, share: float) -> tuple[tuple[int, ...], list[float]]:
    """Walk the rounds; give the first good ones, and p of every round against those before it."""
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
    now, before = rows[place], [_as_in(series, k, place) for k in refs]
    known = [row for row in before if row is not None]
    if now is not None and known:
        parts = tuple(p for row in known for p in row.parts)
        old = replace(known[0], scores=np.concatenate([row.scores for row in known]), parts=parts)
        return fall_p(old, now, groups=series.groups)
    return apart_p(float(np.mean([series.values[k] for k in refs])), series.values[place], series.items)


def _as_in(series: Series, ref: int, place: int) -> Marked | None:
    """Give what was marked in a round, without the items that another one asked otherwise."""
    row = series.rows[ref] if series.rows else None
    if row is None or not series.asked:
        return row
    return replace(row, scores=np.where(series.asked[ref] == series.asked[place], row.scores, np.nan))


def _lacking(series: Series, refs: Sequence[int], first: int) -> int:
    """Give the rounds that are lacking before a slow decline is watched for."""
    if len(refs) < first:
        return first - len(refs) + LEAST
    return max(0, LEAST - sum(not math.isnan(v) for v in series.values[refs[-1] + 1 :]))


def _watch(
    series: Series, refs: tuple[int, ...], first: int, falls: tuple[tuple[float, ...], float], slow: tuple[float, float]
) -> Watched:
    start = np.array([series.summed[k] for k in refs])
    target = float(np.mean([series.values[k] for k in refs])) if refs else math.nan
    noise = math.sqrt(max(target * (1 - target), 0.0) / max(series.items, 1)) if len(start) else math.nan
    deviation = max(float(start.std(ddof=1)) if len(start) > 1 else 0.0, noise, 1e-3) if len(start) else math.nan
    begins = refs[-1] + 1 if refs else 0
    lacking = _lacking(series, refs, first)
    drift = None
    if not lacking:
        rest = series.summed[begins:]
        drift = cusum(rest, float(start.mean()), deviation, limit_at(slow[0], len(rest), first, slow[1]), slow[1])
    num = sum(not math.isnan(v) for v in series.values)
    return Watched(
        series=series,
        target=target,
        deviation=deviation,
        first=refs,
        falls=falls[0],
        fell=next((k for k, p in enumerate(falls[0]) if p <= falls[1]), None),
        drift=drift,
        begins=begins,
        more_to_fall=max(0, 2 - num) if refs or num < 2 else 1,
        more_to_drift=lacking,
    )
