"""Which questions and answers are recorded with results: those of items that flipped, as many as there is room for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from clbench.core.events import notice
from clbench.core.item_scores import ExamScores
from clbench.core.matrix import Column
from clbench.report.runs.item_histories import item_fates, moved_items, whole_texts
from clbench.report.runs.load import RunRecord
from clbench.report.runs.text_table import ANSWER, QUESTION, TEXT_FILE, Text, TextKey

MOST_BYTES = 4_000_000  # of the texts of one folder in UTF-8, before they are packed
ROW = 16  # bytes that a row costs beside its text
ORDER = ("forgotten", "learnt", "between runs", "in between", "never")  # which items come first


class _Candidate(NamedTuple):
    """An item of a run: its place in line, its name, and its texts."""

    turn: tuple[int, int, int, int]
    item: tuple[str, str]
    texts: Mapping[TextKey, Text]


def flipped_texts(runs: Sequence[RunRecord]) -> dict[TextKey, Text]:
    """Return the questions and answers of the items that flipped, as far as they are at hand.

    First those that a run forgot, then those that one learnt, those that one run has right and another one wrong after
    the last lesson (of these the last answers), those that changed in between, and those that were never right; of each
    kind the first one of every run and exam, then the second ones. A text that several runs share is there once. A
    notice says how many items had no room.
    """
    found: dict[TextKey, Text] = {}
    room, left, items = MOST_BYTES, set[tuple[str, str]](), set[tuple[str, str]]()
    for each in sorted(_candidates(runs), key=lambda c: c.turn):
        new = {key: text for key, text in each.texts.items() if key not in found}
        cost = sum(ROW + len(text.text.encode()) + sum(len(e.encode()) for e in text.expected) for text in new.values())
        items.add(each.item)
        if cost > room:
            left.add(each.item)
            continue
        room -= cost
        found |= new
    if left:
        what = f"{TEXT_FILE} holds at most {MOST_BYTES:,} bytes of texts: of {len(left)} of {len(items)} items that"
        notice(f"{what} flipped or were never right, questions or answers are left out")
    return found


def _candidates(runs: Sequence[RunRecord]) -> Iterator[_Candidate]:
    apart = _apart(runs)
    for number, run in enumerate(runs):
        exams = {exam.exam: exam for exam in run.item_scores.exams}
        for place_of_exam, column in enumerate(run.matrix.columns):
            if (exam := exams.get(column.name)) is None or not exam.rows:
                continue
            for kind, places in _kinds(run, column, exam, apart.get(_alike(exam), ())).items():
                last = {run.matrix.num_lessons} if kind == "between runs" else None
                for turn, place in enumerate(sorted(places)):
                    if texts := _texts(run, exam, place, last):
                        line = ORDER.index(kind), turn, number, place_of_exam
                        yield _Candidate(line, (exam.digest, exam.ids[place]), texts)


def _kinds(run: RunRecord, column: Column, exam: ExamScores, apart: Collection[int]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {kind: [] for kind in ORDER}
    for place, fate in item_fates(run, column).items():
        found[fate].append(place)
    found["between runs"] = list(apart)
    found["in between"] = moved_items(exam)
    return found


def _alike(exam: ExamScores) -> tuple[str, str, int]:
    return exam.exam, exam.digest, len(exam.ids)


def _apart(runs: Sequence[RunRecord]) -> dict[tuple[str, str, int], list[int]]:
    """Return, of each exam, the places of the items that do not have one score in all runs after the last lesson."""
    rows: dict[tuple[str, str, int], list[np.ndarray]] = {}
    for run in runs:
        for exam in run.item_scores.exams:
            if (row := exam.rows.get(run.matrix.num_lessons)) is not None:
                rows.setdefault(_alike(exam), []).append(np.nan_to_num(row.values(), nan=-1.0))
    return {key: np.flatnonzero(np.ptp(np.array(values), axis=0) > 0).tolist() for key, values in rows.items()}


def _texts(run: RunRecord, exam: ExamScores, place: int, lessons: Collection[int] | None) -> dict[TextKey, Text]:
    found = whole_texts(run, exam, place, lessons)
    if found is None or not found.question:
        return {}
    item = exam.ids[place]
    answers = {TextKey(ANSWER, exam.rows[k].answers_key, item): Text(said) for k, said in found.said.items()}
    return {TextKey(QUESTION, exam.digest, item): Text(found.question, found.expected), **answers}
