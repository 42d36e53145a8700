"""Look at a card's examples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from clbench.core.errors import DataError, did_you_mean
from clbench.core.types import Example
from clbench.data.card import list_cards, load_exam_card, load_stream_card
from clbench.data.exam import open_exam
from clbench.data.task import open_task


def examples_of(name_or_path: str, num: int, data: Path | None) -> Iterator[tuple[str, Example]]:
    """Give (where, example) for the first `num` examples of each split of a task or a stream, or of an exam.

    Raises:
        DataError: There is no such card, or its data cannot be read.
    """
    known = {kind: list_cards(kind) for kind in ("tasks", "streams", "exams")}
    is_path = name_or_path.endswith((".yaml", ".yml"))
    if not is_path and not any(name_or_path in names for names in known.values()):
        near = did_you_mean(name_or_path, [n for names in known.values() for n in names])
        raise DataError(f"there is no task, stream or exam {name_or_path!r}", where="NAME", mend=near)
    if name_or_path in known["exams"]:
        yield from ((f"exam {name_or_path}", e) for e in open_exam(load_exam_card(name_or_path)).examples[:num])
        return
    tasks = load_stream_card(name_or_path).tasks if name_or_path in known["streams"] else (name_or_path,)
    for name in tasks:
        task = open_task(name, data)
        for split, examples in (("lesson", task.lesson), ("exam", task.exam)):
            yield from ((f"{task.name} {split}", e) for e in examples[:num])
