"""The summary of a stream: what each lesson teaches and what moves, as numbers that a table or a page can draw."""

from __future__ import annotations

from clbench.core.stream_summary import LessonSummary, StreamSummary
from clbench.core.types import Stream
from clbench.data.streams.similarity import similarity


def stream_summary(stream: Stream) -> StreamSummary:
    """Return the summary of a stream."""
    about = {task.name: task.about for task in stream.tasks}

    def of(names: tuple[str, ...], field: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(str(about[n][field]) for n in names if about[n].get(field) is not None))

    summaries: list[LessonSummary] = []
    labels: set[str] = set()
    for number, taught in enumerate(stream.plans, start=1):
        # By name: tasks of one label space (domains of one sentiment set) count no label twice.
        new = {label for found in taught.new_labels.values() for label in found} - labels
        labels |= new
        summaries.append(
            LessonSummary(
                lesson=number,
                teaches=taught.teaches,
                moved=taught.moved,
                examples=len(taught.examples),
                ahead=taught.ahead,
                new_labels=len(new),
                labels=len(labels),
                languages=of(taught.teaches, "language"),
                kinds=of(taught.teaches, "kind"),
                domains=of(taught.teaches, "domain"),
            )
        )
    return StreamSummary(
        name=stream.name,
        lessons=tuple(summaries),
        tasks=tuple(task.name for task in stream.tasks),
        questions=tuple(len(task.exam) for task in stream.tasks),
        similarity=tuple(tuple(round(float(x), 4) for x in row) for row in similarity(stream.tasks)),
        dropped=dict(stream.dropped),
        missing=stream.missing,
        task_ids=stream.task_ids,
    )
