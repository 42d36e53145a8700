"""An imported run as the gate compares checkpoints: its last row, with the texts that are on record."""

from __future__ import annotations

from clbench.core.baseline import Baseline, BaselineExam
from clbench.core.item_scores import ExampleItem, ExamScores
from clbench.core.keys import digest
from clbench.core.types import Decode, Exam, Example, Message
from clbench.report.runs.load import RunRecord


def as_baseline(run: RunRecord) -> Baseline:
    """Return the last row of a run as a sealed baseline."""
    last, shown = run.matrix.num_lessons, _texts(run)
    exams: list[BaselineExam] = []
    for column, exam_scores in zip(run.matrix.columns, run.item_scores.exams, strict=True):
        row = exam_scores.rows[last]
        items = [shown.get((exam_scores.exam, item)) for item in exam_scores.ids]
        answers = tuple("" if item is None else item.answers[last].text for item in items)
        exams.append(
            BaselineExam(
                kind=column.kind,
                ability=column.ability,
                guess_rate=column.guess_rate,
                scores=exam_scores.model_copy(update={"rows": {0: row}}),
                answers=answers,
            )
        )
    return Baseline(
        model=run.spec.model,
        identity=digest([run.spec.key, last]),
        names=run.spec.exams,
        items=None,
        exams=tuple(exams),
        made=str(run.provenance.get("made", "")),
        machine={str(k): str(v) for k, v in run.provenance.get("machine", {}).items()},
    ).sealed()


def exams_of(run: RunRecord) -> list[Exam]:
    """Return the exams of a run with their questions as far as these are on record."""
    shown = _texts(run)
    return [_exam(exam_scores, shown) for exam_scores in run.item_scores.exams]


def _texts(run: RunRecord) -> dict[tuple[str, str], ExampleItem]:
    return {(item.exam, item.id): item for item in run.example_items.items}


def _exam(exam_scores: ExamScores, shown: dict[tuple[str, str], ExampleItem]) -> Exam:
    examples: list[Example] = []
    for name in exam_scores.ids:
        item = shown.get((exam_scores.exam, name))
        question, expected = ("(not on record)", ()) if item is None else (item.question, item.expected)
        examples.append(Example(id=name, prompt=(Message(role="user", content=question),), targets=expected))
    needs = frozenset[str]()
    return Exam.model_validate(
        {
            "name": exam_scores.exam,
            "kind": "general",
            "examples": examples,
            "decode": Decode(),
            "scorer": exam_scores.scorer,
        }
        | {"needs": needs, "digest": exam_scores.digest}
    )
