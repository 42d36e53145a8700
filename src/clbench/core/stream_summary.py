"""The summary of a stream, as a report shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from clbench.core.types import Axis, TaskIds
from clbench.core.value import Renamed


class LessonSummary(Renamed):
    """The summary of one lesson.

    Attributes:
        lesson: 1..T.
        teaches: Tasks whose turn it is.
        moved: What changed against the lesson before; see `LessonPlan`.
        examples: Number of examples taught, those ahead of their turn included.
        ahead: Number of examples that belong to the next lesson.
        new_labels, labels: Labels that are taught for the first time, and all that are taught so far, by name: a label
            of two tasks is one.
        languages, kinds, domains: Those of its tasks, each once.
    """

    lesson: int
    teaches: tuple[str, ...]
    moved: tuple[Axis, ...]
    examples: int
    ahead: int
    new_labels: int
    labels: int
    languages: tuple[str, ...]
    kinds: tuple[str, ...]
    domains: tuple[str, ...]
    formerly: ClassVar[Mapping[str, str]] = {"step": "lesson"}


class StreamSummary(Renamed):
    """The summary of a stream.

    Attributes:
        name: The stream's.
        lessons: What each lesson teaches.
        tasks: Names of the columns, in order of teaching.
        questions: Number of exam questions of each.
        similarity: Cosine between the lesson prompts of tasks (TF-IDF), [row][column], in [0, 1].
        dropped: Task -> number of examples left out because an exam asks the same.
        missing: Tasks that were skipped because their data are missing.
        task_ids: What the learner knows of tasks; see `Stream`.
    """

    name: str
    lessons: tuple[LessonSummary, ...]
    tasks: tuple[str, ...]
    questions: tuple[int, ...]
    similarity: tuple[tuple[float, ...], ...]
    dropped: Mapping[str, int] = {}
    missing: tuple[str, ...] = ()
    task_ids: TaskIds = "boundaries"
    formerly: ClassVar[Mapping[str, str]] = {"rounds": "lessons", "reveals": "task_ids"}
