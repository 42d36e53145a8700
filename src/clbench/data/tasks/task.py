"""From a card to a task: read rows, fill templates, take some, digest them, compare with the lock."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from clbench.core.errors import DataError, did_you_mean
from clbench.core.events import notice
from clbench.core.keys import digest, plain_label
from clbench.core.scorers import adapt_to_language, notice_doubts
from clbench.core.types import Decode, Example, ScorerSpec, Task
from clbench.data.eval_only import refuse_eval_only_row
from clbench.data.tasks.card import Card, Lock, WorldSource, load_task_card
from clbench.data.tasks.fetch import choose, split_rows
from clbench.data.tasks.kept_rows import ChosenRows, kept_rows
from clbench.data.tasks.rendering import Folds, Rendering
from clbench.data.tasks.source import RowSource


def rank(seed: int, identity: str) -> str:
    """Return the sort key of a row for `take`: sha256 of (seed, id), whatever the order of rows."""
    return hashlib.sha256(f"{seed}\0{identity}".encode()).hexdigest()


class Taking:
    """Rows of a card's splits on their way into a task: those that it takes, and what is known from all of them.

    Ids and answers of a closed set are read from every row; only what is taken is rendered.

    Attributes:
        labels: The label set; it grows until `closed`.
        left_out: Ids that the card's `skip` named and that were there.
    """

    def __init__(self, card: Card, source: RowSource, data: Path | None, folds: Folds) -> None:
        listed = tuple(map(plain_label, card.labels)) if isinstance(card.labels, tuple) else None
        self.card, self.data, self.source = card, data, source
        self.shape = Rendering(card, folds)
        self.labels: set[str] = set(listed or ())
        self.closed = listed is not None
        self.choices = listed
        self.left_out: set[str] = set()

    def take(self, split: str, num: int | None) -> list[Example]:
        """Return the `num` examples of a split whose hashes of (seed, id) are smallest, by hash; None takes all."""
        rows = self._ranked(split)
        best = sorted(rows, key=itemgetter(0)) if num is None else heapq.nsmallest(num, rows, key=itemgetter(0))
        return [render() for _, render in best]

    def _ranked(self, split: str) -> Iterator[tuple[str, Callable[[], Example]]]:
        """Yield (rank, how to render it) of each row that can be asked and is not skipped; refuses a repeated id."""
        card, shape = self.card, self.shape
        taught, skip = card.splits.lesson is not None, frozenset(card.skip)
        # The hash of each id instead of the id itself: a million rows need little memory.
        first: dict[int, str] = {}
        for where, row in split_rows(card, self.source, split, self.data):
            if taught:
                refuse_eval_only_row(row, where)
            for place, columns, named in shape.parts(where, row):
                answer = shape.answer(place, columns)
                if answer is None:
                    continue
                identity = named or shape.identity(columns, place)
                hash64 = hash(identity)
                if hash64 in first:
                    kind = "the id is" if card.id else "the whole row is"
                    raise DataError(f"duplicate id {identity!r}: {kind} also at {first[hash64]}", where=where)
                first[hash64] = where.rpartition(":")[2]
                self._see(answer[0], place)
                if identity in skip:
                    self.left_out.add(identity)
                else:
                    render = partial(shape.example, place, identity, columns, *answer)
                    yield rank(card.take.seed, identity), render

    def _see(self, label: str, where: str) -> None:
        if self.card.labels is None or label in self.labels:
            return
        if self.closed:
            raise DataError(f"label {label!r} is outside the set", where=where, mend=did_you_mean(label, self.labels))
        self.labels.add(label)


def _chosen(card: Card, source: RowSource, data: Path | None, folds: Folds) -> ChosenRows:
    taking = Taking(card, source, data, folds)
    take = taking.take
    lesson = [] if card.splits.lesson is None else take(card.splits.lesson, card.take.lesson)
    if card.rubric is not None and (card.check or card.labels is not None or card.choices is not None):
        what = "rubrics grade free text: check, labels and choices have no place beside them"
        raise DataError(what, where=f"{card.path} rubric", mend="leave out one of them")
    if card.rubric is not None:  # of graders alone: what is taught must not hold them
        lesson = [e.model_copy(update={"rubric": (), "check": ""}) for e in lesson]
    taking.closed = True
    exam = take(card.splits.exam, card.take.exam)
    dev: list[Example] = []
    if card.splits.dev is not None and card.take.dev != 0:
        dev = take(card.splits.dev, card.take.dev)
    if folds.bad and not (exam and (lesson or card.splits.lesson is None)):
        where, why = folds.bad[0]
        raise DataError(f"no row is left: {why}", where=where)
    if unknown := sorted(set(card.skip) - taking.left_out):
        raise DataError(f"skip names {unknown[0]!r}, and no row that was read bears that id", where=str(card.path))
    choices = tuple(sorted(taking.labels)) if taking.choices is None else taking.choices
    parts = {"lesson": lesson, "exam": exam, "dev": dev}
    offered = {name: tuple(_offered(example, choices) for example in part) for name, part in parts.items()}
    return ChosenRows(**offered, labels=choices, digest=digest({**offered, "labels": choices}))


def _offered(example: Example, labels: tuple[str, ...]) -> Example:
    """Return an example with the label set as its choices, unless it offers choices of its own."""
    return example if example.choices or not labels else example.model_copy(update={"choices": labels})


def _from_world(card: Card, settings: Mapping[str, Any]) -> Task:
    from clbench.data.worlds.spec import WorldSpec
    from clbench.data.worlds.world import build

    try:
        spec = WorldSpec.model_validate(settings)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in problem["loc"])
        mend = did_you_mean(field, WorldSpec.model_fields) if problem["type"] == "extra_forbidden" else ""
        raise DataError(problem["msg"], where=f"{card.path} source.world.{field}", mend=mend) from None
    world = build(spec)
    parts = [
        tuple(examples) if num is None else smallest(examples, num, card.take.seed)
        for examples, num in (
            (world.lesson, card.take.lesson),
            (world.exam, card.take.exam),
            (world.dev, card.take.dev),
        )
    ]
    lesson, exam, dev = parts
    labels = tuple(world.labels)
    whole = digest({"lesson": lesson, "exam": exam, "dev": dev, "labels": labels})
    return _task(card, ChosenRows(lesson=lesson, exam=exam, dev=dev, labels=labels, digest=whole), world.guess_rate)


def smallest(examples: Sequence[Example], num: int, seed: int) -> tuple[Example, ...]:
    """Return the `num` examples whose hashes of (seed, id) are smallest, in their own order."""
    if num >= len(examples):
        return tuple(examples)
    chosen = {e.id for e in heapq.nsmallest(num, examples, key=lambda e: rank(seed, e.id))}
    return tuple(e for e in examples if e.id in chosen)


def decode_of(decode: Decode | None, labels: Sequence[str]) -> Decode:
    """Return the decoding: a closed label set is ranked unless the card says otherwise."""
    if decode is not None and ("kind" in decode.model_fields_set or not labels):
        return decode
    return (decode or Decode()).model_copy(update={"kind": "label" if labels else "text"})


def _task(card: Card, rows: ChosenRows, guess_rate: float | None) -> Task:
    lesson, exam, labels = rows.lesson, rows.exam, rows.labels
    for name, split in (("lesson", lesson), ("exam", exam)):
        if not split and (name == "exam" or card.splits.lesson is not None):
            raise DataError(f"the {name} split of task {card.name!r} is empty", where=str(card.path))
    offered = labels or exam[0].choices
    if guess_rate is None:
        guess_rate = guessed(exam)
    return Task(
        name=card.name,
        lesson=lesson,
        exam=exam,
        dev=rows.dev,
        labels=labels,
        decode=decode_of(card.decode, offered),
        scorer=adapt_to_language(card.scorer or ScorerSpec(name=_scorer_of(card, offered)), card.about, str(card.path)),
        guess_rate=stated_guess_rate(card.about, guess_rate, str(card.path)),
        about=card.about,
        digest=rows.digest,
    )


def guessed(exam: Sequence[Example]) -> float:
    """Return the expected score of guessing among each question's choices, in [0, 1]; 0 for free text."""
    nums = Counter(len(e.choices) for e in exam)
    # Divided in this order, the rate is exactly 1/n if every question offers n choices.
    return sum(num / len(exam) / choices for choices, num in nums.items() if choices)


def stated_guess_rate(about: Mapping[str, Any], default: float, where: str) -> float:
    """Return the guess rate that a card states, else the default.

    Raises:
        DataError: It is not a number in [0, 1].
    """
    stated = about.get("guess_rate", default)
    if isinstance(stated, bool) or not isinstance(stated, (int, float)) or not 0 <= stated <= 1:
        raise DataError(f"guess_rate must be a number in [0, 1], not {stated!r}", where=f"{where} about.guess_rate")
    return float(stated)


def _scorer_of(card: Card, offered: Sequence[str]) -> str:
    return "judged" if card.rubric is not None else "label" if offered else "exact"


def read_task(card: Card, data: Path | None, folds: Folds | None = None) -> Task:
    """Return the task of a card without comparing it with the lock; raises as `open_task` does.

    Args:
        card: The card.
        data: Folder of the local data sets.
        folds: Collects what reading changes and leaves out; None reports that as notices.
    """
    if isinstance(card.source, WorldSource):
        return _from_world(card, card.source.world)
    source = choose(card, data)
    if folds is not None:
        return _task(card, _chosen(card, source, data, folds), None)
    return _task(card, kept_rows(card, source, data, lambda: _told(card, source, data)), None)


def _told(card: Card, source: RowSource, data: Path | None) -> ChosenRows:
    """Choose and render the rows of a card, and say what reading them changes and leaves out."""
    folds = Folds()
    rows = _chosen(card, source, data, folds)
    for text in folds.notices(card.name):
        notice(text)
    return rows


def lock_of(task: Task) -> Lock:
    """Return the lock that fits a task."""
    nums = {"lesson": len(task.lesson), "dev": len(task.dev), "exam": len(task.exam)}
    return Lock(**nums, guess_rate=round(task.guess_rate, 4), digest=f"sha256:{task.digest}")


def fits(lock: Lock | None, task: Task) -> bool:
    """Return whether a task fits its lock; old locks do not hold the guess rate."""
    have = lock_of(task)
    return lock is not None and lock in (have, have.model_copy(update={"guess_rate": None}))


def verify_lock(card: Card, task: Task) -> None:
    """Refuse a task that differs from its card's lock, if there is one.

    Raises:
        DataError: Counts or digest differ: the data or the card changed since it was locked.
    """
    if fits(card.lock, task) or card.lock is None:
        return
    have = lock_of(task)
    counts = [
        f"{name} {is_}, lock says {was}"
        for name, is_, was in (
            ("lesson", have.lesson, card.lock.lesson),
            ("dev", have.dev, card.lock.dev),
            ("exam", have.exam, card.lock.exam),
            ("guess_rate", have.guess_rate, card.lock.guess_rate),
        )
        if was is not None and is_ != was
    ]
    raise DataError(
        f"task {card.name!r} is not what was locked: {'; '.join(counts) or 'other content'}",
        where=str(card.path),
        mend="get the data the card was written for; rows of your own belong under a name of their own, "
        f"clbench data add FILE --task NAME; for a new card, clbench check card {card.name} --lock",
    )


def open_task(name_or_path: str, data: Path | None, beside: Path | None = None) -> Task:
    """Return a task by card name or path.

    Args:
        name_or_path: Name of a shipped task card, or path of one.
        data: Folder of the local data sets; None uses `$CLBENCH_DATA`.
        beside: The stream card that names it, so that cards in its folder are found.

    Raises:
        DataError: The card, its data or a row is wrong, or the rows are not the locked ones.
    """
    card = load_task_card(name_or_path, beside)
    task = read_task(card, data)
    if card.unverified:
        notice(
            f"task {card.name!r} is unverified: its card was written from documentation and never compared with its "
            f"rows; `clbench check card {card.name} --lock` does that"
        )
    verify_lock(card, task)
    notice_doubts(task.scorer, task.exam, task.name, str(card.path))
    return task
