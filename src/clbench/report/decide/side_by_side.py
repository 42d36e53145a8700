"""Checkpoints side by side: what each scored in every exam, and how it differs from the first over the same items."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from clbench.core.baseline import BaselineExam, differing
from clbench.core.errors import SpecError, did_you_mean
from clbench.core.graded import GradedItems
from clbench.report.decide.compare import ExamChange, Flip, unlike_scores
from clbench.report.runs.checkpoints import Checkpoint, question_texts
from clbench.report.runs.exam_items import marked_rows
from clbench.stats.exam_means import ExamPair, mean_difference, mean_interval
from clbench.stats.paired import Difference, discordant, holm, paired_difference, paired_permutation
from clbench.stats.single import score_interval

MEAN = "mean of exams"
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Cell:
    """One exam of one checkpoint.

    Attributes:
        score, low, high: The score by the exam's own rule and its 95 % interval; NaN where nothing was graded.
        items: Items that were graded.
        ungraded, declined, cut: Items without a grade, without an answer (these count 0), and cut to fit.
        change: How it differs from the first checkpoint; None for that itself, and where they cannot be compared.
        why: Why there is no score, or no comparison; else empty.
    """

    score: float = math.nan
    low: float = math.nan
    high: float = math.nan
    items: int = 0
    ungraded: int = 0
    declined: int = 0
    cut: int = 0
    change: ExamChange | None = None
    why: str = ""


@dataclass(frozen=True)
class ExamRow:
    """One exam: a cell for every checkpoint, in their order."""

    exam: str
    ability: str
    guess_rate: float
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class SideBySide:
    """Checkpoints and exams.

    Attributes:
        checkpoints: The columns; all others are compared with the first.
        rows: The exams.
        mean: The mean of the exams that were asked of all, alike, if there are two or more.
        in_mean: Names of these exams.
        differs: Checkpoint -> (what, of the first, of this one) where they are asked differently or elsewhere.
        flips: Items that were right with one and wrong with the other, where an exam differs significantly.
    """

    checkpoints: tuple[Checkpoint, ...]
    rows: tuple[ExamRow, ...]
    mean: ExamRow | None
    in_mean: tuple[str, ...]
    differs: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...]
    flips: tuple[tuple[str, Flip], ...] = ()

    @property
    def all(self) -> tuple[ExamRow, ...]:
        """Return the rows, and that of the mean."""
        return self.rows if self.mean is None else (*self.rows, self.mean)


def side_by_side(checkpoints: Sequence[Checkpoint], against: str | None = None, most_flips: int = 2) -> SideBySide:
    """Put checkpoints side by side and compare all with one of them.

    Args:
        checkpoints: At least one, with labels of their own (`labelled`).
        against: Label or name of the one that others are compared with; None is the first.
        most_flips: Items to show of each exam that differs, in each direction.

    Raises:
        SpecError: There is no checkpoint of that label or name.
    """
    sides = _first_first(checkpoints, against)
    found = [{e.scores.exam: e for e in c.found.exams} for c in sides]
    names = dict.fromkeys(name for c in sides for name in (*(e.scores.exam for e in c.found.exams), *c.missing))
    rows = [_row(name, sides, [f.get(name) for f in found]) for name in names]
    alike = [r.exam for r in rows if all(c.items and (not n or c.change) for n, c in enumerate(r.cells))]
    mean = _mean([r for r in rows if r.exam in alike], found) if len(alike) > 1 else None
    rows = _corrected([*rows, mean] if mean else rows)
    whole = SideBySide(
        checkpoints=tuple(sides),
        rows=tuple(rows[:-1] if mean else rows),
        mean=rows[-1] if mean else None,
        in_mean=tuple(alike if mean else ()),
        differs=tuple((c.label, _differs(sides[0], c)) for c in sides[1:] if _differs(sides[0], c)),
    )
    return replace(whole, flips=tuple(_flips(whole, most_flips)))


def _first_first(checkpoints: Sequence[Checkpoint], against: str | None) -> list[Checkpoint]:
    if against is None:
        return list(checkpoints)
    named = [c for c in checkpoints if against in (c.label, c.found.model.name)]
    if len(named) != 1:
        what = f"{len(named)} checkpoints are called {against!r}" if named else f"there is no checkpoint {against!r}"
        mend = did_you_mean(against, [c.label for c in checkpoints])
        raise SpecError(what, where="--against", mend=mend)
    return [named[0], *(c for c in checkpoints if c is not named[0])]


def _differs(first: Checkpoint, other: Checkpoint) -> tuple[tuple[str, str, str], ...]:
    one, two = first.found, other.found
    found = [*differing(one.parts, two.parts), *differing(one.machine, two.machine)]
    if not found and one.identity == two.identity:
        found = [("nothing", "the same weights, asked in the same way", "the same")]
    return tuple(found)


def _row(name: str, sides: Sequence[Checkpoint], found: Sequence[BaselineExam | None]) -> ExamRow:
    known = next((e for e in found if e is not None), None)
    cells = tuple(
        Cell(why=side.missing.get(name, "not asked")) if exam is None else _cell(exam, None if not n else found[0], n)
        for n, (side, exam) in enumerate(zip(sides, found, strict=True))
    )
    if known is None:
        return ExamRow(name, "", math.nan, cells)
    return ExamRow(name, known.ability or known.kind, known.guess_rate, cells)


def _items(exam: BaselineExam) -> GradedItems:
    return marked_rows([exam.scores.rows[0]], exam.scores.scorer.name)


def _cell(exam: BaselineExam, first: BaselineExam | None, place: int) -> Cell:
    """Return the cell of an exam, compared with that of the first checkpoint, which has the place 0."""
    side, exam_scores = _items(exam), exam.scores
    row, values = exam_scores.rows[0], exam_scores.rows[0].values()
    score, low, high = score_interval(side, groups=exam_scores.groups or None)
    graded = int(np.isfinite(values).sum())
    cell = Cell(score, low, high, graded, len(values) - graded, len(row.declined), sum(row.cuts[:1]))
    if not graded:
        return replace(cell, why="no item was graded")
    if not place:
        return cell
    if first is None:
        return replace(cell, why="the first was not asked")
    if why := next(unlike_scores(first.scores, exam_scores), ""):
        return replace(cell, why=why.partition(": ")[2])
    change = _change(first, exam)
    return replace(cell, change=change, why="" if change else "no item was graded of both")


def paired(one: BaselineExam, two: BaselineExam) -> ExamPair:
    """Return the items of an exam that were graded of both sides."""
    before, after = _items(one), _items(two)
    both = before.known & after.known
    groups = [one.scores.groups[i] for i in np.flatnonzero(both)] if one.scores.groups else None
    return ExamPair(before.only(both), after.only(both), groups)


def _change(one: BaselineExam, two: BaselineExam) -> ExamChange | None:
    """Return how two differ in an exam; None if no item was graded of both. p is not yet corrected."""
    pair = paired(one, two)
    a, b, groups = pair
    if not a.items:
        return None
    # The very same answers in the store cannot differ, whatever other items would show.
    keys = [exam.scores.rows[0].answers_key for exam in (one, two)]
    same = keys[0] == keys[1] != "" and bool((a.means == b.means).all())
    p = paired_permutation(a, b, groups=groups)
    return ExamChange(
        exam=one.scores.exam,
        one=a.value,
        two=b.value,
        change=Difference(0.0, 0.0, 0.0, a.items) if same else paired_difference(a, b, groups=groups),
        p=p,
        adjusted=p,
        gained=int((b.means > a.means).sum()),
        lost=int((b.means < a.means).sum()),
        discordant=discordant(a, b, groups=groups),
    )


def _mean(rows: Sequence[ExamRow], found: Sequence[dict[str, BaselineExam]]) -> ExamRow:
    """Return the row of the mean: every exam counts the same. Only items that both sides have count in a change."""
    cells: list[Cell] = []
    for place, exams in enumerate(found):
        mine = [row.cells[place] for row in rows]
        ends = mean_interval([(c.score, c.low, c.high) for c in mine])
        cell = Cell(*ends, items=sum(c.items for c in mine))
        if place:
            pairs = [paired(found[0][row.exam], exams[row.exam]) for row in rows]
            change, p = mean_difference(pairs)
            one = sum(pair.one.value for pair in pairs) / len(pairs)
            two = sum(pair.two.value for pair in pairs) / len(pairs)
            moved = [_moved(pair) for pair in pairs]
            gained, lost = (sum(each[k] for each in moved) for k in (0, 1))
            cell = replace(cell, change=ExamChange(MEAN, one, two, change, p, p, gained, lost))
        cells.append(cell)
    return ExamRow(MEAN, "", math.nan, tuple(cells))


def _moved(pair: ExamPair) -> tuple[int, int]:
    return int((pair.two.means > pair.one.means).sum()), int((pair.two.means < pair.one.means).sum())


def _corrected(rows: Sequence[ExamRow]) -> list[ExamRow]:
    """Return the rows with p-values after Holm's correction over all of the table."""
    changes = [c.change for row in rows for c in row.cells if c.change is not None]
    adjusted = iter(holm([c.p for c in changes]))
    return [
        replace(row, cells=tuple(_with_p(c, next(adjusted)) if c.change is not None else c for c in row.cells))
        for row in rows
    ]


def _with_p(cell: Cell, adjusted: float) -> Cell:
    return cell if cell.change is None else replace(cell, change=replace(cell.change, adjusted=adjusted))


def _flips(found: SideBySide, most: int) -> Iterator[tuple[str, Flip]]:
    """Yield (label, item) for items that flipped, those that fell first, of the exams that differ significantly."""
    first = found.checkpoints[0]
    for row in found.rows:
        for side, cell in zip(found.checkpoints, row.cells, strict=True):
            if cell.change is not None and cell.change.adjusted <= SIGNIFICANT:
                yield from ((side.label, flip) for flip in _flips_of(first, side, row.exam, most))


def _flips_of(first: Checkpoint, side: Checkpoint, exam: str, most: int) -> Iterator[Flip]:
    one, two = (next(e for e in c.found.exams if e.scores.exam == exam) for c in (first, side))
    change = two.scores.rows[0].values() - one.scores.rows[0].values()
    order = [int(i) for i in np.argsort(change, kind="stable")]
    chosen = [i for i in order if change[i] < 0][:most] + [i for i in order[::-1] if change[i] > 0][:most]
    texts = question_texts(side, exam) or question_texts(first, exam)
    for i in chosen:
        question, expected = texts[i] if texts else ("", ())
        said = [e.answers[i] if i < len(e.answers) else "" for e in (one, two)]
        yield Flip(exam, one.scores.ids[i], bool(change[i] > 0), question, expected, said[0], said[1])
