"""Logs as a run: a row for each log, a column for each exam; nothing was taught, and what is not said is not known."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from clbench.core.errors import DataError
from clbench.core.graded import GradedItems
from clbench.core.item_scores import ExampleItem, ExampleItems, ExamScores, ItemScores, ShownAnswer
from clbench.core.keys import digest
from clbench.core.matrix import Column, Matrix
from clbench.core.results import Costs
from clbench.core.spec import ModelSpec, RunSpec
from clbench.core.stream_summary import LessonSummary, StreamSummary
from clbench.core.types import ScorerSpec
from clbench.metrics import compute
from clbench.report.logs.log import Log, LoggedExam, LoggedItem
from clbench.report.runs.load import RunRecord
from clbench.report.runs.store_texts import shorten

NO_STREAM = "none"
SHOWN = 200  # items of an exam whose texts are kept
OF_LEARNING = (
    "train_s",
    "train_tokens",
    "examples_used",
    "kept_bytes",
    "added_parameters",
    "peak_memory_bytes",
    "exam_s",
)


def as_run(logs: Sequence[Log], name: str) -> RunRecord:
    """Return logs of checkpoints, in their order, as one run; row 0 is the first one.

    Args:
        logs: At least one; of one harness.
        name: Of the run.

    Raises:
        DataError: They were not asked or graded alike; says what differs.
    """
    first = logs[0]
    for other in logs[1:]:
        if unlike := list(_unlike(first, other)):
            listed = "\n  - ".join(unlike)
            what = f"{first.place} and {other.place} cannot be rows of one matrix:\n  - {listed}"
            raise DataError(what, where="import", mend="evaluate both alike, or import each by itself")
    columns = tuple(_column(exam) for exam in first.exams)
    matrix = _counted(Matrix.of([[_score(exam) for exam in log.exams] for log in logs], columns), logs)
    figures = ("general_ability_delta",) if len(logs) > 1 else ()
    costs = Costs(exam_answers=int((matrix.n + matrix.ungraded).sum()), unknown=OF_LEARNING)
    spec = RunSpec(
        name=name,
        model=_model(first),
        learner={"name": first.harness, "logs": digest([_content(log) for log in logs])[:16]},
        stream=NO_STREAM,
        exams=tuple(exam.name for exam in first.exams),
        metrics=figures,
    )
    return RunRecord(
        folder=Path(f"{name}-{spec.key[:8]}"),
        spec=spec,
        stream=_no_lessons(len(logs) - 1),
        matrix=matrix,
        scores=compute(figures, matrix, costs, {}),
        costs=costs,
        provenance=_provenance(logs),
        item_scores=ItemScores(exams=tuple(_sheet(place, logs) for place in range(len(first.exams)))),
        example_items=ExampleItems(items=tuple(_shown(logs))),
        recorded=figures,
    )


def _unlike(one: Log, two: Log) -> Iterator[str]:
    """Yield what was asked or graded differently."""
    if one.harness != two.harness:
        yield f"logs of {one.harness} and of {two.harness}"
        return
    mine, theirs = ({exam.name: exam for exam in log.exams} for log in (one, two))
    if only := sorted(mine.keys() ^ theirs.keys()):
        yield f"exams of only one of them: {', '.join(only)}"
    for name in [name for name in mine if name in theirs]:
        yield from _unlike_exams(mine[name], theirs[name])


def _unlike_exams(one: LoggedExam, two: LoggedExam) -> Iterator[str]:
    for setting, value in one.settings.items():
        if value != (other := two.settings.get(setting)):
            yield f"exam {one.name}: {setting} {value} and {other}"
    ids = [{item.id for item in exam.items} for exam in (one, two)]
    if ids[0] != ids[1]:
        gone, new = len(ids[0] - ids[1]), len(ids[1] - ids[0])
        yield f"exam {one.name}: other items ({gone} of one are not in two, {new} of two not in one)"
    elif num := sum(a.asked != b.asked for a, b in zip(one.items, two.items, strict=True)):
        yield f"exam {one.name}: {num} of {len(one.items)} items were put in other words, or generated otherwise"


def _content(log: Log) -> Any:
    return [log.model, [[e.name, dict(e.settings), e.questions, [i.score for i in e.items]] for e in log.exams]]


def _model(log: Log) -> ModelSpec:
    known = log.dtype in get_args(ModelSpec.model_fields["dtype"].annotation)
    return ModelSpec.model_validate({"name": log.model} | ({"dtype": log.dtype} if known else {}))


def _column(exam: LoggedExam) -> Column:
    rates = [item.guess_rate for item in exam.items]
    mean = round(math.fsum(rates) / len(rates), 12)
    return Column(name=exam.name, kind="general", ability=exam.name, guess_rate=mean, size=len(rates))


def _score(exam: LoggedExam) -> float | None:
    known = [item.score for item in exam.items if item.score is not None]
    return math.fsum(known) / len(known) if known else None


def _counted(matrix: Matrix, logs: Sequence[Log]) -> Matrix:
    """Return the matrix with the number of graded items in each cell."""
    n = [[sum(item.score is not None for item in exam.items) for exam in log.exams] for log in logs]
    counts = Matrix.of([[float(v) for v in row] for row in n], matrix.columns).values.astype("int64")
    sizes = Matrix.of([[float(len(e.items)) for e in log.exams] for log in logs], matrix.columns).values.astype("int64")
    return replace(matrix, n=counts, ungraded=sizes - counts)


def _no_lessons(num: int) -> StreamSummary:
    nothing: dict[str, Any] = {"teaches": (), "moved": (), "languages": (), "kinds": (), "domains": ()}
    nothing |= {"examples": 0, "ahead": 0, "new_labels": 0, "labels": 0}
    lessons = tuple(LessonSummary(lesson=k, **nothing) for k in range(1, num + 1))
    return StreamSummary(name=NO_STREAM, lessons=lessons, tasks=(), questions=(), similarity=())


def _sheet(place: int, logs: Sequence[Log]) -> ExamScores:
    first = logs[0].exams[place]
    rates = tuple(item.guess_rate for item in first.items)
    rows = {
        row: GradedItems(
            questions=exam.questions,
            answers_key="",
            grades_key="",
            scores=np.array([item.score for item in exam.items], dtype=np.float64),
        )
        for row, exam in enumerate(log.exams[place] for log in logs)
    }
    return ExamScores(
        exam=first.name,
        digest=first.questions,
        scorer=ScorerSpec(name=logs[0].harness, settings=dict(first.settings)),
        version=1,
        ids=tuple(item.id for item in first.items),
        guess_rates=rates if len(set(rates)) > 1 else (),
        rows=rows,
    )


def _shown(logs: Sequence[Log]) -> Iterator[ExampleItem]:
    for place, exam in enumerate(logs[0].exams):
        columns = zip(*(log.exams[place].items for log in logs), strict=True)
        ordered = sorted(columns, key=lambda items: digest(items[0].id))[:SHOWN]
        yield from (_example(exam.name, items) for items in ordered)


def _example(exam: str, items: Sequence[LoggedItem]) -> ExampleItem:
    first = items[0]
    answers = {row: ShownAnswer(text=shorten(item.answer), score=item.score) for row, item in enumerate(items)}
    expected = (shorten(first.expected),)
    return ExampleItem(exam=exam, id=first.id, question=shorten(first.question), expected=expected, answers=answers)


def _provenance(logs: Sequence[Log]) -> dict[str, Any]:
    last = logs[-1]
    said: list[Mapping[str, Any]] = [
        {
            "harness": log.harness,
            "version": log.version or "not known",
            "model": log.model,
            "made": log.made or "not known",
        }
        for log in logs
    ]
    found: dict[str, Any] = {"packages": dict(last.packages), "machine": dict(last.machine), "logs": said}
    return found | ({"made": last.made} if last.made else {})
