"""What other items would have shown: every figure of a run over bootstrap samples of its items."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clbench.core.matrix import Matrix
from clbench.core.sheets import Sheets
from clbench.metrics import all_metrics
from clbench.stats.bootstrap import item_weights, row_draws

DRAWS = 200
Floats = NDArray[np.float64]


def matrix_draws(matrix: Matrix, sheets: Sheets) -> Floats | None:
    """Draw R: shape (draws, T+1, E), NaN where R is; None where the items of a column are not on record.

    All rows of a column see the same sample of its items, and so do all runs that sit the same exam. Where an exam's
    score is not the mean of its items (macro-F1, BLEU), the mean's deviations stand for its own.
    """
    found = {s.exam: s for s in sheets.sheets}
    if any(name not in found for name in matrix.exams):
        return None
    rows, columns = matrix.values.shape
    drawn = np.full((DRAWS, rows, columns), np.nan)
    for place, name in enumerate(matrix.exams):
        sheet = found[name]
        scores = sheet.array(rows)
        weights = item_weights(sheet.digest, len(sheet.ids), DRAWS, sheet.groups or None)
        means = row_draws(scores, weights)
        whole = row_draws(scores, np.ones((1, len(sheet.ids))))
        drawn[:, :, place] = matrix.values[:, place] + means - whole
    return drawn


def figure_draws(matrix: Matrix, drawn: Floats | None, names: Sequence[str]) -> dict[str, Floats]:
    """Give each figure of the matrix in every sample; those that are made of something else are left out."""
    plugins = {n: all_metrics()[n] for n in names if all_metrics()[n].needs == "matrix"}
    if drawn is None:
        return {}
    samples = [Matrix(values, matrix.n, matrix.ungraded, matrix.columns) for values in drawn]
    return {name: np.array([plugin.compute(m) for m in samples]) for name, plugin in plugins.items()}
