"""The options by which verbs choose among the runs that they find."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from clbench.report.runs.choose import Choice

RunNames = Annotated[
    list[str] | None, typer.Option("--run", help="Only runs of this name, or recipe; * fits all (repeatable).")
]
Streams = Annotated[list[str] | None, typer.Option("--stream", help="Only runs on this stream (repeatable).")]
Models = Annotated[list[str] | None, typer.Option("--model", help="Only runs of this model (repeatable).")]
Learners = Annotated[list[str] | None, typer.Option("--learner", help="Only runs of this learner (repeatable).")]


def choice_of(
    run: list[str] | None, stream: list[str] | None, model: list[str] | None, learner: list[str] | None
) -> Choice:
    """Return which runs the options choose."""
    from clbench.report.runs.choose import Choice

    return Choice(tuple(run or ()), tuple(stream or ()), tuple(model or ()), tuple(learner or ()))
