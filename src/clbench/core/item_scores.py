"""The scores of all exams, item by item and lesson by lesson, so that figures can be computed again and compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from clbench.core.graded import GradedItems
from clbench.core.types import Answer, Exam, ScorerSpec
from clbench.core.value import Renamed, Value

STATED = 1e-4  # by which the guess rate that a card states may differ from the mean of its items


class ExamScores(Value):
    """One exam: its items, and their scores in every row in which it was due.

    Attributes:
        exam: Name of the column.
        digest: Digest of its questions.
        scorer, version: The scorer that graded it.
        ids: Ids of the items, in order.
        groups: What each item belongs to, if items of the exam are not independent; else empty.
        lengths: Tokens of each question by the model's own tokenizer, before anything was left out.
        guess_rates: Score of guessing each item, in [0, 1], where items differ in their number of choices; else empty:
            the column's guess rate is that of every item.
        rows: Lesson (0..T) -> the cell.
    """

    exam: str
    digest: str
    scorer: ScorerSpec
    version: int
    ids: tuple[str, ...]
    groups: tuple[str, ...] = ()
    lengths: tuple[int, ...] = ()
    guess_rates: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()
    rows: Mapping[int, GradedItems] = {}
    absent_at_default: ClassVar[frozenset[str]] = frozenset({"groups", "guess_rates"})

    def array(self, num_rows: int) -> NDArray[np.float64]:
        """Return the scores of all items, shape (rows, items); NaN where not due or not graded."""
        found = np.full((num_rows, len(self.ids)), np.nan)
        for lesson, row in self.rows.items():
            found[lesson] = row.values()
        return found


class ItemScores(Renamed):
    """All exams of a run, in the order of the columns."""

    exams: tuple[ExamScores, ...]
    formerly: ClassVar[Mapping[str, str]] = {"sheets": "exams"}

    def named(self, exam: str) -> ExamScores:
        """Return the scores of an exam; raises KeyError."""
        for exam_scores in self.exams:
            if exam_scores.exam == exam:
                return exam_scores
        raise KeyError(exam)


class ShownAnswer(Value):
    """One answer in one row: the text, its score, how it ended, and the reasoning before it."""

    text: str
    score: float | None
    finish: str = "stop"
    reasoning: str = ""
    absent_at_default: ClassVar[frozenset[str]] = frozenset({"finish", "reasoning"})


class ExampleItem(Renamed):
    """One item as a reader sees it: question, expected answers, and the answers over the rows."""

    exam: str
    id: str
    question: str
    expected: tuple[str, ...]
    answers: Mapping[int, ShownAnswer]
    formerly: ClassVar[Mapping[str, str]] = {"said": "answers"}


class ExampleItems(Value):
    """A few items of every exam, chosen by hash of their ids."""

    items: tuple[ExampleItem, ...]


def count_reasoning(answers: Sequence[Answer]) -> tuple[int, ...]:
    """Return (tokens of reasoning, answers missing because reasoning did not end); () without reasoning."""
    tokens, unended = sum(a.tokens_reasoning for a in answers), sum(map(unended_reasoning, answers))
    return (tokens, unended) if tokens or unended else ()


def unended_reasoning(answer: Answer) -> bool:
    """Return whether an answer, or one of its replies, is missing because its reasoning did not end."""
    texts = [(r.reasoning, r.text) for r in answer.replies] or [(answer.reasoning, answer.text)]
    return any(reasoning and not text.strip() for reasoning, text in texts)


def count_cuts(answers: Sequence[Answer]) -> tuple[int, ...]:
    """Return (questions cut, tokens left out, examples dropped) of answers; () if all questions fit."""
    questions = sum(a.tokens_cut > 0 for a in answers)
    return (questions, sum(a.tokens_cut for a in answers), sum(a.shots_cut for a in answers)) if questions else ()


def groups_of(exam: Exam) -> tuple[str, ...]:
    """Return what each item belongs to; () if every item stands for itself."""
    found = tuple(e.group or e.id for e in exam.examples)
    return found if len(set(found)) < len(found) else ()


def guess_rates_of(exam: Exam) -> tuple[float, ...]:
    """Return the score of guessing each item, 1 / its choices; () if items are alike, or their mean is not the exam's.

    The second is so where a card states another guess rate than that of the choices: it then stands for every item.

    Example:
        >>> from clbench.core.types import Decode, Example
        >>> items = tuple(Example(id=str(n), prompt=(), choices=tuple("abcd")[:n]) for n in (2, 4))
        >>> exam = Exam(name="e", examples=items, decode=Decode(), scorer={"name": "label"}, needs=(), digest="")
        >>> guess_rates_of(exam.model_copy(update={"guess_rate": 0.375})), guess_rates_of(exam)
        ((0.5, 0.25), ())
    """
    nums = [len(e.choices) or len([r for r in e.requests if r.kind != "text"]) for e in exam.examples]
    rates = tuple(1 / num if num else 0.0 for num in nums)
    return rates if len(set(rates)) > 1 and are_rates_of(rates, exam.guess_rate) else ()


def are_rates_of(rates: Sequence[float], guess_rate: float) -> bool:
    """Return whether the guess rates of items have an exam's guess rate as their mean; cards state it in four digits.

    Example:
        >>> are_rates_of([1 / 2, 1 / 3], 0.4167), are_rates_of([1 / 2, 1 / 3], 0.5)
        (True, False)
    """
    return abs(math.fsum(rates) / len(rates) - guess_rate) <= STATED


def guess_rate_at(exam: Exam) -> float | None:
    """Return the guess rate of an exam with growing labels as it is asked in a row; None if it is that of the exam."""
    if not exam.growth or not exam.examples:
        return None
    rate = 1 / len(exam.examples[0].choices)
    return None if rate == exam.guess_rate else rate
