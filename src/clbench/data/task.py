"""Turn a card into a task: read, fill templates, take, digest, compare with the lock."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from clbench.core.errors import DataError, did_you_mean
from clbench.core.keys import canonical, digest, normal_text
from clbench.core.notice import notice
from clbench.core.scorers import doubt, suited
from clbench.core.types import Decode, Example, ScorerSpec, Task
from clbench.data import template
from clbench.data.card import Card, Lock, WorldSource, load_task_card
from clbench.data.columns import as_text
from clbench.data.fetch import Rows, choose, split_rows


def rank(seed: int, identity: str) -> str:
    """Give the place of a row in the order of `take`: sha256 of (seed, id), so it survives any row order."""
    return hashlib.sha256(f"{seed}\0{identity}".encode()).hexdigest()


@dataclass(frozen=True)
class _Draft:
    """One row, rendered."""

    identity: str
    where: str
    prompt: tuple[str, ...]
    targets: tuple[str, ...]
    choices: tuple[str, ...]
    check: str
    group: str | None = None


class _Shape:
    """How a card's rows are rendered; templates are parsed once."""

    def __init__(self, card: Card) -> None:
        self.card = card
        self.prompts = [template.parse(m.content) for m in card.prompt]
        self.target = template.parse(card.target)
        self.check = template.parse(card.check)
        self.accept = template.parse(card.accept).only_field if card.accept else None
        self.listed = template.parse(card.choices).only_field if isinstance(card.choices, str) else None
        self.offered = [] if isinstance(card.choices, str) else [template.parse(c) for c in card.choices or ()]
        fields = [f for t in (*self.prompts, self.target, self.check, *self.offered) for f in t.fields]
        self.fields = tuple(dict.fromkeys(fields))
        read = {c for made in card.columns.values() for c in made.reads}
        named = {*self.fields, *(f for f in (self.accept, self.listed) if f is not None)} - card.columns.keys()
        self.needed = {*read, *named, *card.each, *([card.id] if card.id else [])}

    def drafts(self, where: str, row: Mapping[str, Any]) -> Iterator[_Draft]:
        """Render a row as its examples, one but where the card says `each`, or say what is wrong with it."""
        if not self.card.each:
            yield self._draft(where, row)
            return
        identity = self._identity(row, where)
        for place, part in enumerate(_parts(row, self.card.each, where), start=1):
            draft = self._draft(f"{where} ({self.card.each[0]} {place})", part)
            yield replace(draft, identity=f"{identity}-{place}", group=identity)

    def _draft(self, where: str, row: Mapping[str, Any]) -> _Draft:
        if missing := self.needed - row.keys():
            name = sorted(missing)[0]
            raise DataError(f"there is no column {name!r}", where=where, mend=did_you_mean(name, row))
        whole = {**row, **self._made(row, where)}
        values = {f: self._text(f, whole[f], where) for f in self.fields}
        target = self.target.render(values)
        choices = self._choices(whole, values, where)
        if choices and self.card.target:
            target = self._chosen(target, choices, where)
        names = self.card.label_names
        if names is not None:
            if target not in names:
                raise DataError(f"label {target!r} is outside the set", where=where, mend=did_you_mean(target, names))
            target = names[target]
        return _Draft(
            self._identity(row, where),
            where,
            tuple(p.render(values) for p in self.prompts),
            (*([target] if self.card.target else []), *self._accepted(whole, target, where)),
            choices,
            self.check.render(values),
        )

    def _made(self, row: Mapping[str, Any], where: str) -> dict[str, str]:
        made: dict[str, str] = {}
        for name, how in self.card.columns.items():
            if name in row:
                raise DataError(f"the data has a column {name!r} of its own", where=where, mend="rename the card's")
            try:
                made[name] = how.made(row)
            except ValueError as error:
                raise DataError(f"column {how.reads[0]!r} {error}", where=where) from None
        return made

    def _text(self, field: str, value: Any, where: str) -> str:
        try:
            text = as_text(value)
        except ValueError as error:
            mend = "`columns` makes a text of a list"
            raise DataError(f"column {field!r} {error}", where=where, mend=mend) from None
        if field in self.card.remove:
            text = text.replace(self.card.remove[field], "")
        if field in self.card.clip:
            text = template.clip(text, self.card.clip[field])
        if not text.strip():
            raise DataError(f"column {field!r} is empty", where=where)
        return text

    def _choices(self, row: Mapping[str, Any], values: Mapping[str, str], where: str) -> tuple[str, ...]:
        if self.card.choices is None:
            return ()
        choices = tuple(offer.render(values) for offer in self.offered)
        if self.listed is not None:
            choices = tuple(_texts(row[self.listed], self.listed, where))
        if len(choices) < 2 or len({normal_text(c) for c in choices}) < len(choices):
            raise DataError(f"choices must be at least two different texts, not {list(choices)}", where=where)
        return choices

    def _chosen(self, target: str, choices: tuple[str, ...], where: str) -> str:
        keys = self.card.choice_keys
        named = dict(zip(choices if keys is None else keys, choices, strict=False))
        if target not in named:
            what = "is not among the choices" if keys is None else "names none of the choices"
            raise DataError(f"target {target!r} {what}", where=where, mend=did_you_mean(target, named))
        return named[target]

    def _accepted(self, row: Mapping[str, Any], target: str, where: str) -> list[str]:
        if self.accept is None:
            return []
        found: Any = row[self.accept]
        more = _texts([found] if isinstance(found, str) else found, self.accept, where)
        return [m for m in dict.fromkeys(more) if m != target]

    def _identity(self, row: Mapping[str, Any], where: str) -> str:
        if self.card.id is not None:
            return self._text(self.card.id, row[self.card.id], where)
        try:
            return hashlib.sha256(canonical(row).encode()).hexdigest()[:16]
        except (TypeError, ValueError) as error:
            raise DataError(f"the row has a value that cannot be hashed: {error}", where=where) from None


def _parts(row: Mapping[str, Any], columns: Sequence[str], where: str) -> list[dict[str, Any]]:
    for name in columns:
        if name not in row:
            raise DataError(f"there is no column {name!r}", where=where, mend=did_you_mean(name, row))
        if not isinstance(row[name], list):
            raise DataError(f"column {name!r} must be a list: the card has it in `each`", where=where)
    lengths = {name: len(row[name]) for name in columns}
    if len(set(lengths.values())) > 1:
        raise DataError(f"lists of different lengths: {lengths}", where=where, mend="`each` pairs them place by place")
    return [{**row, **{name: row[name][place] for name in columns}} for place in range(lengths[columns[0]])]


def _texts(value: Any, column: str, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):  # pyright: ignore[reportUnknownVariableType]  # a bare list has no item types
        raise DataError(f"column {column!r} must be a list of texts, none empty", where=where)
    return value


def _drafts(shape: _Shape, rows: Rows, see: Callable[[_Draft], None]) -> Iterator[_Draft]:
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


def _kept(skip: Collection[str], drafts: Iterable[_Draft], left_out: set[str]) -> Iterator[_Draft]:
    """Yield the rows that a card does not skip, and note those that it does."""
    for draft in drafts:
        if draft.identity in skip:
            left_out.add(draft.identity)
        else:
            yield draft


def _taken(card: Card, drafts: Iterable[_Draft], num: int | None) -> list[_Draft]:
    def place(draft: _Draft) -> str:
        return rank(card.take.seed, draft.identity)

    return sorted(drafts, key=place) if num is None else heapq.nsmallest(num, drafts, key=place)


def _examples(card: Card, drafts: Sequence[_Draft], choices: tuple[str, ...]) -> tuple[Example, ...]:
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


def _from_rows(card: Card, data: Path | None) -> Task:
    shape = _Shape(card)
    labels: set[str] = set(card.labels) if isinstance(card.labels, tuple) else set()
    closed = isinstance(card.labels, tuple)

    def see(draft: _Draft) -> None:
        if card.labels is not None and draft.targets[0] not in labels:
            if closed:
                near = did_you_mean(draft.targets[0], labels)
                raise DataError(f"label {draft.targets[0]!r} is outside the set", where=draft.where, mend=near)
            labels.add(draft.targets[0])

    source = choose(card, data)

    left_out: set[str] = set()

    def taken(split: str, num: int | None) -> list[_Draft]:
        drafts = _drafts(shape, split_rows(card, source, split, data), see)
        return _taken(card, _kept(card.skip, drafts, left_out), num)

    lesson = [] if card.splits.lesson is None else taken(card.splits.lesson, card.take.lesson)
    closed = True
    exam = taken(card.splits.exam, card.take.exam)
    dev: list[_Draft] = []
    if card.splits.dev is not None and card.take.dev != 0:
        dev = taken(card.splits.dev, card.take.dev)
    if unknown := sorted(set(card.skip) - left_out):
        raise DataError(f"skip names {unknown[0]!r}, and no row that was read bears that id", where=str(card.path))
    choices = card.labels if isinstance(card.labels, tuple) else tuple(sorted(labels))
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


def read_task(card: Card, data: Path | None) -> Task:
    """Make the task of a card without comparing it with the lock; raises as `open_task` does."""
    if isinstance(card.source, WorldSource):
        return _from_world(card, card.source.world)
    return _from_rows(card, data)


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
        mend=f"get the data the card was written for; or, for a new card, clbench check card {card.name} --lock",
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
