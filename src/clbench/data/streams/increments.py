"""From tasks to increments: which examples a lesson may show, and which classes come together.

Every choice is by hash of (seed, id), so it depends neither on the order of rows nor on what else is in the stream.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from clbench.core.errors import DataError
from clbench.core.keys import digest, rng
from clbench.core.types import Example, Task
from clbench.data.streams.card import Classes, StreamCard
from clbench.data.tasks.task import rank


def set_of(task: Task) -> str:
    """Return the name of a task's label set: its own name, or that of the task of which it is a part."""
    return task.part_of or task.name


def form_of(task: Task) -> tuple[str, str]:
    """Return the form of a task: its kind, and the scorer that grades its answers."""
    return str(task.about.get("kind")), task.scorer.name


def class_of(task: Task, example: Example) -> str:
    """Return the class of an example; "" if the task has no closed label set."""
    return example.targets[0] if task.labels else ""


def positions(task: Task, examples: Sequence[Example], seed: int) -> list[int]:
    """Return each example's position in its class, from 0, in the order of the hashes of (seed, id)."""
    seen: Counter[str] = Counter()
    found = [0] * len(examples)
    for i in sorted(range(len(examples)), key=lambda i: rank(seed, examples[i].id)):
        found[i] = seen[class_of(task, examples[i])]
        seen[class_of(task, examples[i])] += 1
    return found


def changed(task: Task, **fields: Any) -> Task:
    """Return a copy of a task with other fields; its digest is made of the old one and of the remaining ids."""
    new = task.model_copy(update=fields)
    left = [[e.id for e in examples] for examples in (new.lesson, new.exam, new.dev)]
    return new.model_copy(update={"digest": digest([task.digest, left])})


def limit_classes(task: Task, card: StreamCard) -> Task:
    """Return a task with at most `labels_per_class` examples of a class, or with as many as the rarest (`balance`)."""
    most = [card.labels_per_class] if card.labels_per_class is not None and task.labels else []
    if card.balance and task.labels:
        most.append(min(Counter(class_of(task, e) for e in task.lesson).values()))
    if not most:
        return task
    kept = [p < min(most) for p in positions(task, task.lesson, card.seed)]
    return changed(task, lesson=tuple(e for e, keep in zip(task.lesson, kept, strict=True) if keep))


def limit_increment(task: Task, card: StreamCard) -> Task:
    """Return an increment with at most `labels_per_task` examples, shared evenly among its classes.

    Raises:
        DataError: There are more classes than examples.
    """
    most = card.labels_per_task
    if most is None or most >= len(task.lesson):
        return task
    if (num := len({class_of(task, e) for e in task.lesson})) > most:
        raise DataError(
            f"{most} examples cannot show the {num} classes of {task.name!r}",
            where=card.where("labels_per_task"),
            mend="raise it, or split the task with `classes`",
        )
    found = positions(task, task.lesson, card.seed)
    chosen = sorted(range(len(found)), key=lambda i: (found[i], rank(card.seed, task.lesson[i].id)))[:most]
    return changed(task, lesson=tuple(task.lesson[i] for i in sorted(chosen)))


def parts(task: Task, classes: Classes, card: StreamCard) -> list[Task]:
    """Return the parts `name-1`, `name-2`, ... of a task by its classes, whose order is drawn with the card's seed.

    Raises:
        DataError: The task has no closed label set, a class has no example, or there is nothing to split.
    """
    where = card.where("classes", task.name)
    if not task.labels:
        raise DataError(
            f"task {task.name!r} has no closed label set to split", where=where, mend="name one with labels"
        )
    first = classes.first or classes.each
    if first >= len(task.labels):
        raise DataError(f"task {task.name!r} has only {len(task.labels)} classes", where=where, mend="split it finer")
    taught, asked = ({class_of(task, e) for e in part} for part in (task.lesson, task.exam))
    if missing := sorted(set(task.labels) - taught):
        raise DataError(f"no lesson example of task {task.name!r} has the class {missing[0]!r}", where=where)
    drawn = [task.labels[i] for i in rng(card.seed, 0, f"classes of {task.name}").permutation(len(task.labels))]
    starts = [0, *range(first, len(drawn), classes.each), len(drawn)]
    found: list[Task] = []
    for number, (start, end) in enumerate(pairwise(starts), start=1):
        own = set(drawn[start:end])
        if not own & asked:
            mend = "split it coarser, or ask more questions"
            raise DataError(
                f"the exam of task {task.name!r} asks none of the classes {', '.join(sorted(own))}",
                where=where,
                mend=mend,
            )
        found.append(_part(task, number, own))
    return found


def _part(task: Task, number: int, own: set[str]) -> Task:
    splits = {
        name: tuple(e for e in examples if class_of(task, e) in own)
        for name, examples in (("lesson", task.lesson), ("exam", task.exam), ("dev", task.dev))
    }
    labels = tuple(label for label in task.labels if label in own)
    return changed(task, name=f"{task.name}-{number}", part_of=task.name, labels=labels, **splits)


def slices(task: Task, num: int, card: StreamCard) -> list[tuple[Example, ...]]:
    """Return `num` disjoint shares of a task's examples that hold every class about equally.

    Raises:
        DataError: There are fewer examples than shares.
    """
    found = positions(task, task.lesson, card.seed)
    shares = [tuple(e for e, p in zip(task.lesson, found, strict=True) if p % num == k) for k in range(num)]
    if not all(shares):
        raise DataError(
            f"the lesson of {task.name!r} is too small to be taught {num} times afresh",
            where=card.where("recur", "fresh"),
            mend="let it come again less often, or with the same examples (fresh: false)",
        )
    return shares
