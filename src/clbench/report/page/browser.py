"""Example items: the question, the expected answer, and what every method answered after each lesson."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clbench.core.item_scores import ExampleItem
from clbench.report.escape import plain
from clbench.report.runs.groups import Group

LONGEST = 120  # characters of an answer in a cell; its whole text is the cell's title
MOST_COLUMNS = 12  # lessons of a long stream that are shown


@dataclass(frozen=True)
class Item:
    """One item.

    Attributes:
        id: Its name.
        question, expected: Its texts.
        lessons: After which lessons its answers are shown.
        rows: (method, answers); an answer is (short text, whole text, score), or None where there is none.
    """

    id: str
    question: str
    expected: str
    lessons: tuple[int, ...]
    rows: tuple[tuple[str, tuple[tuple[str, str, float | None] | None, ...]], ...]


def browser(groups: Sequence[Group]) -> list[tuple[str, list[Item]]]:
    """Return (exam, items) for every exam with example items on record; of each method the first run is shown."""
    found: dict[tuple[str, str], list[tuple[str, ExampleItem]]] = {}
    exams: dict[str, dict[str, None]] = {}
    for group in groups:
        for example in group.runs[0].example_items.items:
            found.setdefault((example.exam, example.id), []).append((group.label, example))
            exams.setdefault(example.exam, {})[example.id] = None
    return [(exam, [_item(found[exam, name]) for name in ids]) for exam, ids in exams.items()]


def _item(examples: Sequence[tuple[str, ExampleItem]]) -> Item:
    first = examples[0][1]
    lessons = sorted({lesson for _, example in examples for lesson in example.answers})
    if len(lessons) > MOST_COLUMNS:
        chosen = {round(k * (len(lessons) - 1) / (MOST_COLUMNS - 1)) for k in range(MOST_COLUMNS)}
        lessons = [lesson for k, lesson in enumerate(lessons) if k in chosen]
    rows = tuple(
        (
            label,
            tuple(
                (_short(answer.text), plain(answer.text), answer.score)
                if (answer := example.answers.get(lesson))
                else None
                for lesson in lessons
            ),
        )
        for label, example in examples
    )
    expected = plain(" | ".join(first.expected)) or "–"
    return Item(first.id, plain(first.question), expected, tuple(lessons), rows)


def _short(text: str) -> str:
    text = plain(text).replace("\n", " ⏎ ")
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
