"""Streams: tasks in order, as lessons that tell a learner no more than the stream reveals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clbench.core.errors import DataError
from clbench.core.keys import digest, normal_text
from clbench.core.types import Example, Lesson, Stream, Task
from clbench.data.card import load_stream_card
from clbench.data.task import open_task


def asked(example: Example) -> str:
    """Give what an example asks, folded for comparison (NFKC, lower case, blanks as one)."""
    return normal_text("\n".join(m.content for m in example.prompt))


def open_stream(name_or_path: str, data: Path | None) -> Stream:
    """Open a stream by card name or path; a task that is taught twice is read once.

    Args:
        name_or_path: Name of a shipped stream card, or path of one.
        data: Folder of the local data sets; None asks `$CLBENCH_DATA`.

    Raises:
        DataError: A card, its data or a row is wrong, a split is empty, or a lesson holds a question of an exam.
    """
    card = load_stream_card(name_or_path)
    tasks: dict[str, Task] = {}
    for name in card.tasks:
        if name not in tasks:
            tasks[name] = open_task(name, data, beside=card.path)
    _refuse_leaks(tuple(tasks.values()), str(card.path))
    return Stream(name=card.name, tasks=tuple(tasks[n] for n in card.tasks), reveals=card.reveals, budget=card.budget)


def _refuse_leaks(tasks: Sequence[Task], where: str) -> None:
    exams = {asked(e): (task.name, e.id) for task in tasks for e in task.exam}
    for task in tasks:
        for example in task.lesson:
            found = exams.get(asked(example))
            if found is not None:
                raise DataError(
                    f"lesson example in the exam: {example.id!r} of task {task.name!r} asks what "
                    f"{found[1]!r} of the exam of {found[0]!r} asks",
                    where=where,
                    mend="take the row out of the lesson split, under a new card name",
                )


def lessons(stream: Stream) -> tuple[Lesson, ...]:
    """Give what is taught, step 1..T; a lesson bears its task's name only if the stream reveals it."""
    return tuple(
        Lesson(
            step=step,
            examples=task.lesson,
            task_name=task.name if stream.reveals == "task" else None,
            budget=stream.budget,
            digest=digest(task.lesson),
        )
        for step, task in enumerate(stream.tasks, start=1)
    )


def merged(lessons: Sequence[Lesson]) -> Lesson:
    """Give all lessons as one, step 1: what a learner gets that is taught everything at once.

    Ids that occur in several lessons are prefixed with their step, so that ids stay unique.

    Raises:
        ValueError: There is no lesson.
    """
    if not lessons:
        raise ValueError("nothing to merge")
    ids = [e.id for lesson in lessons for e in lesson.examples]
    unique = len(set(ids)) == len(ids)
    examples = tuple(
        e if unique else e.model_copy(update={"id": f"{lesson.step}:{e.id}"})
        for lesson in lessons
        for e in lesson.examples
    )
    return Lesson(step=1, examples=examples, task_name=None, budget=lessons[0].budget, digest=digest(examples))
