"""Read result folders, count each run once, and group runs that differ only in their seed."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from clbench.core.errors import DataError, near_paths
from clbench.core.events import notice
from clbench.core.graded import mean_rule, pack
from clbench.core.item_scores import ExampleItems, ItemScores
from clbench.core.matrix import Matrix, number
from clbench.core.results import Costs
from clbench.core.scorers import rule_of
from clbench.core.spec import RunSpec
from clbench.core.stream_summary import StreamSummary
from clbench.metrics import all_metrics, compute
from clbench.report.runs.bootstrap import MatrixSamples, figure_samples, matrix_samples
from clbench.report.runs.result_file import broken_result, find_results, name_of, read_parts, read_provenance
from clbench.stats.bootstrap import Samples

BROKEN = (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError, ArithmeticError, OSError)
NO_SHEETS, NO_ITEMS = ItemScores(exams=()), ExampleItems(items=())
NO_MATRIX = Matrix.of([[]])
ROUNDED = 1e-6  # by which a score may differ from the mean of its items


@dataclass(frozen=True)
class RunRecord:
    """One finished run.

    Attributes:
        folder: Its result folder, or its file `<run>.json`.
        spec, stream, matrix, scores, costs, provenance: What the result holds; undefined scores are NaN.
        item_scores: Grades of every exam, item by item.
        example_items: A few items in full.
        recorded: Those of the scores that are on record; the others are made of costs.
    """

    folder: Path
    spec: RunSpec
    stream: StreamSummary
    matrix: Matrix
    scores: dict[str, float]
    costs: Costs
    provenance: dict[str, Any]
    item_scores: ItemScores = NO_SHEETS
    example_items: ExampleItems = NO_ITEMS
    recorded: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the run, which ends in the beginning of its key."""
        return name_of(self.folder)

    @cached_property
    def matrix_samples(self) -> MatrixSamples | None:
        """Return R over bootstrap samples of its items; None where the items are not on record."""
        return matrix_samples(self.matrix, self.item_scores)

    @cached_property
    def figure_samples(self) -> Mapping[str, Samples]:
        """Return the figures over these samples."""
        return figure_samples(self.matrix, self.matrix_samples, list(self.scores))


def load_runs(paths: Sequence[Path]) -> list[RunRecord]:
    """Read results, or folders that hold some, and count each run once: see `distinct`.

    Raises:
        DataError: There is none; or a file is missing or broken, or parts of a result contradict each other.
    """
    runs = read_runs(paths)
    for run in runs:
        _check_columns(run)
        _check_cells(run)
    _tell_other_keys(runs)
    return distinct([_counted(run) for run in runs])


KEY = 8  # hex digits of a run's key at the end of its record's name


def _tell_other_keys(runs: Sequence[RunRecord]) -> None:
    """Tell, in one notice, of the records whose name does not end in the key of their spec."""
    others = [f"{run.name} ({run.spec.key[:KEY]})" for run in runs if not run.name.endswith(f"-{run.spec.key[:KEY]}")]
    if others:
        more = ", ..." if len(others) > 3 else ""
        notice(
            f"not named by the keys of their specs (records: {len(others)}): {', '.join(others[:3])}{more}; they were "
            "renamed, their specs were edited, or an older clbench wrote them"
        )


def _counted(run: RunRecord) -> RunRecord:
    """Return a run with the figures that its matrix gives; a notice says where other ones are on record."""
    names = [n for n in run.recorded if n in all_metrics() and all_metrics()[n].needs == "matrix"]
    counted = compute(names, run.matrix, Costs(), {})
    unlike = [n for n in names if not np.isclose(counted[n], run.scores[n], rtol=0, atol=ROUNDED, equal_nan=True)]
    if not unlike:
        return run
    notice(
        f"{run.name}: on record are other values than its matrix gives ({', '.join(unlike[:3])}): edited, or of an "
        "older definition; those of the matrix count"
    )
    return replace(run, scores={**run.scores, **{n: counted[n] for n in unlike}})


def read_runs(paths: Sequence[Path]) -> list[RunRecord]:
    """Read results, or folders that hold some; a run that lies there twice is given twice.

    Raises:
        DataError: There is none, or a file is missing or broken.
    """
    runs: list[RunRecord] = []
    for path in paths:
        if not path.exists():
            raise DataError("there is no such folder", where=str(path), mend=near_paths(path))
        places = find_results(path)
        if not places:
            mend = "name a folder that `clbench run` wrote, or the store itself"
            raise DataError("there is no result here", where=str(path), mend=mend)
        runs += [_load(place) for place in places]
    return runs


def distinct(runs: Sequence[RunRecord], doubtful: Collection[Path] = ()) -> list[RunRecord]:
    """Return each run once: specs that differ only in their name are one run, however often it is on record.

    Of several records of a run the last one counts. A notice says how many there were, and where they differ, as after
    a repetition on other hardware.

    Args:
        runs: As they were read.
        doubtful: Folders whose record counts only where there is no other.

    Returns:
        In the order in which each run was first met.
    """
    found: dict[str, list[RunRecord]] = {}
    for run in runs:
        found.setdefault(run.spec.model_copy(update={"name": "x"}).key, []).append(run)
    unique: list[RunRecord] = []
    twice: list[str] = []
    for same in found.values():
        last = max(same, key=lambda r: (r.folder not in doubtful, str(r.provenance.get("made", ""))))
        unique.append(last)
        others = [r for r in same if r is not last]
        if others:
            twice.append(f"{_place(last, others)} (also {', '.join(_place(r, [last]) for r in others)})")
        if unlike := [_place(r, [last]) for r in others if not _says_the_same(r, last)]:
            notice(
                f"{_place(last, others)} and {', '.join(unlike)} are one run, and their answers differ (made again on "
                "other hardware or by another clbench, or edited): the one made last counts; name one folder to choose"
            )
    if twice:
        more = ", ..." if len(twice) > 3 else ""
        notice(f"on record more than once, counted once (runs: {len(twice)}): {', '.join(twice[:3])}{more}")
    return unique


def _place(run: RunRecord, others: Sequence[RunRecord]) -> str:
    """Return a run's name; its path where others bear the same name."""
    name = run.name if run.folder else run.spec.name
    return str(run.folder) if any(run.folder and r.folder and r.name == name for r in others) else name


def _says_the_same(one: RunRecord, two: RunRecord) -> bool:
    return _content(one) == _content(two)


def _content(run: RunRecord) -> object:
    """Return the results that are compared: every cell, and every item's score."""
    items = [(s.exam, s.digest, {k: pack(row.scores) for k, row in s.rows.items()}) for s in run.item_scores.exams]
    return run.matrix.to_json(), items


def _load(place: Path) -> RunRecord:
    try:
        parts = read_parts(place)
        recorded = {k: math.nan if v is None else number(v) for k, v in parts["scores"].items()}
        matrix = Matrix.from_json(parts["matrix"])
        costs, spec = Costs.model_validate(parts["costs"]), RunSpec.model_validate(parts["spec"])
        if not spec.learner.get("name"):
            raise ValueError("its spec names no learner")
        return RunRecord(
            folder=place,
            spec=spec,
            stream=StreamSummary.model_validate(parts["stream"]),
            matrix=matrix,
            scores={**cost_figures(costs), **recorded},
            costs=costs,
            provenance=read_provenance(parts["provenance"]),
            item_scores=parts["exams"],
            example_items=ExampleItems.model_validate(parts["examples"]),
            recorded=tuple(recorded),
        )
    except BROKEN as error:
        raise broken_result(place, error) from None


def _check_columns(run: RunRecord) -> None:
    """Refuse columns of a matrix that contradict the run's stream or its items.

    Raises:
        DataError: Names the column, and what each of the two says of it.
    """
    if found := next(_unlike_stream(run), None) or next(_unlike_items(run), None):
        raise broken_result(run.folder, ValueError(found))


def _unlike_stream(run: RunRecord) -> Iterator[str]:
    """Walk what the columns say otherwise than `stream.lessons`: which are taught, and first in which lesson."""
    taught: dict[str, int] = {}
    for lesson in run.stream.lessons:
        for task in lesson.teaches:
            taught.setdefault(task, lesson.lesson)
    if (num := len(run.stream.lessons)) != run.matrix.num_lessons:
        yield f"its matrix has rows of {run.matrix.num_lessons} lessons, stream.lessons {num}"
    for column in run.matrix.columns:
        if column.taught != taught.get(column.name) or (column.kind == "task") != (column.name in taught):
            said = f"matrix.columns has {column.name} as {column.kind!r}, {_lesson(column.taught)}"
            yield f"{said}; stream.lessons has it {_lesson(taught.get(column.name))}"
    if lacking := [task for task in taught if task not in run.matrix.exams]:
        yield f"stream.lessons has {lacking[0]} {_lesson(taught[lacking[0]])}; matrix.columns does not have it"


def _lesson(number: int | None) -> str:
    return "not taught" if number is None else f"taught first in lesson {number}"


def _unlike_items(run: RunRecord) -> Iterator[str]:
    """Walk what the columns say otherwise than the items, where these are on record: their names and their sizes."""
    sizes = {exam.exam: len(exam.ids) for exam in run.item_scores.exams}
    if sizes and (unlike := sorted({*sizes} ^ {*run.matrix.exams})):
        one, other = ("matrix.columns", "items") if unlike[0] in sizes else ("items", "matrix.columns")
        yield f"its {other} have the exam {unlike[0]}, its {one} do not"
    for column in run.matrix.columns:
        if sizes.get(column.name, column.size) != column.size:
            yield f"matrix.columns counts {column.size} questions of {column.name}, its items {sizes[column.name]}"


def _check_cells(run: RunRecord) -> None:
    """Refuse a matrix with a cell that its own items do not give; where the score is not their mean, it is not seen.

    Raises:
        DataError: Names the cell.
    """
    matrix = run.matrix
    places = {name: place for place, name in enumerate(matrix.exams)}
    for exam in run.item_scores.exams:
        for lesson, row in exam.rows.items():
            if exam.exam not in places or not 0 <= lesson <= matrix.num_lessons or row.parts:
                continue
            values, cell = row.values(), float(matrix.values[lesson, places[exam.exam]])
            known = values[~np.isnan(values)]
            if len(known) and rule_of(exam.scorer.name) is mean_rule and not abs(cell - known.mean()) <= ROUNDED:
                what = f"its matrix has {cell:.4f} for {exam.exam} after lesson {lesson}, its items {known.mean():.4f}"
                raise broken_result(run.folder, ValueError(what))


def cost_figures(costs: Costs) -> dict[str, float]:
    """Return every figure that needs costs alone. They take no time to compute, so a spec need not list them."""
    return compute(
        [n for n, p in all_metrics().items() if p.needs == "costs"], costs=costs, matrix=NO_MATRIX, references={}
    )
