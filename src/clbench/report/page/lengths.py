"""Long context by length: buckets of the model's own tokens, and what is left in each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from clbench.report.escape import markdown
from clbench.report.runs.groups import Group, group_runs
from clbench.report.runs.load import RunRecord
from clbench.stats.intervals import ratio_ends
from clbench.stats.paired import paired_difference
from clbench.stats.single import score_interval

SMALLEST = 32  # tokens


@dataclass(frozen=True)
class LengthBucket:
    """Questions of like length.

    Attributes:
        most: Upper end in tokens of the model's own tokenizer, a power of two, before anything was cut out.
        scores: Mean score after 0..T lessons, in [0, 1]; NaN where nothing was due.
        items: Answers behind each, over exams and seeds.
        retention: (R_T / R_0, low, high), a 95 % interval; NaN where row 0 is not better than guessing.
    """

    most: int
    scores: tuple[float, ...]
    items: tuple[int, ...]
    retention: tuple[float, float, float]

    @property
    def name(self) -> str:
        """Return the bucket's name for axes: 64, 512, 4K."""
        return named_bucket(self.most)


def length_buckets(group: Group) -> list[LengthBucket]:
    """Sort all long-context questions of a learner by length, whichever exam they are in.

    A question of n tokens is in the bucket of the smallest power of two that is not below n (4K: 2049 to 4096). What
    did not fit into the model's input lost its middle; it stays in the bucket of its full length.
    """
    found: dict[int, list[_Question]] = {}
    first = group.runs[0]
    guess_rates = {c.name: c.guess_rate for c in first.matrix.columns if c.kind == "long_context"}
    for exam_scores in first.item_scores.exams:
        if exam_scores.exam not in guess_rates or len(exam_scores.lengths) != len(exam_scores.ids):
            continue
        rows = [r.item_scores.named(exam_scores.exam).array(r.matrix.num_lessons + 1) for r in group.runs]
        groups = exam_scores.groups or exam_scores.ids
        for item, length in enumerate(exam_scores.lengths):
            scores = np.array([row[:, item] for row in rows])
            question = _Question(scores, guess_rates[exam_scores.exam], (exam_scores.exam, groups[item]))
            found.setdefault(bucket_of(length), []).append(question)
    return [_bucket(most, found[most]) for most in sorted(found)]


class _Question(NamedTuple):
    """One question: its scores, shape (seeds, rows), the guess rate of its exam, and its (exam, group)."""

    scores: np.ndarray
    guess_rate: float
    group: tuple[str, str]


def named_bucket(most: int) -> str:
    """Return the name of a bucket: its upper end.

    Example:
        >>> named_bucket(512), named_bucket(4096)
        ('512', '4K')
    """
    return f"{most // 1024}K" if most >= 1024 else str(most)


def bucket_of(length: int) -> int:
    """Return the upper end of the bucket that a question of this many tokens is in.

    Example:
        >>> bucket_of(5), bucket_of(2048), bucket_of(2049)
        (32, 2048, 4096)
    """
    return max(SMALLEST, 2 ** math.ceil(math.log2(max(length, 1))))


def _bucket(most: int, questions: Sequence[_Question]) -> LengthBucket:
    """Return a bucket. Seeds repeat a question and add none, and questions of a group are not independent."""
    scores_ISR = np.array([q.scores for q in questions])
    guess_rate = float(np.mean([q.guess_rate for q in questions]))
    answers = (~np.isnan(scores_ISR)).sum(axis=(0, 1))
    per_item = np.where(np.isnan(scores_ISR).any(axis=1), np.nan, scores_ISR.mean(axis=1))
    sums = np.nansum(scores_ISR, axis=(0, 1))
    scores = np.where(answers > 0, sums / np.maximum(answers, 1), np.nan)
    groups = [q.group for q in questions]
    left = (math.nan, math.nan, math.nan)
    if score_interval(per_item[:, 0], groups=groups)[1] > guess_rate and not math.isnan(scores[-1]):
        left = _retention(per_item, groups)
    return LengthBucket(most, tuple(scores.tolist()), tuple(answers.tolist()), left)


def _retention(per_item: np.ndarray, groups: Sequence[tuple[str, str]]) -> tuple[float, float, float]:
    """Return R_T / R_0 of the same questions, with its interval over them."""
    there = ~np.isnan(per_item[:, 0] + per_item[:, -1])
    before, after = per_item[there, 0], per_item[there, -1]
    if not there.any() or not before.mean() > 0:
        return math.nan, math.nan, math.nan
    present = [g for g, t in zip(groups, there, strict=True) if t]

    def holds(ratio: float) -> bool:
        found = paired_difference(ratio * before, after, groups=present)
        return found.low <= 0 <= found.high

    ratio = float(after.mean() / before.mean())
    return ratio, *ratio_ends(holds, ratio, 1 / float(before.mean()))


def length_series(groups: Sequence[Group], untouched: str) -> tuple[list[str], dict[str, list[float]]]:
    """Return the names of the buckets, and curves over them: the untouched model's, then each learner's last scores."""
    found = {g.label: {b.most: b for b in length_buckets(g)} for g in groups}
    places = sorted({most for buckets in found.values() for most in buckets})
    names = {b.most: b.name for buckets in found.values() for b in buckets.values()}
    series = {
        label: [buckets[m].scores[-1] if m in buckets else math.nan for m in places] for label, buckets in found.items()
    }
    first = next(iter(found.values()), {})
    start = [first[m].scores[0] if m in first else math.nan for m in places]
    return [names[m] for m in places], {untouched: start, **series}


def length_rows(group: Group, ends: str = "{low} to {high}") -> list[list[str]]:
    """Return one row of texts per bucket: label, bucket, items, first score, last score, what is left (from `ends`)."""
    rows: list[list[str]] = []
    for bucket in length_buckets(group):
        left, low, high = bucket.retention
        kept = (
            "–"
            if math.isnan(left)
            else f"{100 * left:.0f} % ({ends.format(low=f'{100 * low:.0f}', high=f'{100 * high:.0f}')})"
        )
        scores = [_percent(bucket.scores[0]), _percent(bucket.scores[-1])]
        rows.append([group.label, bucket.name, str(bucket.items[-1]), *scores, kept])
    return rows


def _percent(score: float) -> str:
    return "–" if math.isnan(score) else f"{100 * score:.1f}"


def lengths_table(runs: Sequence[RunRecord]) -> str:
    """Return a Markdown table of long context by length for every learner; empty where none was examined."""
    rows = [row for group in group_runs(runs) for row in length_rows(group)]
    if not rows:
        return ""
    heads = ["learner", "up to tokens", "answers", "untouched", "after the last lesson", "left at the end (95 %)"]
    lines = [f"| {' | '.join(heads)} |", "|---|---:|---:|---:|---:|---:|"]
    return "\n".join(lines + [f"| {' | '.join(map(markdown, row))} |" for row in rows]) + "\n"
