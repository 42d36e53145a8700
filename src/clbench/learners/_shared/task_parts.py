"""Which part of an isolated learner belongs to which task; part k is the one that lesson k trained."""

from __future__ import annotations

from collections.abc import Mapping

from clbench.core.types import Lesson


def with_lesson(parts: Mapping[str, int], lesson: Lesson) -> dict[str, int]:
    """Return task name -> part after a lesson; a lesson that does not say what it teaches adds none.

    Example:
        >>> with_lesson({"a": 1}, Lesson(number=2, examples=(), task_name="b+c", digest=""))
        {'a': 1, 'b': 2, 'c': 2}
    """
    names = lesson.task_name.split("+") if lesson.task_name else []
    return {**parts, **dict.fromkeys(names, lesson.number)}


def part_for(parts: Mapping[str, int], told: str | None) -> int | None:
    """Return the part of the task that a question names; None where it names none, or one that was never taught.

    Example:
        >>> part_for({"a": 1}, "a"), part_for({"a": 1}, None), part_for({"a": 1}, "b")
        (1, None, None)
    """
    return parts.get(told) if told is not None else None
