"""The evaluation budget: which cells of the matrix are due, so that cost need not grow with the square of T."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from clbench.core.keys import digest
from clbench.core.spec import ExamBudget


class ExamColumn(Protocol):
    """A column for which cells are due: an exam, or a column of a finished matrix."""

    @property
    def name(self) -> str:
        """Name of the column."""
        ...

    @property
    def taught(self) -> int | None:
        """The first lesson that teaches it; None for abilities."""
        ...


def due_columns(columns: Sequence[ExamColumn], lesson: int, last: int, budget: ExamBudget) -> tuple[int, ...]:
    """Return the columns that are due after a lesson (row `lesson` of 0..`last`), in order.

    Example:
        >>> from clbench.core.matrix import Column
        >>> tasks = [Column(name=n, taught=t) for n, t in (("a", 1), ("b", 2), ("c", 3))]
        >>> [due_columns(tasks, k, 3, ExamBudget(policy="every", every=2)) for k in range(4)]
        [(0, 1, 2), (0,), (0, 1), (0, 1, 2)]
    """
    anchors = anchors_of(columns, budget)
    return tuple(i for i, column in enumerate(columns) if _is_due(column, lesson, last, budget, anchors))


def anchors_of(columns: Sequence[ExamColumn], budget: ExamBudget) -> frozenset[str]:
    """Return the names of the anchors: the tasks of the stream whose hashes are smallest.

    A task that is added to a stream takes the place of at most one anchor, and the others stay.
    """
    own = sorted((c.name for c in columns if c.taught is not None), key=lambda name: digest(["anchor", name]))
    return frozenset(own[: budget.anchors or 0])


def _is_due(column: ExamColumn, lesson: int, last: int, budget: ExamBudget, anchors: frozenset[str]) -> bool:
    if lesson in (0, last) or budget.policy == "full":
        return True
    on_time = budget.every is None or lesson % budget.every == 0
    if column.taught is None:
        return on_time
    if budget.policy == "every":
        return lesson == column.taught or (lesson > column.taught and on_time)
    if budget.policy == "anchors":
        return lesson == column.taught or (lesson > column.taught and column.name in anchors)
    return lesson >= column.taught
