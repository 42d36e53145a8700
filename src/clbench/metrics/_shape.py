"""How the equations read R: rows are numbers of lessons, own columns know the lesson that teaches them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from clbench.core.matrix import Matrix


def mean(values: Sequence[float]) -> float:
    """Give the mean; NaN of nothing, and NaN if a value is missing: what was not measured is not averaged away."""
    return math.fsum(values) / len(values) if values else math.nan


def own(matrix: Matrix) -> Iterator[tuple[int, int]]:
    """Walk own columns as (column, lesson that teaches it)."""
    for column in matrix.select("own"):
        taught = matrix.columns[column].taught
        if taught is not None:
            yield column, taught


def past(matrix: Matrix) -> list[tuple[int, int]]:
    """Give the own columns that were taught before the last lesson: those that can have been forgotten."""
    return [(column, taught) for column, taught in own(matrix) if taught < matrix.num_lessons]


def at(matrix: Matrix, step: int, column: int) -> float:
    """Give R[step, column]."""
    return float(matrix.values[step, column])


def best(values: np.ndarray) -> float:
    """Give the largest measured value; NaN if none was measured."""
    measured = values[~np.isnan(values)]
    return float(measured.max()) if len(measured) else math.nan
