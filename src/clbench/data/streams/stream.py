"""Streams: from a card to lesson plans, and from plans to lessons that hold only what a learner may know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from clbench.core.errors import AbsentError, DataError, did_you_mean
from clbench.core.kept import code_digest, kept_digests
from clbench.core.keys import digest, normal_text
from clbench.core.types import Example, Lesson, Stream, Task
from clbench.data.streams.card import Named, StreamCard, load_stream_card
from clbench.data.streams.increments import changed, limit_classes, limit_increment, parts
from clbench.data.streams.kept_stream import WORTH, kept_stream
from clbench.data.streams.lesson_plans import blurred, grouped, kinds_of, lesson_plans, lesson_shares, recurring, unique
from clbench.data.streams.order import named_order, ordered
from clbench.data.tasks.card import Card
from clbench.data.tasks.task import open_task, read_task


def asked(example: Example) -> str:
    """Return the question of an example, folded for comparison (NFKC, lower case, runs of blanks as one)."""
    return normal_text("\n".join(m.content for m in example.prompt))


def open_stream(name_or_path: str, data: Path | None) -> Stream:
    """Return a stream by card name or path; a task that is taught twice is read once.

    Args:
        name_or_path: Name of a shipped stream card, or path of one.
        data: Folder of the local data sets; None uses `$CLBENCH_DATA`.

    Raises:
        DataError: A card, its data or a row is wrong, a split is empty, or a lesson holds a question of an exam.
    """
    card = load_stream_card(name_or_path)
    names = named_order(card.order.named, card.where("order", "named")) if isinstance(card.order, Named) else card.tasks
    tasks: dict[str, Task] = {}
    missing: list[str] = []
    for name in dict.fromkeys(names):
        try:
            tasks[name] = open_task(name, data, beside=card.path)
        except AbsentError:
            if card.missing == "refuse":
                raise
            missing.append(name)
    if missing and not tasks:
        raise DataError("none of its tasks is here", where=str(card.path), mend=f"get one of {', '.join(missing)}")
    taught = [tasks[name] for name in names if name in tasks]
    return kept_stream(card, taught, missing, lambda: build(card, taught, missing))


def build(card: StreamCard, tasks: Sequence[Task], missing: Sequence[str] = ()) -> Stream:
    """Return the stream of open tasks that a card describes; pure.

    Args:
        card: The stream card.
        tasks: In the order of the card; one that occurs twice is taught twice. The card's worlds are added.
        missing: Names of tasks that were skipped.

    Raises:
        DataError: The card does not fit the tasks, or a lesson holds a question of an exam.
    """
    units = [*tasks, *_worlds(card)]
    pool = {task.name: task for task in units}
    if strange := sorted(set(card.classes) - set(pool) - set(missing)):
        mend = did_you_mean(strange[0], pool)
        raise DataError(f"there is no task {strange[0]!r} to split", where=card.where("classes", strange[0]), mend=mend)
    clean, dropped = _disjoint(tuple(pool.values()), card)
    split = {task.name: _increments(task, card) for task in clean}
    increments = [part for unit in units for part in split[unit.name]]
    columns = {part.name: part for of_task in split.values() for part in of_task}
    if len(columns) < sum(map(len, split.values())):
        raise DataError("a task bears the name of another one's increment", where=card.where("classes"))
    groups = recurring(grouped(ordered(increments, card.order), card), card.recur.every)
    plans = lesson_plans(blurred(lesson_shares(groups, card), card.blur, card.seed))
    return Stream(
        name=card.name,
        tasks=tuple(columns[name] for name in dict.fromkeys(n for plan in plans for n in plan.teaches)),
        plans=plans,
        task_ids=card.task_ids,
        budget=card.budget,
        passes=1 if card.online else None,
        dropped=dropped,
        missing=tuple(missing),
    )


def _increments(task: Task, card: StreamCard) -> list[Task]:
    small = limit_classes(task, card)
    found = parts(small, card.classes[task.name], card) if task.name in card.classes else [small]
    return [limit_increment(part, card) for part in found]


def _worlds(card: StreamCard) -> list[Task]:
    found: list[Task] = []
    for worlds in card.worlds:
        for name, world in worlds.settings().items():
            tokens = {"classification": None, "qa": 8, "generation": 32}[world["form"]]
            values = {
                "name": name,
                "source": {"world": world},
                "decode": None if tokens is None else {"kind": "text", "max_tokens": tokens},
                "about": {
                    "license": "Apache-2.0",
                    "language": world["language"],
                    "kind": world["form"],
                    "domain": f"{world['kind']} {world['seed']}",
                },
            }
            found.append(read_task(Card.model_validate(values, context={"path": card.path}), None))
    repeated = [name for name, num in Counter(task.name for task in found).items() if num > 1]
    if repeated:
        raise DataError(f"two worlds are named {repeated[0]!r}", where=card.where("worlds"), mend="give other seeds")
    return found


def _disjoint(tasks: Sequence[Task], card: StreamCard) -> tuple[list[Task], dict[str, int]]:
    """Return tasks whose lessons and development sets hold no question of an exam of the stream, nor of each other.

    Returns:
        (The tasks without the dropped examples, the number of these by task.)
    """
    exams = {asked(e): f"{e.id!r} of the exam of {task.name!r}" for task in tasks for e in task.exam}
    # An example that both the exam and a development set ask is named as the exam's.
    held = {asked(e): f"{e.id!r} of the dev split of {task.name!r}" for task in tasks for e in task.dev} | exams
    clean: list[Task] = []
    dropped: dict[str, int] = {}
    for task in tasks:
        if not task.lesson:
            mend = "name it under `exams`, and teach another"
            raise DataError(f"task {task.name!r} is for exams only", where=str(card.path), mend=mend)
        kept: dict[str, tuple[Example, ...]] = {}
        for split, examples, others in (("lesson", task.lesson, held), ("dev", task.dev, exams)):
            leaks = {e.id: others[question] for e in examples if (question := asked(e)) in others}
            if leaks and card.leaks == "refuse":
                raise _leak(task, split, *next(iter(leaks.items())), card)
            if leaks:
                kept[split] = tuple(e for e in examples if e.id not in leaks)
                dropped[task.name] = dropped.get(task.name, 0) + len(leaks)
        clean.append(changed(task, **kept) if kept else task)
        if not clean[-1].lesson:
            raise DataError(f"exams ask all that the lesson of {task.name!r} holds", where=str(card.path))
    return clean, dropped


def _leak(task: Task, split: str, example: str, other: str, card: StreamCard) -> DataError:
    return DataError(
        f"{split} example in the exam: {example!r} of task {task.name!r} asks what {other} asks",
        where=str(card.path),
        mend=f"take the row out of the {split} split, under a new card name; or `leaks: drop` in the stream's card",
    )


def lessons(stream: Stream) -> tuple[Lesson, ...]:
    """Return lessons 1..T of a stream; a lesson names its task only if the stream gives task ids."""
    return tuple(
        Lesson(
            number=number,
            examples=taught.examples,
            task_name="+".join(taught.teaches) if stream.task_ids == "given" else None,
            budget=stream.budget,
            passes=stream.passes,
            digest=taught.digest or digest(taught.examples),
            kinds=taught.kinds,
        )
        for number, taught in enumerate(stream.plans, start=1)
    )


def merge_lessons(lessons: Sequence[Lesson]) -> Lesson:
    """Return all lessons as one, number 1, for a learner that is taught everything at once.

    If ids occur in several lessons, all are prefixed with the number of their lesson.

    Raises:
        ValueError: There is no lesson.
    """
    if not lessons:
        raise ValueError("nothing to merge")
    examples = unique([(str(lesson.number), e) for lesson in lessons for e in lesson.examples])
    first = lessons[0]
    kinds = kinds_of([(each.number, kind) for each in lessons for kind in each.kinds or (0,) * len(each.examples)])
    (whole,) = _merged_digest(lessons, examples)
    return Lesson(
        number=1,
        examples=examples,
        budget=first.budget,
        passes=first.passes,
        digest=whole,
        kinds=kinds,
    )


def _merged_digest(lessons: Sequence[Lesson], examples: Sequence[Example]) -> list[str]:
    """Return the digest of the examples of all lessons, which the lessons' own determine, in a list."""

    def make() -> list[str]:
        return [digest(examples)]

    about = {"merged": [[lesson.number, lesson.digest] for lesson in lessons], "code": code_digest("core", "data")}
    return make() if len(examples) < WORTH else kept_digests(about, make)
