"""R: the score on every exam after every lesson."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from clbench.core.errors import SpecError
from clbench.core.results import ExamResult
from clbench.core.types import Exam, ExamKind
from clbench.core.value import Renamed

MOST_CELLS = 1_000_000


class Column(Renamed):
    """The description of a column of the matrix.

    Attributes:
        name: The exam's name.
        kind: "task" for tasks of the stream, else the ability group.
        ability: Name of the ability that it watches; may be empty.
        taught: First lesson (1..T) that teaches it; None for abilities.
        guess_rate: Expected score of guessing, in [0, 1].
        size: Number of questions.
    """

    name: str
    kind: ExamKind = "task"
    ability: str = ""
    taught: int | None = None
    guess_rate: float = 0.0
    size: int = 0
    formerly: ClassVar[Mapping[str, str]] = {"chance": "guess_rate"}


@dataclass(frozen=True)
class Matrix:
    """Scores R of shape (T+1, E); row 0 is the untouched model, NaN is "not due" or "not measured".

    Attributes:
        values: float64 (T+1, E), score over graded and declined answers (mean or the scorer's rule), in [0, 1] or NaN.
        n: int64 (T+1, E), graded answers in each cell.
        ungraded: int64 (T+1, E), answers that could not be graded, and declined ones, which count 0.
        columns: The description of each column, tasks of the stream first.
    """

    values: NDArray[np.float64]
    n: NDArray[np.int64]
    ungraded: NDArray[np.int64]
    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        """Refuse arrays whose shapes disagree."""
        shape = self.values.shape
        assert shape == self.n.shape == self.ungraded.shape, "R, n and ungraded must have one shape"
        assert len(shape) == 2 and shape[1] == len(self.columns), "one column description per column of R"
        for array in (self.values, self.n, self.ungraded):
            array.setflags(write=False)

    @classmethod
    def blank(cls, rows: int, exams: Sequence[Exam]) -> Matrix:
        """Return a matrix of `rows` rows in which nothing is measured yet."""
        columns = tuple(
            Column(
                name=e.name,
                kind=e.kind,
                ability=e.ability,
                taught=e.taught,
                guess_rate=e.guess_rate,
                size=len(e.examples),
            )
            for e in exams
        )
        shape = (rows, len(columns))
        zeros = np.zeros(shape, dtype=np.int64)
        return cls(np.full(shape, np.nan), zeros, zeros.copy(), columns)

    @classmethod
    def of(cls, values: Sequence[Sequence[float | None]], columns: Sequence[Column] | None = None) -> Matrix:
        """Return a matrix from rows of scores, row 0 first; None is not measured.

        Without `columns`, every column i (from 1) is a task that lesson i teaches.

        Raises:
            SpecError: The rows are not numbers, or differ in length, or there are none.

        Example:
            >>> Matrix.of([[0.0, 0.0], [0.9, 0.1], [0.5, 0.8]]).num_lessons
            2
        """
        array = _array(values)
        if columns is not None and len(columns) != array.shape[1]:
            what = f"{len(columns)} descriptions of {array.shape[1]} columns"
            raise SpecError(what, where="columns", mend="give one for each column, or none")
        given = columns or [Column(name=f"task{i + 1}", taught=i + 1) for i in range(array.shape[1])]
        counts = np.where(np.isnan(array), 0, 1).astype(np.int64)
        return cls(array, counts, np.zeros_like(counts), tuple(given))

    @property
    def exams(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(c.name for c in self.columns)

    @property
    def num_lessons(self) -> int:
        """T, the number of lessons."""
        return self.values.shape[0] - 1

    def select(self, *kinds: ExamKind) -> tuple[int, ...]:
        """Return the indices of the columns of these kinds, in order."""
        return tuple(i for i, c in enumerate(self.columns) if c.kind in kinds)

    def with_cell(self, column: int, result: ExamResult) -> Matrix:
        """Return a copy with one cell filled."""
        lesson = result.lesson
        values, n, ungraded = self.values.copy(), self.n.copy(), self.ungraded.copy()
        values[lesson, column] = np.nan if result.score is None else result.score
        n[lesson, column] = int(result.known.sum()) - int(result.known[list(result.declined)].sum())
        ungraded[lesson, column] = result.items - n[lesson, column]
        return replace(self, values=values, n=n, ungraded=ungraded)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value; NaN becomes null."""
        values = [[None if np.isnan(v) else float(v) for v in row] for row in self.values]
        return {
            "values": values,
            "n": self.n.tolist(),
            "ungraded": self.ungraded.tolist(),
            "columns": [c.model_dump() for c in self.columns],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Matrix:
        """Return the matrix that `to_json` wrote.

        Raises:
            ValueError: The data is not a matrix.
        """
        columns = tuple(Column.model_validate(c) for c in data["columns"])
        values = [[np.nan if v is None else number(v) for v in row] for row in data["values"]]
        shape = (len(values), len(columns))
        if math.prod(shape) > MOST_CELLS:
            raise ValueError(f"{math.prod(shape):,} cells, more than {MOST_CELLS:,}")
        if wrong := next(
            (c for c in columns if c.taught is not None and not 0 <= c.taught < max(len(values), 1)), None
        ):
            raise ValueError(f"{wrong.name} is taught in lesson {wrong.taught}, and there are {len(values) - 1}")
        return cls(
            np.array(values, dtype=np.float64).reshape(shape),
            np.array([[_count(v) for v in row] for row in data["n"]], dtype=np.int64).reshape(shape),
            np.array([[_count(v) for v in row] for row in data["ungraded"]], dtype=np.int64).reshape(shape),
            columns,
        )


def _array(values: Any) -> NDArray[np.float64]:
    """Return rows of scores as an array; they may come from anywhere."""
    mend = "give rows of one length, row 0 first: [[0.0, 0.0], [0.9, 0.1]]; None is not measured"
    try:
        rows = [[math.nan if v is None else float(v) for v in row] for row in values]
    except (TypeError, ValueError):
        raise SpecError("this is not a list of rows of numbers", where="values", mend=mend) from None
    lengths = sorted({len(row) for row in rows})
    if len(lengths) != 1:
        what = f"rows of {lengths[0]} and of {lengths[-1]} scores" if lengths else "there are no rows"
        raise SpecError(what, where="values", mend=mend)
    return np.array(rows, dtype=np.float64)


def number(value: object) -> float:
    """Return a number of JSON; texts and booleans, which Python would convert, are refused.

    Raises:
        ValueError: It is not a finite number.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{str(value)[:40]!r} is not a number")
    return float(value)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**62:
        raise ValueError(f"{str(value)[:40]!r} is not a count")
    return value
