"""Long context by length: buckets of the model's own tokens, and what is left in each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clbench.report.gather import Group, RunRecord, group_runs
from clbench.report.safe import markdown
from clbench.stats.intervals import risk_ratio, wilson

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
    found: dict[int, list[tuple[np.ndarray, float]]] = {}
    for run in group.runs:
        chances = {c.name: c.chance for c in run.matrix.columns if c.kind == "long_context"}
        for sheet in run.sheets.sheets:
            if sheet.exam not in chances or len(sheet.lengths) != len(sheet.ids):
                continue
            scores = sheet.array(run.matrix.num_lessons + 1)
            for item, length in enumerate(sheet.lengths):
                found.setdefault(bucket_of(length), []).append((scores[:, item], chances[sheet.exam]))
    return [_summed(most, found[most]) for most in sorted(found)]


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


def _summed(most: int, asked: Sequence[tuple[np.ndarray, float]]) -> LengthBucket:
    scores_IR, chance = np.array([scores for scores, _ in asked]), float(np.mean([c for _, c in asked]))
    items = (~np.isnan(scores_IR)).sum(axis=0)
    sums = np.nansum(scores_IR, axis=0)
    scores = np.where(items > 0, sums / np.maximum(items, 1), np.nan)
    left = (math.nan, math.nan, math.nan)
    above, _ = wilson(None if math.isnan(scores[0]) else float(scores[0]), int(items[0]))
    if above is not None and above > chance:
        left = risk_ratio(float(scores[-1]), int(items[-1]), float(scores[0]), int(items[0]))
    return LengthBucket(most, tuple(scores.tolist()), tuple(items.tolist()), left)


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
