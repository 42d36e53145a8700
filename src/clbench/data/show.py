"""Look at what a card holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from clbench.core.errors import DataError, did_you_mean
from clbench.core.types import Example
from clbench.data.card import CardKind, kind_at, list_cards, load_exam_card
from clbench.data.exam import open_exam
from clbench.data.task import open_task


def kind_of(name_or_path: str) -> CardKind:
    """Tell what a card is: by its name among the shipped ones, or by its fields.

    Raises:
        DataError: There is no such card, or no such file.
    """
    kinds: tuple[CardKind, ...] = ("tasks", "streams", "exams")
    if name_or_path.endswith((".yaml", ".yml")):
        return kind_at(name_or_path)
    known = {kind: list_cards(kind) for kind in kinds}
    for kind in kinds:
        if name_or_path in known[kind]:
            return kind
    near = did_you_mean(name_or_path, [n for names in known.values() for n in names])
    raise DataError(f"there is no task, stream or exam {name_or_path!r}", where="NAME", mend=near)


def examples_of(name_or_path: str, num: int, data: Path | None) -> Iterator[tuple[str, Example]]:
    """Give (where, example) for the first `num` examples of each split of a task, or of an exam.

    Raises:
        DataError: There is no such card, or its data cannot be read.
    """
    if kind_of(name_or_path) == "exams":
        card = load_exam_card(name_or_path)
        yield from ((f"exam {card.name}", e) for e in open_exam(card, None, data).examples[:num])
        return
    task = open_task(name_or_path, data)
    for split, examples in (("lesson", task.lesson), ("exam", task.exam)):
        yield from ((f"{task.name} {split}", e) for e in examples[:num])
