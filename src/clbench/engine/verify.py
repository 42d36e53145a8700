"""Does a result follow from its own records? Every cell and every figure is computed again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from clbench.core import plugins
from clbench.core.budget import due_columns
from clbench.core.errors import UserError
from clbench.core.matrix import Matrix
from clbench.core.outline import Outline
from clbench.core.protocols import ScorerPlugin
from clbench.core.sheets import Row, Sheet, Sheets, Showcase
from clbench.core.spec import RunSpec
from clbench.core.types import Grade, Meters
from clbench.engine.mark import combined
from clbench.metrics import compute

TOLERANCE = 1e-9


def problems(spec: RunSpec, matrix: Matrix, sheets: Sheets, scores: Mapping[str, float], meters: Meters) -> list[str]:
    """Say what does not fit together in a result; empty where all of it follows from the item records.

    Cells are made again from the items by the scorers' own rules, figures from the cells and the meters, meters from
    their parts. Whether the items themselves were answered as recorded only running the spec again can tell.
    """
    found = [*_columns(matrix, sheets), *_due(spec, matrix)]
    for place, column in enumerate(matrix.columns):
        sheet = next((s for s in sheets.sheets if s.exam == column.name), None)
        if sheet is not None:
            found += _cells(matrix, place, sheet)
    found += _figures(spec, matrix, scores, meters)
    return [*found, *_meters(meters)]


def strays(matrix: Matrix, sheets: Sheets, outline: Outline, showcase: Showcase) -> list[str]:
    """Say where the stream's outline and the items shown in full are of another result than the matrix."""
    return [*_stream(matrix, outline), *_shown(sheets, showcase)]


def _stream(matrix: Matrix, outline: Outline) -> Iterator[str]:
    """Compare what is taught when: moving a task's lesson would move its diagonal, and with it every figure."""
    if len(outline.rounds) != matrix.num_lessons:
        yield f"the stream has {len(outline.rounds)} rounds, the matrix {matrix.num_lessons} lessons"
    own = [c for c in matrix.columns if c.kind == "own"]
    if tuple(c.name for c in own) != outline.tasks:
        yield "the own tasks of the matrix are not those of the stream"
        return
    if len(outline.questions) != len(own):
        yield f"the stream has {len(own)} tasks, and counts the questions of {len(outline.questions)}"
        return
    for column, questions in zip(own, outline.questions, strict=True):
        taught = next((r.step for r in outline.rounds if column.name in r.teaches), None)
        if column.taught != taught:
            yield f"{column.name}: taught in lesson {column.taught} by the matrix, {taught} by the stream"
        if column.size > questions:
            yield f"{column.name}: {column.size} questions in the matrix, {questions} in the stream"


def _columns(matrix: Matrix, sheets: Sheets) -> Iterator[str]:
    names = [s.exam for s in sheets.sheets]
    if list(matrix.exams) != names:
        differ = sorted(set(names) ^ set(matrix.exams)) or "their order"
        yield f"the exams of the matrix and of the items differ: {differ}"
    for column, sheet in zip(matrix.columns, sheets.sheets, strict=False):
        if column.size != len(sheet.ids):
            yield f"{column.name}: {column.size} questions in the matrix, {len(sheet.ids)} items"
        if len(set(sheet.ids)) < len(sheet.ids):
            yield f"{column.name}: an item is there twice"
        if any(step > matrix.num_lessons for step in sheet.rows):
            yield f"{column.name}: rows beyond the last lesson"


def _due(spec: RunSpec, matrix: Matrix) -> Iterator[str]:
    """Say which cells are due by the spec's budget and not there: a low one may have been left out."""
    for step in range(matrix.num_lessons + 1):
        for place in due_columns(matrix.columns, step, matrix.num_lessons, spec.budget):
            if math.isnan(matrix.values[step, place]) and not matrix.ungraded[step, place]:
                yield f"row {step}, {matrix.exams[place]}: due and missing"


def _cells(matrix: Matrix, place: int, sheet: Sheet) -> Iterator[str]:
    for step in range(matrix.num_lessons + 1):
        where = f"row {step}, {sheet.exam}"
        row = sheet.rows.get(step)
        if row is None:
            if matrix.n[step, place] or not math.isnan(matrix.values[step, place]):
                yield f"{where}: a score without items"
            continue
        if len(row.values()) != len(sheet.ids) or (row.parts and len(row.parts) != len(sheet.ids)):
            yield f"{where}: {len(row.values())} scores for {len(sheet.ids)} items"
            continue
        if any(row.values()[place] > 0 for place in row.declined if place < len(sheet.ids)):
            yield f"{where}: an item that was not answered has a score"
        if any(not 0 <= value <= 1 for value in row.values() if not math.isnan(value)):
            yield f"{where}: scores outside of 0 to 1"
        try:
            score, graded = _again(sheet, row)
        except UserError as error:
            yield f"{where}: {error.what}"
            continue
        counts = (int(matrix.n[step, place]), int(matrix.ungraded[step, place]))
        if counts != (graded, len(sheet.ids) - graded):
            yield f"{where}: {counts[0]} marked and {counts[1]} unmarked, the items say {graded}"
        if not _same(float(matrix.values[step, place]), score):
            yield f"{where}: {matrix.values[step, place]:.6f}, the items give {score:.6f}"


def _again(sheet: Sheet, row: Row) -> tuple[float, int]:
    """Give score and number of marked items by the scorer's rule."""
    values = row.values().tolist()
    grades = [
        Grade(
            example_id=name,
            score=None if math.isnan(value) else value,
            parts=row.parts[i] if row.parts else (),
        )
        for i, (name, value) in enumerate(zip(sheet.ids, values, strict=True))
    ]
    marks = combined(grades, known_scorer(sheet.scorer.name))
    num = sum(g.score is not None and place not in row.declined for place, g in enumerate(grades))
    return math.nan if marks.score is None else marks.score, num


def known_scorer(name: str) -> ScorerPlugin:
    """Return a scorer that is installed here, by its name: a result must not choose what is imported.

    Raises:
        SpecError: There is none of that name.
    """
    found = plugins.load_known("scorer", name, "PLUGIN", where="scorer.name")
    assert isinstance(found, ScorerPlugin), "the contract suite opens all that ship"
    return found


def _figures(spec: RunSpec, matrix: Matrix, scores: Mapping[str, float], meters: Meters) -> Iterator[str]:
    try:
        again = compute(spec.metrics, matrix, meters, {})
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


def _meters(meters: Meters) -> Iterator[str]:
    if meters.train_s_by_step and not _same(sum(meters.train_s_by_step), meters.train_s):
        yield f"meters: train_s is {meters.train_s:.3f}, its lessons took {sum(meters.train_s_by_step):.3f}"
    if meters.kept_bytes_by_step and meters.kept_bytes_by_step[-1] != meters.kept_bytes:
        yield f"meters: kept_bytes is {meters.kept_bytes}, after the last lesson {meters.kept_bytes_by_step[-1]}"
    parts = meters.buffer_bytes + meters.state_bytes + meters.added_bytes
    if meters.buffer_bytes_by_step and parts != meters.kept_bytes:  # results without that meter are older
        yield f"meters: kept_bytes is {meters.kept_bytes}, its parts are {parts}"


def _shown(sheets: Sheets, showcase: Showcase) -> Iterator[str]:
    found = {s.exam: s for s in sheets.sheets}
    for item in showcase.items:
        sheet = found.get(item.exam)
        if sheet is None or item.id not in sheet.ids:
            yield f"examples: {item.exam} has no item {item.id}"
            continue
        place = sheet.ids.index(item.id)
        for step, said in item.said.items():
            row = sheet.rows.get(step)
            score = math.nan if said.score is None else said.score
            if row is None or place >= len(row.scores) or not _same(float(row.values()[place]), score):
                yield f"examples: {item.exam} {item.id}, row {step}: its score is not that of the items"


def _same(one: float, two: float) -> bool:
    return (math.isnan(one) and math.isnan(two)) or abs(one - two) <= TOLERANCE * max(1.0, abs(one), abs(two))
