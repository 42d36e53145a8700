"""The error of an evaluation budget: figures of a full matrix beside those of its budgeted cells."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from clbench.core.budget import due_columns
from clbench.core.matrix import Matrix
from clbench.core.results import Costs
from clbench.core.spec import ExamBudget
from clbench.metrics import compute
from clbench.report.runs.load import RunRecord

FIGURES = ("average_performance", "forgetting", "learning_accuracy", "bwt")
CHEAPER = (
    ExamBudget(policy="seen"),
    ExamBudget(policy="every", every=5),
    ExamBudget(policy="every", every=10),
    ExamBudget(policy="anchors", anchors=8),
    ExamBudget(policy="anchors", anchors=3),
)


@dataclass(frozen=True)
class BudgetError:
    """One figure, computed twice.

    Attributes:
        full: From all cells.
        budgeted: From the cells that are due; NaN where they do not define it.
    """

    full: float
    budgeted: float

    @property
    def difference(self) -> float:
        """Return the budgeted value less the full one."""
        return self.budgeted - self.full


def mask_matrix(matrix: Matrix, budget: ExamBudget) -> Matrix:
    """Return the matrix under a budget: cells that are not due are NaN. `budget.items` is not applied."""
    due = np.zeros(matrix.values.shape, dtype=bool)
    for lesson in range(matrix.num_lessons + 1):
        due[lesson, list(due_columns(matrix.columns, lesson, matrix.num_lessons, budget))] = True
    values = np.where(due, matrix.values, np.nan)
    return replace(matrix, values=values, n=np.where(due, matrix.n, 0), ungraded=np.where(due, matrix.ungraded, 0))


def budget_error(matrix: Matrix, budget: ExamBudget, names: Iterable[str] = FIGURES) -> dict[str, BudgetError]:
    """Return figures of a full matrix beside those of its budgeted cells.

    Forgetting can only come out too small, since the best score of a task may lie in a row that is not due. AP, LA and
    BWT come out the same where each task's own row and the last row are due.

    Args:
        matrix: A matrix of which every cell was asked.
        budget: Which cells would have been due.
        names: Figures of the matrix.

    Raises:
        SpecError: A figure is unknown.
    """
    names = tuple(names)
    full, part = (compute(names, m, Costs(), {}) for m in (matrix, mask_matrix(matrix, budget)))
    return {name: BudgetError(full[name], part[name]) for name in names}


def cells_due(matrix: Matrix, budget: ExamBudget) -> tuple[int, int]:
    """Return how many cells are due under a budget, and how many there are."""
    rows = range(matrix.num_lessons + 1)
    due = sum(len(due_columns(matrix.columns, k, matrix.num_lessons, budget)) for k in rows)
    return due, matrix.values.size


def budget_table(runs: Sequence[RunRecord], budgets: Sequence[ExamBudget] = CHEAPER) -> str:
    """Return a Markdown table of what each budget asks, and how far its figures are from those of the full matrix.

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
            asked = f"{_policy_text(budget)}: {due} of {all_cells}"
            lines.append(f"| {run.spec.learner_name} | {asked} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _policy_text(budget: ExamBudget) -> str:
    settings = {"every": budget.every, "anchors": budget.anchors}
    return " ".join([budget.policy, *(str(settings[k]) for k in settings if k == budget.policy)])


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.1f}".replace("-0.0", "0.0")
