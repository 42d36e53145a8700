"""Turn a card into a task: read, fill templates, take, digest, compare with the lock."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from clbench.core.errors import DataError, did_you_mean
from clbench.core.keys import digest, plain_label
from clbench.core.notice import notice
from clbench.core.scorers import doubt, suited
from clbench.core.types import Decode, Example, ScorerSpec, Task
from clbench.data.card import Card, Lock, WorldSource, load_task_card
from clbench.data.fetch import Rows, choose, split_rows
from clbench.data.rendering import Draft, Folds, Rendering


def rank(seed: int, identity: str) -> str:
    """Give the place of a row in the order of `take`: sha256 of (seed, id), so it survives any row order."""
    return hashlib.sha256(f"{seed}\0{identity}".encode()).hexdigest()


def _drafts(shape: Rendering, rows: Rows, see: Callable[[Draft], None]) -> Iterator[Draft]:
    """Yield every row of a split, rendered; refuses a repeated id; `see` may refuse a row."""
    # Eight bytes of a hash per row instead of the id itself: a million rows need little memory.
    first: dict[int, str] = {}
    for where, row in rows:
        for draft in shape.drafts(where, row):
            mark = int.from_bytes(hashlib.sha256(draft.identity.encode()).digest()[:8])
            if mark in first:
                kind = "the id is" if shape.card.id else "the whole row is"
                raise DataError(f"duplicate id {draft.identity!r}: {kind} also at {first[mark]}", where=where)
            first[mark] = where.rpartition(":")[2]
            see(draft)
            yield draft


def _kept(skip: Collection[str], drafts: Iterable[Draft], left_out: set[str]) -> Iterator[Draft]:
    """Yield the rows that a card does not skip, and note those that it does."""
    for draft in drafts:
        if draft.identity in skip:
            left_out.add(draft.identity)
        else:
            yield draft


def _taken(card: Card, drafts: Iterable[Draft], num: int | None) -> list[Draft]:
    def place(draft: Draft) -> str:
        return rank(card.take.seed, draft.identity)

    return sorted(drafts, key=place) if num is None else heapq.nsmallest(num, drafts, key=place)


def _examples(card: Card, drafts: Sequence[Draft], choices: tuple[str, ...]) -> tuple[Example, ...]:
    return tuple(
        Example(
            id=d.identity,
            prompt=tuple(m.model_copy(update={"content": c}) for m, c in zip(card.prompt, d.prompt, strict=True)),
            targets=d.targets,
            choices=d.choices or choices,
            check=d.check,
            group=d.group,
        )
        for d in drafts
    )


def _from_rows(card: Card, data: Path | None, folds: Folds) -> Task:
    shape = Rendering(card, folds)
    listed = tuple(map(plain_label, card.labels)) if isinstance(card.labels, tuple) else None
    labels: set[str] = set(listed or ())
    closed = listed is not None

    def see(draft: Draft) -> None:
        if card.labels is not None and draft.targets[0] not in labels:
            if closed:
                near = did_you_mean(draft.targets[0], labels)
                raise DataError(f"label {draft.targets[0]!r} is outside the set", where=draft.where, mend=near)
            labels.add(draft.targets[0])

    source = choose(card, data)

    left_out: set[str] = set()

    def taken(split: str, num: int | None) -> list[Draft]:
        drafts = _drafts(shape, split_rows(card, source, split, data), see)
        return _taken(card, _kept(card.skip, drafts, left_out), num)

    lesson = [] if card.splits.lesson is None else taken(card.splits.lesson, card.take.lesson)
    closed = True
    exam = taken(card.splits.exam, card.take.exam)
    dev: list[Draft] = []
    if card.splits.dev is not None and card.take.dev != 0:
        dev = taken(card.splits.dev, card.take.dev)
    if folds.bad and not (exam and (lesson or card.splits.lesson is None)):
        where, why = folds.bad[0]
        raise DataError(f"no row is left: {why}", where=where)
    if unknown := sorted(set(card.skip) - left_out):
        raise DataError(f"skip names {unknown[0]!r}, and no row that was read bears that id", where=str(card.path))
    choices = listed if listed is not None else tuple(sorted(labels))
    parts = [_examples(card, drafts, choices) for drafts in (lesson, exam, dev)]
    return _task(card, parts, choices, None)


def _from_world(card: Card, settings: Mapping[str, Any]) -> Task:
    from clbench.data.worlds.world import WorldSpec, build

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
    return _task(card, parts, tuple(world.labels), world.chance)


def smallest(examples: Sequence[Example], num: int, seed: int) -> tuple[Example, ...]:
    """Take the `num` examples whose hashes of (seed, id) are smallest, in their own order."""
    if num >= len(examples):
        return tuple(examples)
    chosen = {e.id for e in heapq.nsmallest(num, examples, key=lambda e: rank(seed, e.id))}
    return tuple(e for e in examples if e.id in chosen)


def decode_of(decode: Decode | None, labels: Sequence[str]) -> Decode:
    """Give the decoding: a closed label set is ranked unless the card says otherwise."""
    if decode is not None and ("kind" in decode.model_fields_set or not labels):
        return decode
    return (decode or Decode()).model_copy(update={"kind": "label" if labels else "text"})


def _task(card: Card, parts: Sequence[tuple[Example, ...]], labels: tuple[str, ...], chance: float | None) -> Task:
    lesson, exam, dev = parts
    for name, split in (("lesson", lesson), ("exam", exam)):
        if not split and (name == "exam" or card.splits.lesson is not None):
            raise DataError(f"the {name} split of task {card.name!r} is empty", where=str(card.path))
    offered = labels or exam[0].choices
    if chance is None:
        chance = guessed(exam)
    return Task(
        name=card.name,
        lesson=lesson,
        exam=exam,
        dev=dev,
        labels=labels,
        decode=decode_of(card.decode, offered),
        scorer=suited(card.scorer or ScorerSpec(name="label" if offered else "exact"), card.about, str(card.path)),
        chance=chance_of(card.about, chance, str(card.path)),
        about=card.about,
        digest=digest({"lesson": lesson, "exam": exam, "dev": dev, "labels": labels}),
    )


def guessed(exam: Sequence[Example]) -> float:
    """Give the expected score of guessing among each question's choices, in [0, 1]; 0 for free text."""
    nums = Counter(len(e.choices) for e in exam)
    # Divided in this order, a set of which every question offers n choices gives exactly 1/n.
    return sum(num / len(exam) / choices for choices, num in nums.items() if choices)


def chance_of(about: Mapping[str, Any], default: float, where: str) -> float:
    """Give the chance level that a card states, else the default.

    Raises:
        DataError: It is no number in [0, 1].
    """
    stated = about.get("chance", default)
    if isinstance(stated, bool) or not isinstance(stated, (int, float)) or not 0 <= stated <= 1:
        raise DataError(f"chance must be a number in [0, 1], not {stated!r}", where=f"{where} about.chance")
    return float(stated)


def read_task(card: Card, data: Path | None, folds: Folds | None = None) -> Task:
    """Make the task of a card without comparing it with the lock; raises as `open_task` does.

    Args:
        card: The card.
        data: Folder of the local data sets.
        folds: Takes what reading changes and leaves out, which else is told as notices.
    """
    if isinstance(card.source, WorldSource):
        return _from_world(card, card.source.world)
    found = Folds() if folds is None else folds
    task = _from_rows(card, data, found)
    for text in found.told(card.name) if folds is None else ():
        notice(text)
    return task


def lock_of(task: Task) -> Lock:
    """Give the lock that fits a task."""
    nums = {"lesson": len(task.lesson), "dev": len(task.dev), "exam": len(task.exam)}
    return Lock(**nums, chance=round(task.chance, 4), digest=f"sha256:{task.digest}")


def fits(lock: Lock | None, task: Task) -> bool:
    """Say whether a task is what was locked; a lock from before the chance level was kept does not name it."""
    have = lock_of(task)
    return lock is not None and lock in (have, have.model_copy(update={"chance": None}))


def verify_lock(card: Card, task: Task) -> None:
    """Compare a task with its card's lock, if there is one.

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
            ("chance", have.chance, card.lock.chance),
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
    """Open a task by card name or path.

    Args:
        name_or_path: Name of a shipped task card, or path of one.
        data: Folder of the local data sets; None asks `$CLBENCH_DATA`.
        beside: The stream card that names it, so that cards in its folder are found.

    Raises:
        DataError: The card, its data or a row is wrong, or the rows are not those that were locked.
    """
    card = load_task_card(name_or_path, beside)
    task = read_task(card, data)
    if card.unverified:
        notice(
            f"task {card.name!r} is unverified: its card was written from documentation and never compared with its "
            f"rows; `clbench check card {card.name} --lock` does that"
        )
    verify_lock(card, task)
    doubt(task.scorer, task.exam, task.name, str(card.path))
    return task
