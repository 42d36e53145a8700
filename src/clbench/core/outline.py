"""A stream at a glance, as a report shows it."""

from __future__ import annotations

from collections.abc import Mapping

from clbench.core.types import Axis, Frozen, Reveals


class RoundOutline(Frozen):
    """One round.

    Attributes:
        step: 1..T.
        teaches: Tasks whose turn it is.
        moved: What changed against the round before; see `Round`.
        examples: Number of examples taught, those ahead of their turn included.
        ahead: Number of examples that belong to the next round.
        new_labels, labels: Labels that are taught for the first time, and all that are taught so far.
        languages, kinds, domains: Of its tasks, each once.
    """

    step: int
    teaches: tuple[str, ...]
    moved: tuple[Axis, ...]
    examples: int
    ahead: int
    new_labels: int
    labels: int
    languages: tuple[str, ...]
    kinds: tuple[str, ...]
    domains: tuple[str, ...]


class Outline(Frozen):
    """A stream at a glance.

    Attributes:
        name: The stream's.
        rounds: What each round teaches.
        tasks: Names of the columns, in order of teaching.
        questions: Number of exam questions of each.
        similarity: Cosine between the lesson prompts of tasks (TF-IDF), [row][column], in [0, 1].
        dropped: Task -> number of examples left out because an exam asks the same.
        missing: Tasks that were skipped because they are not here.
        reveals: What the learner is told.
    """

    name: str
    rounds: tuple[RoundOutline, ...]
    tasks: tuple[str, ...]
    questions: tuple[int, ...]
    similarity: tuple[tuple[float, ...], ...]
    dropped: Mapping[str, int] = {}
    missing: tuple[str, ...] = ()
    reveals: Reveals = "boundary"
