"""Items that changed, as data of the report's item browser: what was asked, expected and said after each lesson."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import Any

from clbench.core.matrix import Column
from clbench.report.escape import plain
from clbench.report.page.item_browser_texts import BROWSER_TEXTS
from clbench.report.runs.groups import Group
from clbench.report.runs.item_histories import Fate, item_fates, moved_items, texts_of
from clbench.report.runs.load import RunRecord
from clbench.report.runs.store_texts import shorten

MOST_CHARACTERS = 300_000  # of all that is embedded: the page stays one that a mail takes
LONGEST_QUESTION, LONGEST_ANSWER = 1200, 300  # characters
LETTERS: Mapping[Fate, str] = {"forgotten": "f", "learnt": "l", "never": "n"}
CHANGED = "c"
ORDER = "flcn"  # in which the items of an exam take turns
NOT_ASKED = -1


@dataclass
class _Embedded:
    """What is embedded so far: answers, each once, and the room that is left in characters."""

    room: int
    answers: dict[str, int] = field(default_factory=dict[str, int])

    def number(self, text: str) -> int:
        """Return the number of an answer; one that is not there yet takes room."""
        if text not in self.answers:
            self.answers[text] = len(self.answers)
            self.room -= _size(text)
        return self.answers[text]


@dataclass(frozen=True)
class _Changed:
    """An exam with the places of its items that changed or were never right: place -> method -> letters of `ORDER`."""

    column: Column
    places: Mapping[int, Mapping[int, str]]


def item_browser(groups: Sequence[Group], lang: str) -> dict[str, Any] | None:
    """Return the data of the browser, or None where no item of these methods changed, or no text of one is at hand.

    Of every method the first run counts. Items take turns: of each exam one that was forgotten, one that was learnt,
    one that changed in between, one that was never right, and so on, until the room is used; all exams get the same
    room, and what one leaves is for the others.

    Returns:
        `methods`; `exams` as [name, lesson that teaches it or 0, lessons with answers]; `answers`; `items` as [exam,
        id, question, expected, [[method, letters, scores, answers]]]: numbers refer to the lists above, a score of -1
        to a lesson in which the item was not asked, an answer of -1 to one that is not at hand, and letters are f for
        forgotten, l for learnt, n for never and c for changed; `left` and `unknown`: how many items had no room, and
        how many no text at hand; `texts`.
    """
    runs = [group.runs[0] for group in groups]
    changed = [found for column in _columns(runs) if (found := _changed(runs, column)).places]
    told = _Embedded(MOST_CHARACTERS)
    exams: list[tuple[str, int, list[int]]] = []
    items: list[list[Any]] = []
    left = unknown = 0
    for number, exam in enumerate(changed):
        lessons = _lessons(runs, exam.column.name)
        exams.append((plain(exam.column.name), exam.column.taught or 0, lessons))
        floor = told.room - told.room // (len(changed) - number)
        for place in _in_turn(exam):
            if told.room <= floor:
                left += 1
            elif (item := _item(runs, exam, place, lessons, told)) is None:
                unknown += 1
            else:
                items.append([number, *item])
    if not items:
        return None
    return {
        "methods": [plain(group.label) for group in groups],
        "exams": exams,
        "answers": list(told.answers),
        "items": items,
        "left": left,
        "unknown": unknown,
        "texts": BROWSER_TEXTS[lang],
    }


def _columns(runs: Sequence[RunRecord]) -> Iterable[Column]:
    return {column.name: column for run in runs for column in run.matrix.columns}.values()


def _lessons(runs: Sequence[RunRecord], exam: str) -> list[int]:
    return sorted({k for run in runs for e in run.item_scores.exams if e.exam == exam for k in e.rows})


def _changed(runs: Sequence[RunRecord], column: Column) -> _Changed:
    """Return the places of an exam whose item was right in one row and wrong in another one, or never right."""
    places: dict[int, dict[int, str]] = {}
    for number, run in enumerate(runs):
        own = next((c for c in run.matrix.columns if c.name == column.name), None)
        exam = next((e for e in run.item_scores.exams if e.exam == column.name), None)
        if own is None or exam is None:
            continue
        letters = {place: LETTERS[fate] for place, fate in item_fates(run, own).items()}
        letters |= {place: letters.get(place, "") + CHANGED for place in moved_items(exam)}
        for place, found in letters.items():
            places.setdefault(place, {})[number] = found
    return _Changed(column, places)


def _in_turn(exam: _Changed) -> Iterator[int]:
    """Walk the places of an exam, those of each letter in turn; an item counts by its first letter in `ORDER`."""
    kinds: dict[str, list[int]] = {letter: [] for letter in ORDER}
    for place, found in sorted(exam.places.items()):
        kinds[min("".join(found.values()), key=ORDER.index)].append(place)
    return (place for place in chain.from_iterable(zip_longest(*kinds.values())) if place is not None)


def _item(
    runs: Sequence[RunRecord], exam: _Changed, place: int, lessons: Sequence[int], told: _Embedded
) -> list[Any] | None:
    """Return an item as JSON has it, without its exam; None where no run has its question at hand."""
    name = exam.column.name
    rows: list[list[Any]] = []
    question, expected, name_of_item = "", "", ""
    for number, run in enumerate(runs):
        scores = next((e for e in run.item_scores.exams if e.exam == name), None)
        if scores is None or place >= len(scores.ids) or (name_of_item and scores.ids[place] != name_of_item):
            continue  # a run that was asked another set of questions
        texts = texts_of(run, scores, place)
        name_of_item = scores.ids[place]
        question, expected = question or texts.question, expected or " | ".join(texts.expected)
        values = {k: float(row.values()[place]) for k, row in scores.rows.items()}
        said = {k: plain(shorten(text, LONGEST_ANSWER)) for k, text in texts.said.items()}
        marks = [_mark(values[k]) if k in values else NOT_ASKED for k in lessons]
        rows.append([number, exam.places[place].get(number, ""), marks, said])
    if not question:
        return None
    for row in rows:
        row[3] = [told.number(row[3][k]) if k in row[3] else NOT_ASKED for k in lessons]
    shown = shorten(expected, LONGEST_ANSWER)
    item = [plain(name_of_item), plain(shorten(question, LONGEST_QUESTION)), plain(shown), rows]
    told.room -= _size(item)
    return item


def _mark(score: float) -> float | None:
    return None if math.isnan(score) else round(score, 3)


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
