"""The content of a card, for `clbench show`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from clbench.core.errors import DataError, did_you_mean, near_paths
from clbench.core.types import Example
from clbench.data.exams.exam import open_exam
from clbench.data.tasks.card import CardKind, list_cards, load_exam_card
from clbench.data.tasks.card_file import read_text
from clbench.data.tasks.card_folder import SUFFIXES, card_here, is_path, sort_of
from clbench.data.tasks.task import open_task

KINDS: tuple[CardKind, ...] = ("tasks", "streams", "exams")


def find(name_or_path: str) -> tuple[CardKind, str]:
    """Return a card's kind, and its name or path: a card of the current folder comes before a shipped one.

    Raises:
        DataError: There is no such card or file, or the file is something else.
    """
    if is_path(name_or_path):
        return _kind_of_file(Path(name_or_path)), name_or_path
    for kind in KINDS:
        if (here := card_here(kind, name_or_path)) != name_or_path:
            return kind, here
    known = {kind: list_cards(kind) for kind in KINDS}
    for kind in KINDS:
        if name_or_path in known[kind]:
            return kind, name_or_path
    for suffix in SUFFIXES:
        if Path(f"{name_or_path}{suffix}").is_file():
            return _kind_of_file(Path(f"{name_or_path}{suffix}")), f"{name_or_path}{suffix}"
    own = [str(path) for suffix in SUFFIXES for path in sorted(Path().glob(f"[!.]*{suffix}"))]
    near = did_you_mean(name_or_path, [*own, *(n for names in known.values() for n in names)])
    raise DataError(
        f"there is no task, stream or exam {name_or_path!r}",
        where="NAME",
        mend=f"{near}; methods and figures: clbench list learners, clbench list metrics",
    )


def _kind_of_file(path: Path) -> CardKind:
    if not path.exists():
        raise DataError("there is no such file", where=str(path), mend=near_paths(path))
    text = read_text(path)
    sort = sort_of(text.values)
    if sort in KINDS:
        return sort
    where = str(path)
    if sort == "recipe":
        stream = str(text.values.get("stream", "NAME"))
        mend = f"show its stream: clbench show {stream}; what it would make: clbench run {path} --plan"
        raise DataError("this is a recipe, not a card", where=where, mend=mend)
    what = {"models": "a recipe of models", "tuned": "a file of `clbench tune`"}.get(sort, "not a card")
    mend = "name a task, stream or exam card: docs/cards.md, docs/streams.md"
    raise DataError(f"this is {what}", where=where, mend=mend)


def examples_of(name_or_path: str, num: int, data: Path | None) -> Iterator[tuple[str, Example]]:
    """Yield (where, example) for the first `num` examples of each split of a task, or of an exam.

    Raises:
        DataError: There is no such card, or its data cannot be read.
    """
    kind, name_or_path = find(name_or_path)
    if kind == "exams":
        card = load_exam_card(name_or_path)
        yield from ((f"exam {card.name}", e) for e in open_exam(card, None, data).examples[:num])
        return
    task = open_task(name_or_path, data)
    for split, examples in (("lesson", task.lesson), ("exam", task.exam)):
        yield from ((f"{task.name} {split}", e) for e in examples[:num])
