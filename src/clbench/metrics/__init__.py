"""Figures: pure functions of the matrix and the costs. One file per family; each variant has its own name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import cast

from clbench.core import plugins
from clbench.core.errors import SpecError, did_you_mean
from clbench.core.matrix import Matrix
from clbench.core.protocols import MetricPlugin
from clbench.core.results import Costs


@lru_cache(maxsize=1)
def all_metrics() -> dict[str, MetricPlugin]:
    """Return every figure by name, in the order of the families."""
    found: dict[str, MetricPlugin] = {}
    for family in plugins.names("metric"):
        for plugin in cast("tuple[MetricPlugin, ...]", plugins.load("metric", family, "PLUGINS")):
            found[plugin.name] = plugin
    return found


def check_names(names: Iterable[str]) -> None:
    """Refuse unknown figures.

    Raises:
        SpecError: Names the figure and the nearest known ones.
    """
    for name in names:
        if name not in all_metrics():
            raise SpecError(f"there is no metric {name!r}", where="metrics", mend=did_you_mean(name, all_metrics()))


def compute(names: Iterable[str], matrix: Matrix, costs: Costs, references: Mapping[str, Matrix]) -> dict[str, float]:
    """Return figures by name; one whose reference run is absent is NaN.

    Args:
        names: Names of the figures.
        matrix: R.
        costs: What the run cost.
        references: Matrices of reference learners ("joint", "frozen") on the same stream.

    Raises:
        SpecError: A figure is unknown.
    """
    names = tuple(names)
    check_names(names)
    scores: dict[str, float] = {}
    for name in names:
        plugin = all_metrics()[name]
        if plugin.needs == "matrix":
            scores[name] = plugin.compute(matrix)
        elif plugin.needs == "costs":
            scores[name] = plugin.compute(costs)
        elif all(r in references for r in plugin.references):
            scores[name] = plugin.compute(matrix, *(references[r] for r in plugin.references))
        else:
            scores[name] = math.nan
    return scores
