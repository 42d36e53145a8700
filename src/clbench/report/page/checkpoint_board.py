"""Checkpoints and exams as a table of a leaderboard: ranked by the mean of the exams that they were asked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from clbench.core.baseline import Baseline, BaselineExam
from clbench.core.keys import canonical, digest
from clbench.report.decide.side_by_side import MEAN, SIGNIFICANT, Cell, paired, side_by_side
from clbench.report.decide.side_by_side_text import side_by_side_page
from clbench.report.page.board import Board, BoardRow
from clbench.report.runs.checkpoints import Checkpoint
from clbench.report.tables.table import printed
from clbench.stats.exam_means import mean_p
from clbench.stats.paired import holm

NOTE = (
    "Checkpoints that were examined with no stream (clbench exam): scores in percent, with 95 % intervals over items. "
    "Rows are ranked by the mean of their exams, each of which counts the same, among rows that were asked the same "
    "exams with the same items and scorers. Ranks are those that paired permutation tests leave open, after Holm's "
    "correction over all pairs of such rows. Not verified: that these weights gave these answers."
)
HEADS = (
    ("rank", "ranks that the tests leave open"),
    ("checkpoint", "its name"),
    ("asked", "number of exams, and the beginning of the digest of their items and scorers"),
    ("read in", "precision of the weights, and most questions of an exam"),
    (MEAN, "mean of all its exams, in percent, with its interval"),
)
LAST = (("date", "day on which it was examined"), ("clbench", "version that examined it"))


@dataclass(frozen=True)
class Entry:
    """A checkpoint, what it was asked, its scores by exam, and the ranks that tests leave open."""

    checkpoint: Checkpoint
    asked: str
    cells: dict[str, Cell]
    mean: Cell
    ranks: tuple[int, int] = (1, 1)


def checkpoint_board(checkpoints: Sequence[Checkpoint]) -> Board | None:
    """Return the board of checkpoints, those of the same exams together and the best first; None for no checkpoint."""
    if not checkpoints:
        return None
    groups: dict[str, list[Entry]] = {}
    for checkpoint in checkpoints:
        entry = _entry(checkpoint)
        groups.setdefault(entry.asked, []).append(entry)
    rows: list[Entry] = []
    for _, group in sorted(groups.items(), key=lambda x: (-len(x[1]), x[0])):
        ranks = _ranks(group)
        ranked = [Entry(s.checkpoint, s.asked, s.cells, s.mean, r) for s, r in zip(group, ranks, strict=True)]
        rows += sorted(ranked, key=lambda s: (s.ranks, -s.mean.score, s.checkpoint.label))
    exams = list(dict.fromkeys(name for entry in rows for name in entry.cells))
    heads = (*HEADS, *((name, "score, in percent, with its interval") for name in exams), *LAST)
    return Board("checkpoints", "Checkpoints and exams", NOTE, heads, [_row(entry, rows, exams) for entry in rows])


def _entry(checkpoint: Checkpoint) -> Entry:
    found = side_by_side([checkpoint])
    cells = {row.exam: row.cells[0] for row in found.rows}
    mean = found.mean.cells[0] if found.mean is not None else next(iter(cells.values()))
    return Entry(checkpoint, _asked(checkpoint.found), cells, mean)


def _asked(found: Baseline) -> str:
    """Return a digest of what makes scores comparable: exams, items, questions and scorers."""
    return digest(sorted(map(_asked_of, found.exams)))[:6]


def _asked_of(exam: BaselineExam) -> list[str]:
    exam_scores = exam.scores
    return [
        exam_scores.exam,
        exam_scores.digest,
        canonical(exam_scores.ids),
        canonical(exam_scores.scorer),
        str(exam_scores.version),
    ]


def _ranks(group: Sequence[Entry]) -> list[tuple[int, int]]:
    """Return the ranks that the tests leave open for each of some rows, which were asked the same."""
    pairs = list(combinations(range(len(group)), 2))
    adjusted = holm([_p(group[i].checkpoint, group[j].checkpoint) for i, j in pairs])
    better, worse = [0] * len(group), [0] * len(group)  # how many others are better, or worse
    for (i, j), p in zip(pairs, adjusted, strict=True):
        if p <= SIGNIFICANT:
            high, low = (i, j) if group[i].mean.score > group[j].mean.score else (j, i)
            better[low] += 1
            worse[high] += 1
    return [(1 + b, len(group) - w) for b, w in zip(better, worse, strict=True)]


def _p(one: Checkpoint, two: Checkpoint) -> float:
    others = {e.scores.exam: e for e in two.found.exams}
    pairs = [paired(exam, others[exam.scores.exam]) for exam in one.found.exams]
    there = [pair for pair in pairs if pair.one.items]
    return mean_p(there) if there else math.nan


def _row(entry: Entry, rows: Sequence[Entry], exams: Sequence[str]) -> BoardRow:
    side = entry.checkpoint
    found = side.found
    best = [other.checkpoint for other in rows if other.asked == entry.asked and other is not entry][:1]
    low, high = entry.ranks
    why = () if not math.isnan(entry.mean.score) else ("an exam has no graded item",)
    most = "all items" if found.items is None else f"{found.items} items"
    cells: list[tuple[str, float | None]] = [
        ("–" if why else str(low) if low == high else f"{low}–{high}", math.inf if why else low + high / 1000),
        (side.label, None),
        (f"{len(entry.cells)} exams, {entry.asked}", None),
        (f"{found.model.dtype}, {most}", None),
        _score(entry.mean),
        *(_score(entry.cells.get(name, Cell())) for name in exams),
        (found.made[:10] or "–", None),
        (found.clbench or "–", None),
    ]
    page = side_by_side_page(side_by_side([side, *best]), side.label)
    name = f"checkpoint-{_safe(side.label)}-{digest([found.seal, side.label])[:8]}"
    details = (f"{found.model.name}, identity {found.identity[:16]}, seal {found.seal[:16]}",)
    return BoardRow(name, tuple(cells), why, details, page, {"record.json": canonical(found) + "\n"}, _values(entry))


def _score(cell: Cell) -> tuple[str, float]:
    if math.isnan(cell.score):
        return "–", -1.0
    ends = "" if math.isnan(cell.low) else f" ({printed(cell.low, 'score')}–{printed(cell.high, 'score')})"
    return f"{printed(cell.score, 'score')}{ends}", cell.score


def _safe(name: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name)[:60]


def _values(entry: Entry) -> dict[str, Any]:
    found = entry.checkpoint.found
    scores = {name: None if math.isnan(c.score) else c.score for name, c in entry.cells.items()}
    return {
        "checkpoint": entry.checkpoint.label,
        "model": found.model.model_dump(mode="json"),
        "identity": found.identity,
        "seal": found.seal,
        "asked": entry.asked,
        "ranks": entry.ranks,
        "mean": None if math.isnan(entry.mean.score) else entry.mean.score,
        "scores": scores,
        "made": found.made,
    }
