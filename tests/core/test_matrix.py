"""The matrix of scores: cells that could not be graded are counted, and never averaged."""

import numpy as np
import pytest

from clbench.core.errors import SpecError
from clbench.core.matrix import Column, Matrix
from clbench.core.results import ExamResult
from clbench.core.types import Decode, Exam, Grade, ScorerSpec


def test_matrix_counts_ungraded_and_never_averages_them():
    blank = Matrix.of([[None, None]] * 3)
    grades = (Grade(example_id="a", score=1.0), Grade(example_id="b", score=None))
    exam = Exam(name="e", examples=(), decode=Decode(), scorer=ScorerSpec(name="exact"), needs=frozenset(), digest="")
    asked = ExamResult.asked(exam, 1, ())
    filled = blank.with_cell(0, asked.graded(grades, 1.0))
    assert filled.values[1, 0] == 1.0
    assert (filled.n[1, 0], filled.ungraded[1, 0]) == (1, 1)
    assert np.isnan(blank.values).all()
    nothing = blank.with_cell(0, asked.graded(grades[1:], None))
    assert np.isnan(nothing.values[1, 0])
    assert (nothing.n[1, 0], nothing.ungraded[1, 0]) == (0, 1)
    again = Matrix.from_json(filled.to_json())
    assert np.array_equal(again.values, filled.values, equal_nan=True)
    with pytest.raises(ValueError, match="read-only"):
        filled.values[0, 0] = 1


def test_select_by_kind():
    columns = [Column(name="a", taught=1), Column(name="g", kind="general"), Column(name="i", kind="instruction")]
    matrix = Matrix.of([[0, 0, 0], [1, 1, 1]], columns)
    assert matrix.select("task") == (0,)
    assert matrix.select("general", "instruction") == (1, 2)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([[1], [1, 2]], "rows of 1 and of 2 scores"),
        ([], "there are no rows"),
        (None, "not a list of rows of numbers"),
        ([1, 2], "not a list of rows of numbers"),
        ([["x"]], "not a list of rows of numbers"),
    ],
)
def test_what_makes_no_matrix_is_a_users_error(values, said):
    with pytest.raises(SpecError, match=said):
        Matrix.of(values)


def test_columns_are_described_one_by_one():
    with pytest.raises(SpecError, match="1 descriptions of 2 columns"):
        Matrix.of([[0.0, 1.0]], [Column(name="a")])
    assert Matrix.of(np.eye(2)).values.tolist() == [[1, 0], [0, 1]]
