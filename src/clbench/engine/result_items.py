"""Keep what every exam came to, item by item, and a few items to look at."""

from __future__ import annotations

from collections.abc import Sequence

from clbench.core.item_scores import (
    ExampleItem,
    ExampleItems,
    ExamScores,
    ItemScores,
    ShownAnswer,
    groups_of,
    guess_rates_of,
)
from clbench.core.keys import digest
from clbench.core.results import ExamResult
from clbench.core.types import Exam, Example
from clbench.engine.grade import open_scorer

SHOWN = 3  # items of an exam that a result folder holds in full; the store holds them all
LONGEST = 2000  # characters of a question or an answer in it


def item_scores(results: Sequence[ExamResult]) -> ItemScores:
    """Return the scores of all items of a run, from its results, which come row by row."""
    return ItemScores(exams=tuple(_sheet(column) for column in _columns(results)))


def example_items(results: Sequence[ExamResult]) -> ExampleItems:
    """Return a few items of every exam with their answers over the rows."""
    return ExampleItems(items=tuple(item for column in _columns(results) for item in _shown(column)))


def _columns(results: Sequence[ExamResult]) -> list[list[ExamResult]]:
    found: dict[str, list[ExamResult]] = {}
    for result in results:
        found.setdefault(result.exam.name, []).append(result)
    return list(found.values())


def _sheet(results: Sequence[ExamResult]) -> ExamScores:
    first = results[0]
    return ExamScores(
        exam=first.exam.name,
        digest=first.exam.digest,
        scorer=first.exam.scorer,
        version=open_scorer(first.exam.scorer.name).version,
        ids=tuple(e.id for e in first.exam.examples),
        groups=groups_of(first.exam),
        lengths=tuple(a.tokens_in + a.tokens_cut for a in first.answers),
        guess_rates=guess_rates_of(first.exam),
        rows={result.lesson: result for result in results},
    )


def _shown(results: Sequence[ExamResult]) -> list[ExampleItem]:
    exam = results[0].exam
    return [
        ExampleItem(
            exam=exam.name,
            id=exam.examples[i].id,
            question=shorten(question(exam.examples[i])),
            expected=exam.examples[i].targets[:3],
            answers={
                result.lesson: ShownAnswer(
                    text=shorten(result.answers[i].text),
                    score=result.grades[i].score,
                    finish=result.answers[i].finish,
                    reasoning=shorten(result.answers[i].reasoning),
                )
                for result in results
            },
        )
        for i in choose_items(exam)
    ]


def choose_items(exam: Exam) -> list[int]:
    """Return the places of the items that are shown in full, by hash of their ids."""
    return sorted(range(len(exam.examples)), key=lambda i: digest(exam.examples[i].id))[:SHOWN]


def question(example: Example) -> str:
    """Write what was asked as a reader sees it: who says what."""
    if len(example.prompt) == 1:
        return example.prompt[0].content
    return "\n".join(f"[{m.role}] {m.content}" for m in example.prompt)


def shorten(text: str) -> str:
    """Cut a long text in the middle, and say so."""
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]}\n[… {len(text) - LONGEST} characters …]\n{text[-half:]}"
