"""What an evaluation budget costs in truth: figures of a full matrix beside those of its budgeted cells."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from clbench.core.budget import due_columns
from clbench.core.matrix import Matrix
from clbench.core.spec import ExamBudget
from clbench.core.types import Meters
from clbench.metrics import compute
from clbench.report.gather import RunRecord

FIGURES = ("average_performance", "forgetting", "learning_accuracy", "bwt")
CHEAPER = (
    ExamBudget(policy="seen"),
    ExamBudget(policy="every", every=5),
    ExamBudget(policy="every", every=10),
    ExamBudget(policy="anchors", anchors=8),
    ExamBudget(policy="anchors", anchors=3),
)


@dataclass(frozen=True)
class Compared:
    """One figure, computed twice.

    Attributes:
        full: From all cells.
        budgeted: From the cells that are due; NaN if they do not define it.
    """

    full: float
    budgeted: float

    @property
    def difference(self) -> float:
        """Budgeted minus full."""
        return self.budgeted - self.full


def masked(matrix: Matrix, budget: ExamBudget) -> Matrix:
    """Give a matrix as it would be under a budget: cells that are not due are NaN. `budget.items` is not applied."""
    due = np.zeros(matrix.values.shape, dtype=bool)
    for step in range(matrix.num_lessons + 1):
        due[step, list(due_columns(matrix.columns, step, matrix.num_lessons, budget))] = True
    values = np.where(due, matrix.values, np.nan)
    return replace(matrix, values=values, n=np.where(due, matrix.n, 0), ungraded=np.where(due, matrix.ungraded, 0))


def budget_error(matrix: Matrix, budget: ExamBudget, names: Iterable[str] = FIGURES) -> dict[str, Compared]:
    """Compare figures of a full matrix with those of its budgeted cells.

    Forgetting can only come out too small, since the best score of a task may lie in a row that is not due; where
    the own lesson's row and the last row are due, AP, LA and BWT come out the same.

    Args:
        matrix: A matrix of which every cell was asked.
        budget: Which cells would have been due.
        names: Figures of the matrix.

    Raises:
        SpecError: A figure is unknown.
    """
    names = tuple(names)
    full, part = (compute(names, m, Meters(), {}) for m in (matrix, masked(matrix, budget)))
    return {name: Compared(full[name], part[name]) for name in names}


def cells_due(matrix: Matrix, budget: ExamBudget) -> tuple[int, int]:
    """Give how many cells are due under a budget, and how many there are."""
    rows = range(matrix.num_lessons + 1)
    due = sum(len(due_columns(matrix.columns, k, matrix.num_lessons, budget)) for k in rows)
    return due, matrix.values.size


def budget_table(runs: Sequence[RunRecord], budgets: Sequence[ExamBudget] = CHEAPER) -> str:
    """Give a Markdown table of what each budget asks and how far its figures are from those of the whole matrix.

    Args:
        runs: Runs of which every cell was asked; others are left out.
        budgets: Cheaper ways to examine them.
    """
    lines = [
        "| learner | cells asked | AP | BWT | FM | FM of these cells | error of AP | error of BWT | error of FM |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for run in runs:
        if run.spec.budget.policy != "full":
            continue
        for budget in budgets:
            due, all_cells = cells_due(run.matrix, budget)
            found = budget_error(run.matrix, budget)
            ap, fm, bwt = (found[name] for name in ("average_performance", "forgetting", "bwt"))
            figures = (ap.full, bwt.full, fm.full, fm.budgeted, ap.difference, bwt.difference, fm.difference)
            cells = [_percent(x) for x in figures]
            asked = f"{_named(budget)}: {due} of {all_cells}"
            lines.append(f"| {run.spec.learner_name} | {asked} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _named(budget: ExamBudget) -> str:
    settings = {"every": budget.every, "anchors": budget.anchors}
    return " ".join([budget.policy, *(str(settings[k]) for k in settings if k == budget.policy)])


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.1f}".replace("-0.0", "0.0")
