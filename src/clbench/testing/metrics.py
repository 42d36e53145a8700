"""The contract of every figure."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from clbench.core import plugins
from clbench.core.errors import SpecError, did_you_mean
from clbench.core.keys import canonical, rng
from clbench.core.matrix import Column, Matrix
from clbench.core.protocols import MetricPlugin
from clbench.core.results import Costs
from clbench.metrics import all_metrics
from clbench.testing.outcome import Outcome


def _matrices() -> list[Matrix]:
    generator = rng(0, 0, "matrices for metrics")
    found: list[Matrix] = []
    for lessons in (1, 2, 5):
        own = [Column(name=f"t{i}", taught=i, guess_rate=0.25, size=10) for i in range(1, lessons + 1)]
        kinds = ("general", "instruction", "long_context")
        columns = [*own, *(Column(name=k, kind=k, size=10) for k in kinds)]
        for _ in range(8):
            found.append(Matrix.of(generator.random((lessons + 1, len(columns))).tolist(), columns))
    return found


COSTS = Costs(
    train_s=4.0,
    exam_s=2.0,
    train_tokens=1000,
    exam_answers=20,
    exam_latency_s=(0.1, 0.2, 0.4),
    peak_memory_bytes=10_000,
    kept_bytes=100,
    added_parameters=5,
    examples_used=50,
    stream_bytes=1000,
    kept_bytes_by_lesson=(50, 100),
    parameters_by_lesson=(100, 105),
    train_s_by_lesson=(1.0, 3.0),
    forward_tokens=200,
    buffer_bytes=60,
    state_bytes=20,
    added_bytes=20,
    buffer_bytes_by_lesson=(40, 60),
    buffer_examples_by_lesson=(2, 3),
)


def _values(plugin: MetricPlugin) -> list[float]:
    if plugin.needs == "costs":
        return [plugin.compute(COSTS), plugin.compute(Costs())]
    if plugin.needs == "matrix":
        return [plugin.compute(m) for m in _matrices()]
    return [plugin.compute(m, *(_matrices()[k] for _ in plugin.references)) for k, m in enumerate(_matrices())]


def _in_range(plugin: MetricPlugin) -> str:
    wrong = [v for v in _values(plugin) if not math.isnan(v) and not plugin.low - 1e-9 <= v <= plugin.high + 1e-9]
    return f"it gives {wrong[0]}, outside [{plugin.low}, {plugin.high}]" if wrong else ""


def _is_pure(plugin: MetricPlugin) -> str:
    if plugin.needs != "matrix":
        return (
            ""
            if canonical([str(v) for v in _values(plugin)]) == canonical([str(v) for v in _values(plugin)])
            else "it varies"
        )
    for matrix in _matrices():
        before = matrix.values.copy()
        try:
            first, second = plugin.compute(matrix), plugin.compute(matrix)
        except ValueError as error:
            return f"it writes to its input: {error}"
        if not np.array_equal(before, matrix.values, equal_nan=True):
            return "it changes its input"
        if not (first == second or (math.isnan(first) and math.isnan(second))):
            return "it gives another value the second time"
    return ""


def _missing_is_nan(plugin: MetricPlugin) -> str:
    if plugin.needs != "matrix":
        return ""
    lessons = 3
    columns = [Column(name=f"t{i}", taught=i) for i in range(1, lessons + 1)]
    blank = Matrix.of([[None] * lessons for _ in range(lessons + 1)], columns)
    value = plugin.compute(blank)
    return "" if math.isnan(value) else f"where nothing was measured it gives {value} instead of NaN"


def _constant_is_no_change(plugin: MetricPlugin) -> str:
    if plugin.needs != "matrix" or plugin.group != "stability" or plugin.unit == "ratio":
        return ""
    columns = [Column(name=f"t{i}", taught=i) for i in range(1, 5)]
    value = plugin.compute(Matrix.of([[0.6] * 4 for _ in range(5)], columns))
    return "" if abs(value) < 1e-12 else f"where nothing changes it gives {value} instead of 0"


def _sign_is_declared(plugin: MetricPlugin) -> str:
    """Check that a learner that forgets everything looks worse than one that forgets nothing."""
    if plugin.needs != "matrix" or plugin.group != "stability" or plugin.better == "neither":
        return ""
    columns = [Column(name=f"t{i}", taught=i) for i in range(1, 4)]
    keeps = [[0.1, 0.1, 0.1], [0.9, 0.1, 0.1], [0.9, 0.9, 0.1], [0.9, 0.9, 0.9]]
    loses = [[0.1, 0.1, 0.1], [0.9, 0.1, 0.1], [0.2, 0.9, 0.1], [0.1, 0.1, 0.9]]
    kept, lost = (plugin.compute(Matrix.of(rows, columns)) for rows in (keeps, loses))
    right = kept > lost if plugin.better == "high" else kept < lost
    return "" if right else f"keeping all gives {kept}, losing all gives {lost}: not '{plugin.better} is better'"


def _last_task_left_out(plugin: MetricPlugin) -> str:
    """Check that the score of the last task, which cannot be forgotten, does not change a forgetting figure."""
    if plugin.needs != "matrix" or plugin.group != "stability":
        return ""
    columns = [Column(name=f"t{i}", taught=i) for i in range(1, 4)]
    rows = [[0.1, 0.1, 0.1], [0.9, 0.1, 0.1], [0.7, 0.8, 0.1], [0.6, 0.5, 0.9]]
    other = [*rows[:3], [0.6, 0.5, 0.2]]
    first, second = (plugin.compute(Matrix.of(r, columns)) for r in (rows, other))
    return "" if first == second else "the last task's own score counts"


def _is_documented(plugin: MetricPlugin) -> str:
    text = plugin.compute.__doc__ or ""
    lacking = [word for word in ("Source:", "better") if word not in text]
    if plugin.needs != "costs" and "=" not in text and "/" not in text and " - " not in text:
        lacking.append("an equation")
    return f"its docstring lacks {', '.join(lacking)}" if lacking else ""


CHECKS: dict[str, Callable[[MetricPlugin], str]] = {
    "within its range": _in_range,
    "pure": _is_pure,
    "missing is NaN": _missing_is_nan,
    "no change is 0": _constant_is_no_change,
    "sign as declared": _sign_is_declared,
    "last task left out": _last_task_left_out,
    "documented": _is_documented,
}


def check_metric(metric: str | MetricPlugin) -> list[Outcome]:
    """Check a figure against its contract.

    Args:
        metric: Its name, also behind the module that declares it ("mypackage.my_figures.worst"), or the plug-in.

    Raises:
        SpecError: There is no figure of this name, or this is not one.
    """
    if not isinstance(metric, (str, MetricPlugin)):  # pyright: ignore[reportUnnecessaryIsInstance]  # users' code is not always checked
        mend = 'name one, "bwt", or give what MetricPlugin(...) returns'
        raise SpecError(f"{metric!r:.60} is not a metric", where="metric", mend=mend)
    if isinstance(metric, str):
        module, _, name = metric.rpartition(".")
        known = _declared(module) if module else all_metrics()
        if name not in known:
            raise SpecError(f"there is no metric {metric!r}", where="NAME", mend=did_you_mean(name, known))
        metric = known[name]
    return [Outcome(title, check(metric)) for title, check in CHECKS.items()]


def _declared(module: str) -> dict[str, MetricPlugin]:
    """Return the figures of a module by name."""
    found: Any = plugins.load("metric", module, "PLUGINS", where="NAME")
    if not isinstance(found, (list, tuple)) or not all(isinstance(one, MetricPlugin) for one in found):  # pyright: ignore[reportUnknownVariableType]  # users' code is not always checked
        mend = "end the module with PLUGINS = [cl.MetricPlugin(name=..., ...)]"
        raise SpecError(f"{module!r} declares no list of MetricPlugins", where="NAME", mend=mend)
    return {one.name: one for one in found}  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]  # same
