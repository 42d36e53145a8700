"""Does a result follow from its own records? Every cell and every figure is computed again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from clbench.core import plugins
from clbench.core.budget import due_columns
from clbench.core.errors import UserError
from clbench.core.graded import GradedItems
from clbench.core.item_scores import ExampleItems, ExamScores, ItemScores, are_rates_of
from clbench.core.matrix import Matrix
from clbench.core.protocols import ScorerPlugin
from clbench.core.results import Costs
from clbench.core.spec import RunSpec
from clbench.core.stream_summary import StreamSummary
from clbench.core.types import Grade
from clbench.engine.grade import combine_grades
from clbench.metrics import compute

TOLERANCE = 1e-9


def problems(
    spec: RunSpec, matrix: Matrix, item_scores: ItemScores, scores: Mapping[str, float], costs: Costs
) -> list[str]:
    """Say what does not fit together in a result; empty where all of it follows from the item records.

    Cells are made again from the items by the scorers' own rules, figures from the cells and the costs, costs from
    their parts. Whether the items themselves were answered as recorded only running the spec again can tell.
    """
    found = [*_columns(matrix, item_scores), *_due(spec, matrix)]
    for place, column in enumerate(matrix.columns):
        exam_scores = next((s for s in item_scores.exams if s.exam == column.name), None)
        if exam_scores is not None:
            found += _cells(matrix, place, exam_scores)
    found += _figures(spec, matrix, scores, costs)
    return [*found, *_meters(costs)]


def strays(matrix: Matrix, item_scores: ItemScores, summary: StreamSummary, examples: ExampleItems) -> list[str]:
    """Say where the stream's summary and the items shown in full are of another result than the matrix."""
    return [*_stream(matrix, summary), *_shown(item_scores, examples)]


def _stream(matrix: Matrix, summary: StreamSummary) -> Iterator[str]:
    """Compare what is taught when: moving a task's lesson would move its diagonal, and with it every figure."""
    if len(summary.lessons) != matrix.num_lessons:
        yield f"the stream has {len(summary.lessons)} lessons, the matrix {matrix.num_lessons}"
    own = [c for c in matrix.columns if c.kind == "task"]
    if tuple(c.name for c in own) != summary.tasks:
        yield "the own tasks of the matrix are not those of the stream"
        return
    if len(summary.questions) != len(own):
        yield f"the stream has {len(own)} tasks, and counts the questions of {len(summary.questions)}"
        return
    for column, questions in zip(own, summary.questions, strict=True):
        taught = next((r.lesson for r in summary.lessons if column.name in r.teaches), None)
        if column.taught != taught:
            yield f"{column.name}: taught in lesson {column.taught} by the matrix, {taught} by the stream"
        if column.size > questions:
            yield f"{column.name}: {column.size} questions in the matrix, {questions} in the stream"


def _columns(matrix: Matrix, item_scores: ItemScores) -> Iterator[str]:
    names = [s.exam for s in item_scores.exams]
    if list(matrix.exams) != names:
        differ = sorted(set(names) ^ set(matrix.exams)) or "their order"
        yield f"the exams of the matrix and of the items differ: {differ}"
    for column, exam_scores in zip(matrix.columns, item_scores.exams, strict=False):
        if column.size != len(exam_scores.ids):
            yield f"{column.name}: {column.size} questions in the matrix, {len(exam_scores.ids)} items"
        if len(set(exam_scores.ids)) < len(exam_scores.ids):
            yield f"{column.name}: an item is there twice"
        rates = exam_scores.guess_rates
        if rates and (len(rates) != len(exam_scores.ids) or not are_rates_of(rates, column.guess_rate)):
            yield f"{column.name}: the guess rates of its items do not give that of the matrix"
        if any(lesson > matrix.num_lessons for lesson in exam_scores.rows):
            yield f"{column.name}: rows beyond the last lesson"


def _due(spec: RunSpec, matrix: Matrix) -> Iterator[str]:
    """Say which cells are due by the spec's budget and not there: a low one may have been left out."""
    for lesson in range(matrix.num_lessons + 1):
        for place in due_columns(matrix.columns, lesson, matrix.num_lessons, spec.budget):
            if math.isnan(matrix.values[lesson, place]) and not matrix.ungraded[lesson, place]:
                yield f"row {lesson}, {matrix.exams[place]}: due and missing"


def _cells(matrix: Matrix, place: int, exam_scores: ExamScores) -> Iterator[str]:
    for lesson in range(matrix.num_lessons + 1):
        where = f"row {lesson}, {exam_scores.exam}"
        row = exam_scores.rows.get(lesson)
        if row is None:
            if matrix.n[lesson, place] or not math.isnan(matrix.values[lesson, place]):
                yield f"{where}: a score without items"
            continue
        if row.items != len(exam_scores.ids) or (row.parts and len(row.parts) != len(exam_scores.ids)):
            yield f"{where}: {row.items} scores for {len(exam_scores.ids)} items"
            continue
        if any(row.values()[place] > 0 for place in row.declined if place < len(exam_scores.ids)):
            yield f"{where}: an item that was not answered has a score"
        if any(not 0 <= value <= 1 for value in row.values() if not math.isnan(value)):
            yield f"{where}: scores outside of 0 to 1"
        try:
            score, graded = _again(exam_scores, row)
        except UserError as error:
            yield f"{where}: {error.what}"
            continue
        counts = (int(matrix.n[lesson, place]), int(matrix.ungraded[lesson, place]))
        if counts != (graded, len(exam_scores.ids) - graded):
            yield f"{where}: {counts[0]} marked and {counts[1]} unmarked, the items say {graded}"
        if not _same(float(matrix.values[lesson, place]), score):
            yield f"{where}: {matrix.values[lesson, place]:.6f}, the items give {score:.6f}"


def _again(exam_scores: ExamScores, row: GradedItems) -> tuple[float, int]:
    """Return score and number of marked items by the scorer's rule."""
    values = row.values().tolist()
    grades = [
        Grade(
            example_id=name,
            score=None if math.isnan(value) else value,
            parts=row.parts[i] if row.parts else (),
        )
        for i, (name, value) in enumerate(zip(exam_scores.ids, values, strict=True))
    ]
    score = combine_grades(grades, known_scorer(exam_scores.scorer.name))
    num = sum(g.score is not None and place not in row.declined for place, g in enumerate(grades))
    return math.nan if score is None else score, num


def known_scorer(name: str) -> ScorerPlugin:
    """Return a scorer that is installed here, by its name: a result must not choose what is imported.

    Raises:
        SpecError: There is none of that name.
    """
    found = plugins.load_known("scorer", name, "PLUGIN", where="scorer.name")
    assert isinstance(found, ScorerPlugin), "the contract suite opens all that ship"
    return found


def _figures(spec: RunSpec, matrix: Matrix, scores: Mapping[str, float], costs: Costs) -> Iterator[str]:
    try:
        again = compute(spec.metrics, matrix, costs, {})
    except UserError as error:
        yield error.what
        return
    for name, value in again.items():
        if name not in scores:
            yield f"figure {name}: asked for and missing"
        elif not _same(scores[name], value):
            yield f"figure {name}: {scores[name]:.6f}, the records give {value:.6f}"
    for name in scores.keys() - again.keys():
        yield f"figure {name}: the spec does not ask for it"


def _meters(costs: Costs) -> Iterator[str]:
    if costs.train_s_by_lesson and not _same(sum(costs.train_s_by_lesson), costs.train_s):
        yield f"costs: train_s is {costs.train_s:.3f}, its lessons took {sum(costs.train_s_by_lesson):.3f}"
    if costs.kept_bytes_by_lesson and costs.kept_bytes_by_lesson[-1] != costs.kept_bytes:
        yield f"costs: kept_bytes is {costs.kept_bytes}, after the last lesson {costs.kept_bytes_by_lesson[-1]}"
    parts = costs.buffer_bytes + costs.state_bytes + costs.added_bytes
    if costs.buffer_bytes_by_lesson and parts != costs.kept_bytes:  # results without that cost are older
        yield f"costs: kept_bytes is {costs.kept_bytes}, its parts are {parts}"


def _shown(item_scores: ItemScores, examples: ExampleItems) -> Iterator[str]:
    found = {s.exam: s for s in item_scores.exams}
    for item in examples.items:
        exam_scores = found.get(item.exam)
        if exam_scores is None or item.id not in exam_scores.ids:
            yield f"examples: {item.exam} has no item {item.id}"
            continue
        place = exam_scores.ids.index(item.id)
        for lesson, said in item.answers.items():
            row = exam_scores.rows.get(lesson)
            score = math.nan if said.score is None else said.score
            if row is None or place >= row.items or not _same(float(row.values()[place]), score):
                yield f"examples: {item.exam} {item.id}, row {lesson}: its score is not that of the items"


def _same(one: float, two: float) -> bool:
    return (math.isnan(one) and math.isnan(two)) or abs(one - two) <= TOLERANCE * max(1.0, abs(one), abs(two))
