"""The outline of a stream: what each round teaches and what moves, as numbers that a table or a page can draw."""

from __future__ import annotations

from clbench.core.outline import Outline, RoundOutline
from clbench.core.types import Stream
from clbench.data.similarity import similarity


def stream_outline(stream: Stream) -> Outline:
    """Give the outline of a stream."""
    about = {task.name: task.about for task in stream.tasks}

    def of(names: tuple[str, ...], field: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(str(about[n][field]) for n in names if about[n].get(field) is not None))

    rounds: list[RoundOutline] = []
    labels = 0
    for step, taught in enumerate(stream.rounds, start=1):
        new = sum(map(len, taught.new_labels.values()))
        labels += new
        rounds.append(
            RoundOutline(
                step=step,
                teaches=taught.teaches,
                moved=taught.moved,
                examples=len(taught.examples),
                ahead=taught.ahead,
                new_labels=new,
                labels=labels,
                languages=of(taught.teaches, "language"),
                kinds=of(taught.teaches, "kind"),
                domains=of(taught.teaches, "domain"),
            )
        )
    return Outline(
        name=stream.name,
        rounds=tuple(rounds),
        tasks=tuple(task.name for task in stream.tasks),
        questions=tuple(len(task.exam) for task in stream.tasks),
        similarity=tuple(tuple(round(float(x), 4) for x in row) for row in similarity(stream.tasks)),
        dropped=dict(stream.dropped),
        missing=stream.missing,
        reveals=stream.reveals,
    )
