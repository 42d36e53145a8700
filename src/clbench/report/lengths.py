"""Long context by length: buckets of the model's own tokens, and what is left in each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from clbench.report.gather import Group, RunRecord, group_runs
from clbench.report.safe import markdown
from clbench.stats.intervals import ratio_ends
from clbench.stats.paired import paired_difference
from clbench.stats.single import score_interval

SMALLEST = 32  # tokens


@dataclass(frozen=True)
class LengthBucket:
    """Questions of like length.

    Attributes:
        most: Upper end in tokens of the model's own tokenizer, a power of two, before anything was cut out.
        scores: Mean score after 0..T rounds, in [0, 1]; NaN where nothing was due.
        items: Answers behind each, over exams and seeds.
        retention: (R_T / R_0, low, high), a 95 % interval; NaN where row 0 is not above guessing: nothing can be lost.
    """

    most: int
    scores: tuple[float, ...]
    items: tuple[int, ...]
    retention: tuple[float, float, float]

    @property
    def name(self) -> str:
        """For axes: 64, 512, 4K."""
        return named_bucket(self.most)


def length_buckets(group: Group) -> list[LengthBucket]:
    """Sort all long-context questions of a learner by length, whichever exam they are in.

    A question of n tokens is in the bucket of the smallest power of two that is not below n (4K: 2049 to 4096). What
    did not fit into the model's input lost its middle; it stays in the bucket of its full length.
    """
    found: dict[int, list[_Asked]] = {}
    first = group.runs[0]
    chances = {c.name: c.chance for c in first.matrix.columns if c.kind == "long_context"}
    for sheet in first.sheets.sheets:
        if sheet.exam not in chances or len(sheet.lengths) != len(sheet.ids):
            continue
        rows = [r.sheets.named(sheet.exam).array(r.matrix.num_lessons + 1) for r in group.runs]
        belongs = sheet.groups or sheet.ids
        for item, length in enumerate(sheet.lengths):
            scores = np.array([row[:, item] for row in rows])
            asked = _Asked(scores, chances[sheet.exam], (sheet.exam, belongs[item]))
            found.setdefault(bucket_of(length), []).append(asked)
    return [_summed(most, found[most]) for most in sorted(found)]


class _Asked(NamedTuple):
    """One question: its scores, shape (seeds, rows), the chance of its exam, and what it belongs to."""

    scores: np.ndarray
    chance: float
    group: tuple[str, str]


def named_bucket(most: int) -> str:
    """Name a bucket by its upper end.

    Example:
        >>> named_bucket(512), named_bucket(4096)
        ('512', '4K')
    """
    return f"{most // 1024}K" if most >= 1024 else str(most)


def bucket_of(length: int) -> int:
    """Give the upper end of the bucket of a question of so many tokens.

    Example:
        >>> bucket_of(5), bucket_of(2048), bucket_of(2049)
        (32, 2048, 4096)
    """
    return max(SMALLEST, 2 ** math.ceil(math.log2(max(length, 1))))


def _summed(most: int, asked: Sequence[_Asked]) -> LengthBucket:
    """Sum up a bucket: seeds of one question are no further questions, and those of a group stand or fall together."""
    scores_ISR, chance = np.array([a.scores for a in asked]), float(np.mean([a.chance for a in asked]))
    answers = (~np.isnan(scores_ISR)).sum(axis=(0, 1))
    per_item = np.where(np.isnan(scores_ISR).any(axis=1), np.nan, scores_ISR.mean(axis=1))
    sums = np.nansum(scores_ISR, axis=(0, 1))
    scores = np.where(answers > 0, sums / np.maximum(answers, 1), np.nan)
    groups = [a.group for a in asked]
    left = (math.nan, math.nan, math.nan)
    if score_interval(per_item[:, 0], groups=groups)[1] > chance and not math.isnan(scores[-1]):
        left = _retention(per_item, groups)
    return LengthBucket(most, tuple(scores.tolist()), tuple(answers.tolist()), left)


def _retention(per_item: np.ndarray, groups: Sequence[tuple[str, str]]) -> tuple[float, float, float]:
    """Give R_T / R_0 of the same questions, with its interval over them."""
    there = ~np.isnan(per_item[:, 0] + per_item[:, -1])
    before, after = per_item[there, 0], per_item[there, -1]
    if not there.any() or not before.mean() > 0:
        return math.nan, math.nan, math.nan
    kept = [g for g, t in zip(groups, there, strict=True) if t]

    def holds(ratio: float) -> bool:
        found = paired_difference(ratio * before, after, groups=kept)
        return found.low <= 0 <= found.high

    ratio = float(after.mean() / before.mean())
    return ratio, *ratio_ends(holds, ratio, 1 / float(before.mean()))


def length_series(groups: Sequence[Group], untouched: str) -> tuple[list[str], dict[str, list[float]]]:
    """Give the curves over length: names of the buckets, and each learner's last row over them, row 0 first."""
    found = {g.label: {b.most: b for b in length_buckets(g)} for g in groups}
    places = sorted({most for buckets in found.values() for most in buckets})
    names = {b.most: b.name for buckets in found.values() for b in buckets.values()}
    series = {
        label: [buckets[m].scores[-1] if m in buckets else math.nan for m in places] for label, buckets in found.items()
    }
    first = next(iter(found.values()), {})
    start = [first[m].scores[0] if m in first else math.nan for m in places]
    return [names[m] for m in places], {untouched: start, **series}


def length_rows(group: Group) -> list[list[str]]:
    """Give label, bucket, items, first and last score, and what is left, as text."""
    rows: list[list[str]] = []
    for bucket in length_buckets(group):
        left, low, high = bucket.retention
        kept = "–" if math.isnan(left) else f"{100 * left:.0f} % ({100 * low:.0f} to {100 * high:.0f})"
        ends = [_percent(bucket.scores[0]), _percent(bucket.scores[-1])]
        rows.append([group.label, bucket.name, str(bucket.items[-1]), *ends, kept])
    return rows


def _percent(score: float) -> str:
    return "–" if math.isnan(score) else f"{100 * score:.1f}"


def lengths_table(runs: Sequence[RunRecord]) -> str:
    """Give what is left of long context by length for every learner, as Markdown; empty where none was examined."""
    rows = [row for group in group_runs(runs) for row in length_rows(group)]
    if not rows:
        return ""
    heads = ["learner", "up to tokens", "answers", "row 0", "last row", "left at the end (95 %)"]
    lines = [f"| {' | '.join(heads)} |", "|---|---:|---:|---:|---:|---:|"]
    return "\n".join(lines + [f"| {' | '.join(map(markdown, row))} |" for row in rows]) + "\n"
