"""What learning did to abilities that no lesson teaches."""

from __future__ import annotations

from functools import partial

from clbench.core.matrix import Matrix
from clbench.core.protocols import MetricPlugin
from clbench.core.types import ExamKind
from clbench.metrics._shape import at, mean


def _delta(matrix: Matrix, *kinds: ExamKind) -> float:
    return mean([at(matrix, matrix.num_lessons, m) - at(matrix, 0, m) for m in matrix.select(*kinds)])


def general_ability_delta(matrix: Matrix) -> float:
    """What all lessons together did to general abilities (GAD): negative = lost.

    GAD = (1/M) sum_m (R[T, m] - R[0, m]) over the general exams. In [-1, 1], higher is better. NaN without such exams.
    Source: Wang et al. 2023 (TRACE), eq. 2.
    """
    return _delta(matrix, "general")


def instruction_delta(matrix: Matrix) -> float:
    """What all lessons together did to instruction following (IFD): negative = lost.

    IFD = (1/M) sum_m (R[T, m] - R[0, m]) over the instruction exams. In [-1, 1], higher is better.
    Source: Wang et al. 2023 (TRACE), eq. 3.
    """
    return _delta(matrix, "instruction")


def long_context_delta(matrix: Matrix) -> float:
    """What all lessons together did to long context (LCD): negative = lost.

    LCD = (1/M) sum_m (R[T, m] - R[0, m]) over the long-context exams. In [-1, 1], higher is better.
    Source: the form of TRACE's deltas, on long-context exams.
    """
    return _delta(matrix, "long_context")


def ability_deltas(matrix: Matrix) -> dict[str, float]:
    """Return R[T, m] - R[0, m] for every exam of an ability, by name."""
    columns = matrix.select("general", "instruction", "long_context")
    return {matrix.exams[m]: at(matrix, matrix.num_lessons, m) - at(matrix, 0, m) for m in columns}


_figure = partial(MetricPlugin, needs="matrix", better="high", low=-1, high=1, unit="score", group="performance")
PLUGINS = (
    _figure(name="general_ability_delta", symbol="GAD", compute=general_ability_delta),
    _figure(name="instruction_delta", symbol="IFD", compute=instruction_delta),
    _figure(name="long_context_delta", symbol="LCD", compute=long_context_delta),
)
