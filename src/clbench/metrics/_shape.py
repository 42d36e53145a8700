"""How the equations read R: rows are lessons, and the columns of tasks know the lesson that teaches them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from clbench.core.matrix import Matrix


def mean(values: Sequence[float]) -> float:
    """Return the mean; NaN if there is no value or one is missing: what was not measured is not averaged away."""
    return math.fsum(values) / len(values) if values else math.nan


def own(matrix: Matrix) -> Iterator[tuple[int, int]]:
    """Yield the columns of tasks as (column, lesson that teaches it)."""
    for column in matrix.select("task"):
        taught = matrix.columns[column].taught
        if taught is not None:
            yield column, taught


def past(matrix: Matrix) -> list[tuple[int, int]]:
    """Return the columns of tasks taught before the last lesson: those that can be forgotten."""
    return [(column, taught) for column, taught in own(matrix) if taught < matrix.num_lessons]


def at(matrix: Matrix, lesson: int, column: int) -> float:
    """Return R[lesson, column]."""
    return float(matrix.values[lesson, column])


def best(values: np.ndarray) -> float:
    """Return the largest measured value; NaN if none was measured."""
    measured = values[~np.isnan(values)]
    return float(measured.max()) if len(measured) else math.nan
