"""What became of single items: right once and wrong at the end, learnt, or never known."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from clbench.core.item_scores import ExamScores
from clbench.core.matrix import Column
from clbench.report.runs.load import RunRecord
from clbench.report.runs.store_texts import answers, question_text, questions, shorten, store_of
from clbench.report.runs.text_table import ANSWER, QUESTION, TextKey, recorded_texts

Fate = Literal["forgotten", "learnt", "never"]
RIGHT = 0.5  # an item counts as right from this score on


@dataclass(frozen=True)
class ItemHistory:
    """One item of a run over the lessons.

    Attributes:
        exam, id: Which item it is.
        fate: What became of it.
        since: The lesson that teaches its task; 0 for abilities.
        scores: Lesson -> score, of the rows in which it was asked and graded.
        question: As the model was asked; empty where it is not at hand.
        expected: Right answers.
        said: Lesson -> answer, where it is at hand.
    """

    exam: str
    id: str
    fate: Fate
    since: int
    scores: Mapping[int, float]
    question: str = ""
    expected: tuple[str, ...] = ()
    said: Mapping[int, str] = field(default_factory=dict[int, str])


def item_fates(run: RunRecord, column: Column) -> dict[int, Fate]:
    """Return place -> fate of the items of an exam, from their scores alone.

    "forgotten": right after its task's own lesson (of an ability: by the untouched model), wrong after the last one.
    "learnt": wrong by the untouched model, right after the last lesson. "never": wrong in every row from its lesson on.
    An item is right from a score of 0.5 on. Items without a grade in a row that decides have no fate.
    """
    exam = next((e for e in run.item_scores.exams if e.exam == column.name), None)
    since, last = column.taught or 0, run.matrix.num_lessons
    if exam is None or not exam.rows:
        return {}
    rows = {lesson: row.values() for lesson, row in sorted(exam.rows.items())}
    unknown = np.full(len(exam.ids), np.nan)
    first, own, end = (rows.get(lesson, unknown) for lesson in (0, since, last))
    later = np.array([values for lesson, values in rows.items() if lesson >= since] or [unknown])
    with np.errstate(invalid="ignore"):
        decided: tuple[tuple[Fate, np.ndarray], ...] = (
            ("forgotten", (own >= RIGHT) & (end < RIGHT)),
            ("learnt", (first < RIGHT) & (end >= RIGHT)),
            ("never", np.asarray((later < RIGHT).all(axis=0))),
        )
    return {int(place): fate for fate, which in reversed(decided) for place in np.flatnonzero(which)}


def item_histories(run: RunRecord, fate: Fate, exams: Sequence[str] = ()) -> list[ItemHistory]:
    """Return the items of this fate with their texts, exam by exam.

    Args:
        run: A run with items on record.
        fate: Which items.
        exams: Names of exams; empty is all.
    """
    columns = [c for c in run.matrix.columns if not exams or c.name in exams]
    return [item for column in columns for item in _of_exam(run, column, fate)]


def _of_exam(run: RunRecord, column: Column, fate: Fate) -> list[ItemHistory]:
    places = sorted(place for place, found in item_fates(run, column).items() if found == fate)
    exam = next((e for e in run.item_scores.exams if e.exam == column.name), None)
    if exam is None or not places:
        return []
    rows = {lesson: row.values() for lesson, row in sorted(exam.rows.items())}
    found: list[ItemHistory] = []
    for place in places:
        scores = {lesson: float(v[place]) for lesson, v in rows.items() if not np.isnan(v[place])}
        texts = texts_of(run, exam, place)
        found.append(ItemHistory(column.name, exam.ids[place], fate, column.taught or 0, scores, *texts))
    return found


class ItemTexts(NamedTuple):
    """The texts of an item, as far as they are at hand: question, right answers, and lesson -> what was said."""

    question: str = ""
    expected: tuple[str, ...] = ()
    said: Mapping[int, str] = {}


def moved_items(exam: ExamScores) -> list[int]:
    """Return the places of the items that were right in one row and wrong in another one."""
    if not exam.rows:
        return []
    table = np.array([row.values() for row in exam.rows.values()])
    with np.errstate(invalid="ignore"):
        return [int(k) for k in np.flatnonzero((table >= RIGHT).any(axis=0) & (table < RIGHT).any(axis=0))]


def texts_of(run: RunRecord, exam: ExamScores, place: int, lessons: Collection[int] | None = None) -> ItemTexts:
    """Return the texts of an item: `whole_texts`, else those of the few items that every result holds in full.

    Args:
        run: A run.
        exam: One of its exams.
        place: Of the item.
        lessons: The rows whose answers are wanted; None is all.
    """
    found, name = whole_texts(run, exam, place, lessons), exam.ids[place]
    if found is not None:
        return found
    for few in run.example_items.items:
        if (few.exam, few.id) == (exam.exam, name):
            return ItemTexts(few.question, few.expected, {k: answer.text for k, answer in few.answers.items()})
    return ItemTexts()


def whole_texts(
    run: RunRecord, exam: ExamScores, place: int, lessons: Collection[int] | None = None
) -> ItemTexts | None:
    """Return the texts of an item from the store where it still holds them, else from the table beside a record.

    Args as of `texts_of`. None where neither has its question.
    """
    store, name = store_of(run), exam.ids[place]
    rows = {lesson: row for lesson, row in exam.rows.items() if lessons is None or lesson in lessons}
    if store is not None:
        digests = dict.fromkeys([exam.digest, *(row.questions for row in exam.rows.values())])
        asked = next((found for digest in digests if (found := questions(store, digest))), ())
        if place >= len(asked) or asked[place].id != name:
            return None
        told = {lesson: answers(store, row.answers_key) for lesson, row in rows.items()}
        said = {lesson: shorten(found[place].text) for lesson, found in told.items() if place < len(found)}
        return ItemTexts(question_text(asked[place]), asked[place].targets, said)
    texts = recorded_texts(run.folder.parent) if run.folder and run.folder.suffix == ".json" else {}
    if (question := texts.get(TextKey(QUESTION, exam.digest, name))) is None:
        return None
    known = {lesson: texts.get(TextKey(ANSWER, row.answers_key, name)) for lesson, row in rows.items()}
    return ItemTexts(question.text, question.expected, {k: text.text for k, text in known.items() if text is not None})
