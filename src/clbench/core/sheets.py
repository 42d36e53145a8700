"""What every exam came to, item by item and row by row: figures can be computed again, and compared in pairs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from clbench.core.types import Answer, Exam, Frozen, Grade, ScorerSpec

WRONG_RIGHT = {0.0: "0", 1.0: "1", None: "-"}
MARKS = frozenset(WRONG_RIGHT.values())


class Row(Frozen):
    """One cell of the matrix, item by item.

    Attributes:
        asked: Digest of the questions as they were asked in this row; it differs from the sheet's where labels grow.
        ask, mark: Keys of the answers and of the grades in the store.
        scores: One character per item where every score is 0, 1 or missing ("01-"); else the scores.
        thought: Tokens of reasoning before the answers, and answers that never came because it did not end; empty
            where nobody reasoned.
        parts: `Grade.parts` of the items, where the exam's score is not the mean of the scores; else empty.
        declined: Places of the items that were not answered; their scores are 0.
        cut: What did not fit: (questions cut, their tokens, examples left out whole); empty where all of it did.
    """

    asked: str
    ask: str
    mark: str
    scores: str | tuple[float | None, ...]
    parts: tuple[tuple[float, ...], ...] = ()
    thought: tuple[int, ...] = ()
    cut: tuple[int, ...] = ()
    declined: tuple[int, ...] = ()
    later: ClassVar[frozenset[str]] = frozenset({"parts", "thought", "cut", "declined"})

    @field_validator("scores")
    @classmethod
    def _are_scores(cls, scores: str | tuple[float | None, ...]) -> str | tuple[float | None, ...]:
        fit = set(scores) <= MARKS if isinstance(scores, str) else all(s is None or math.isfinite(s) for s in scores)
        if not fit:
            raise ValueError("scores are one of 0, 1 and - per item, or a number or null per item")
        return scores

    def values(self) -> NDArray[np.float64]:
        """Give the scores, shape (items,), NaN where an answer could not be marked.

        Example:
            >>> Row(asked="", ask="", mark="", scores="10-").values().tolist()
            [1.0, 0.0, nan]
        """
        if isinstance(self.scores, str):
            return np.array([np.nan if c == "-" else float(c) for c in self.scores], dtype=np.float64)
        return np.array([np.nan if s is None else s for s in self.scores], dtype=np.float64)


class Sheet(Frozen):
    """One exam: its items, and what came of them in every row in which it was due.

    Attributes:
        exam: Name of the column.
        digest: Of its questions.
        scorer, version: How it was marked.
        ids: Of the items, in order.
        groups: What each item belongs to, where items of one exam are not independent; else empty.
        lengths: Tokens of each question by the model's own tokenizer, before anything was cut out of its middle.
        rows: Number of lessons -> the cell.
    """

    exam: str
    digest: str
    scorer: ScorerSpec
    version: int
    ids: tuple[str, ...]
    groups: tuple[str, ...] = ()
    lengths: tuple[int, ...] = ()
    rows: Mapping[int, Row] = {}
    later: ClassVar[frozenset[str]] = frozenset({"groups"})

    def array(self, num_rows: int) -> NDArray[np.float64]:
        """Give the scores of all items, shape (rows, items); NaN where not due or not marked."""
        found = np.full((num_rows, len(self.ids)), np.nan)
        for step, row in self.rows.items():
            found[step] = row.values()
        return found


class Sheets(Frozen):
    """All exams of a run, in the order of the columns."""

    sheets: tuple[Sheet, ...]

    def named(self, exam: str) -> Sheet:
        """Give the sheet of an exam; raises KeyError."""
        for sheet in self.sheets:
            if sheet.exam == exam:
                return sheet
        raise KeyError(exam)


class Said(Frozen):
    """What was answered in one row: the text, its score, how it ended, and the reasoning before it."""

    text: str
    score: float | None
    finish: str = "stop"
    reasoning: str = ""
    later: ClassVar[frozenset[str]] = frozenset({"finish", "reasoning"})


class Shown(Frozen):
    """One item as a reader sees it: question, what was expected, and the answers over the rows."""

    exam: str
    id: str
    question: str
    expected: tuple[str, ...]
    said: Mapping[int, Said]


class Showcase(Frozen):
    """A few items of every exam, chosen by hash of their ids."""

    items: tuple[Shown, ...]


def packed(grades: Sequence[Grade]) -> str | tuple[float | None, ...]:
    """Give the scores of grades in the shortest form that loses nothing."""
    scores = tuple(g.score for g in grades)
    if all(s in WRONG_RIGHT for s in scores):
        return "".join(WRONG_RIGHT[s] for s in scores)
    return scores


def thought_of(answers: Sequence[Answer]) -> tuple[int, ...]:
    """Return (tokens of reasoning, answers that never came because reasoning did not end); empty without reasoning."""
    tokens, unended = sum(a.tokens_reasoning for a in answers), sum(map(unended_reasoning, answers))
    return (tokens, unended) if tokens or unended else ()


def unended_reasoning(answer: Answer) -> bool:
    """Return whether an answer, or one of its replies, never came because its reasoning did not end."""
    said = [(r.reasoning, r.text) for r in answer.replies] or [(answer.reasoning, answer.text)]
    return any(reasoning and not text.strip() for reasoning, text in said)


def cut_of(answers: Sequence[Answer]) -> tuple[int, ...]:
    """Give (questions cut, tokens left out, examples left out whole) of answers; empty where every question fitted."""
    questions = sum(a.tokens_cut > 0 for a in answers)
    return (questions, sum(a.tokens_cut for a in answers), sum(a.shots_cut for a in answers)) if questions else ()


def groups_of(exam: Exam) -> tuple[str, ...]:
    """Give what each item belongs to; empty where every item stands for itself."""
    found = tuple(e.group or e.id for e in exam.examples)
    return found if len(set(found)) < len(found) else ()
