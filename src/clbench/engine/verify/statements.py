"""Does what a result tells of its own making fit together: rows, costs and provenance, against its cells."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from clbench.core.graded import GradedItems
from clbench.core.item_scores import ExamScores
from clbench.core.results import Costs
from clbench.engine.provenance import one_of_all
from clbench.engine.verify.claim import Claim
from clbench.engine.verify.records import known_scorer

BY_LESSON = ("train_s_by_lesson", "kept_bytes_by_lesson", "parameters_by_lesson")
LATER_BY_LESSON = (
    "buffer_bytes_by_lesson",
    "buffer_examples_by_lesson",
    "cut_by_lesson",
    "trained_by_lesson",
    "unreached_by_lesson",
)  # results may be older than these
ROUNDED_S = 1e-8  # an answer's seconds are written with nine digits
MOST_CORES = 4096
MOST = 2**62  # of anything that is counted


def untold(claim: Claim) -> list[str]:
    """Say what does not fit together; see `clbench.engine.verify.records.problems` for cells and figures."""
    found = [text for exam_scores in claim.item_scores.exams for text in _exam_scores(exam_scores)]
    return [*found, *_finite(claim.costs), *_by_lesson(claim.costs), *_exams(claim), *_provenance(claim)]


def _exam_scores(exam_scores: ExamScores) -> Iterator[str]:
    for name, values in (("groups", exam_scores.groups), ("lengths", exam_scores.lengths)):
        if values and len(values) != len(exam_scores.ids):
            yield f"{exam_scores.exam}: {len(values)} {name} for {len(exam_scores.ids)} items"
    if not all(0 <= length < MOST for length in exam_scores.lengths):
        yield f"{exam_scores.exam}: a question of a length that no text has"
    for lesson, row in exam_scores.rows.items():
        if why := _row(row, len(exam_scores.ids), exam_scores):
            yield f"{exam_scores.exam}, row {lesson}: {why}"


def _row(row: GradedItems, num: int, exam_scores: ExamScores) -> str:
    if list(row.declined) != sorted(set(row.declined) & set(range(num))):
        return "the items that were not answered are not places in order, each once"
    for name, counts, most in (("reasoning", row.reasoning, 2), ("cuts", row.cuts, 3)):
        if counts and (len(counts) != most or min(counts) < 0):
            return f"{name} are not {most} counts"
    if row.parts and known_scorer(exam_scores.scorer.name).combine is None:
        return f"parts of scores, which {exam_scores.scorer.name} does not give"
    return ""


def _finite(costs: Costs) -> Iterator[str]:
    for name, value in costs.model_dump(exclude={"unknown", *costs.unknown}).items():
        numbers = _numbers(value)
        if not all(number < MOST for number in numbers):  # NaN is less than nothing
            yield f"costs: {name} is not a number that was measured"
        elif any(number < 0 for number in numbers):
            yield f"costs: {name} is negative"
    if costs.prices:
        yield "costs: prices are those of whoever reads a result, and stand in none"
    if costs.forward_tokens > costs.train_tokens:
        yield f"costs: {costs.forward_tokens} tokens without a gradient among {costs.train_tokens}"


def _numbers(value: Any) -> list[float]:
    if isinstance(value, (int, float)):
        return [value]
    parts: Sequence[Any] = list(value.values()) if isinstance(value, Mapping) else value or ()
    return [number for part in parts for number in _numbers(part)]


def _by_lesson(costs: Costs) -> Iterator[str]:
    told = costs.model_dump()
    lessons = len(costs.train_s_by_lesson)
    for name in (*BY_LESSON, *LATER_BY_LESSON):
        if name not in costs.unknown and len(told[name]) != lessons and (told[name] or name in BY_LESSON):
            yield f"costs: {name} has {len(told[name])} values for {lessons} lessons"
    if costs.buffer_bytes_by_lesson and costs.buffer_bytes_by_lesson[-1] != costs.buffer_bytes:
        yield f"costs: buffer_bytes is {costs.buffer_bytes}, after the last lesson {costs.buffer_bytes_by_lesson[-1]}"
    for lesson, (stored, kept) in enumerate(
        zip(costs.buffer_bytes_by_lesson, costs.kept_bytes_by_lesson, strict=False), 1
    ):
        if stored > kept:
            yield f"costs: {stored} bytes of examples among {kept} that are kept after lesson {lesson}"
    if costs.parameters_by_lesson and costs.added_parameters > costs.parameters_by_lesson[-1]:
        yield f"costs: {costs.added_parameters} parameters added, {costs.parameters_by_lesson[-1]} in the whole model"


def _exams(claim: Claim) -> Iterator[str]:
    """Compare the time of exams, cell by cell, with their whole, and reasoning with that of the rows."""
    costs, answers = claim.costs, (claim.matrix.n + claim.matrix.ungraded).flatten()
    asked = answers[answers > 0].tolist()
    if len(costs.exam_latency_s) != len(asked):
        yield f"costs: exam_latency_s has {len(costs.exam_latency_s)} values for {len(asked)} cells"
    else:
        seconds = sum(each * num for each, num in zip(costs.exam_latency_s, asked, strict=True))
        if not abs(seconds - costs.exam_s) <= ROUNDED_S * sum(asked):
            yield f"costs: exam_s is {costs.exam_s:.6f}, its cells took {seconds:.6f}"
    rows = itertools.chain.from_iterable(exam_scores.rows.values() for exam_scores in claim.item_scores.exams)
    reasoning = sum(row.reasoning[0] for row in rows if row.reasoning)
    if costs.reasoning_tokens != reasoning:
        yield f"costs: {costs.reasoning_tokens} tokens of reasoning, the rows have {reasoning}"


def _provenance(claim: Claim) -> Iterator[str]:
    told = claim.provenance
    if not 1 <= told.get("cores", 1) <= MOST_CORES or len(told.get("gpus", ())) > MOST_CORES:
        yield "provenance: no machine has so many cores or accelerators"
    if "made" in told and not _is_past(told["made"]):
        yield f"provenance: made at {told.get('made')!r}, which is not a time in the past"
    if "stages" not in told:  # an older record, of which reports say so
        return
    whole = [
        isinstance(s, dict) and isinstance(s.get("origin"), dict) and _is_num(s.get("made")) for s in told["stages"]
    ]
    if not all(whole) or not whole:
        yield "provenance: its stages do not say what they were made by"
        return
    made = sum(stage["made"] for stage in told["stages"])
    cells = int(((claim.matrix.n + claim.matrix.ungraded) > 0).sum())
    if made != (due := 2 * cells + len(claim.costs.train_s_by_lesson)):
        yield f"provenance: {made} stages, where {cells} cells and its lessons make {due}"
    origins = [stage["origin"] for stage in told["stages"]]
    for name, part in (("git", "code"), ("packages", "packages")):
        if (told.get(name) or None) != (one_of_all(o.get(part) for o in origins) or None):
            yield f"provenance: its {name} is not that of its stages"


def _is_num(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_past(text: str) -> bool:
    try:
        return datetime.fromisoformat(text) <= datetime.now(UTC) + timedelta(days=1)
    except (ValueError, TypeError):  # no time, or one of no zone
        return False
