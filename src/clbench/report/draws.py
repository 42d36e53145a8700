"""What other items would have shown: every figure of a run over bootstrap samples of its items."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clbench.core.matrix import Matrix
from clbench.core.sheets import Sheet, Sheets
from clbench.metrics import all_metrics
from clbench.report.marks import marked_rows
from clbench.stats.bootstrap import ENOUGH, Samples, Uneven, item_weights, row_draws
from clbench.stats.effect import Places
from clbench.stats.paired import clusters

DRAWS = 200
NUDGE = 1e-6  # step of a cell that shows how steeply a figure goes with it
ALONE = 8  # samples in which one exam alone is drawn anew, to see how much of a figure hangs on it
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MatrixDraws:
    """R over bootstrap samples of the items of its exams.

    Attributes:
        values: Shape (draws, T+1, E), NaN where R is.
        items: Of each exam, shape (E,).
        freedom: Independent items or groups of each exam, less 1, shape (E,).
        sizes: Items of a group of each exam, 1 without groups, shape (E,).
        same: Rows of an exam with one number are the very same answers, shape (T+1, E): what was not taught again
            cannot differ.
        answers: What tells the answers of every exam, row by row; empty where it is not known.
        uneven: By place of an exam whose groups are of unequal size: (what each item adds to the cell of every row,
            shape (T+1, items), 0 where not asked; the group of each item).
    """

    values: Floats
    items: Floats
    freedom: Floats
    sizes: Floats
    same: NDArray[np.int64]
    answers: tuple[tuple[str, ...], ...] = ()
    uneven: Mapping[int, tuple[Floats, Places]] = field(default_factory=dict[int, tuple[Floats, Places]])


def matrix_draws(matrix: Matrix, sheets: Sheets) -> MatrixDraws | None:
    """Draw R; None where the items of a column are not on record.

    All rows of a column see the same sample of its items, and so do all runs that sit the same exam. Each exam's score
    is computed anew by its own rule. Deviations are stretched by sqrt(G / (G - 1)), G independent items, or the
    effective number of groups, n^2 / sum n_c^2: a sample of few is less varied than what it was drawn from.
    What samples of groups of unequal size do not show is added afterwards (`Uneven`).
    """
    found = {s.exam: s for s in sheets.sheets}
    if any(name not in found for name in matrix.exams):
        return None
    rows, columns = matrix.values.shape
    drawn = np.full((DRAWS, rows, columns), np.nan)
    about, same = np.zeros((3, columns)), np.tile(np.arange(rows)[:, None], columns)
    uneven: dict[int, tuple[Floats, Places]] = {}
    for place, name in enumerate(matrix.exams):
        sheet = found[name]
        places = clusters(sheet.groups or None, len(sheet.ids))
        counts = np.ones(len(sheet.ids)) if places is None else np.bincount(places)
        size = float((counts**2).sum()) / max(len(sheet.ids), 1)
        worth = len(sheet.ids) / size if size else 0.0  # a few large groups are worth no more than themselves
        about[:, place] = len(sheet.ids), max(worth - 1, 1), size
        stretch = math.sqrt(max(worth, 1.5) / max(worth - 1, 0.5))
        asked = {step: row.ask for step, row in sheet.rows.items()}
        for step, ask in asked.items():
            same[step, place] = min(k for k, other in asked.items() if other == ask)
        drawn[:, :, place] = matrix.values[:, place] + stretch * _deviations(sheet, rows)
        if places is not None and counts.min() < counts.max():
            uneven[place] = _parts(sheet, rows), places
    answers = tuple(tuple(row.ask for _, row in sorted(found[name].rows.items())) for name in matrix.exams)
    return MatrixDraws(drawn, about[0], about[1], about[2], same, answers, uneven)


def _parts(sheet: Sheet, rows: int) -> Floats:
    """Give what each item adds to the exam's score in every row, less the mean, shape (rows, items)."""
    found = np.zeros((rows, len(sheet.ids)))
    for step, row in sheet.rows.items():
        side = marked_rows([row], sheet.scorer.name)
        if side.known.any():
            units = side.only(side.known).units()
            found[step, side.known] = (units - units.mean()) / len(units)
    return found


def _deviations(sheet: Sheet, rows: int) -> Floats:
    """Give how far the exam's score lies from that of all items in each sample and row, shape (draws, rows)."""
    weights = item_weights(sheet.digest, len(sheet.ids), DRAWS, sheet.groups or None)
    everything = np.ones((1, len(sheet.ids)))
    by_row = {step: marked_rows([row], sheet.scorer.name) for step, row in sheet.rows.items()}
    if all(row.is_mean for row in by_row.values()):
        scores = sheet.array(rows)
        return row_draws(scores, weights) - row_draws(scores, everything)
    found = np.full((DRAWS, rows), np.nan)
    for step, row in by_row.items():
        found[:, step] = row.drawn(weights) - row.drawn(everything)
    return found


def figure_draws(matrix: Matrix, drawn: MatrixDraws | None, names: Sequence[str]) -> dict[str, Samples]:
    """Give each figure of the matrix in every sample; those that are made of something else are left out."""
    plugins = {n: all_metrics()[n] for n in names if all_metrics()[n].needs == "matrix"}
    if drawn is None:
        return {}
    return {name: samples_of([matrix], [drawn], plugin.compute) for name, plugin in plugins.items()}


def samples_of(
    matrices: Sequence[Matrix], drawn: Sequence[MatrixDraws], compute: Callable[..., float], draws: int = DRAWS
) -> Samples:
    """Give a figure of one or several matrices of the same exams over bootstrap samples of their items.

    Args:
        matrices: R of the run, and of the references that the figure needs.
        drawn: Their samples.
        compute: The figure, of as many matrices.
        draws: How many samples are looked at.
    """

    def figure(values: Sequence[Floats]) -> float:
        return compute(*(_like(m, v) for m, v in zip(matrices, values, strict=True)))

    whole, about = figure([m.values for m in matrices]), drawn[0]
    steps = np.array([_step(matrices, figure, whole, exam, about) for exam in range(len(about.items))])
    alone = np.zeros((ALONE, len(steps)))
    # Where every exam has many independent items, Student's t is the normal law whichever of them counts most.
    for exam in np.flatnonzero(steps > 0) if about.freedom.min(initial=ENOUGH) < ENOUGH else ():
        for draw in range(ALONE):
            changed = [m.values.copy() for m in matrices]
            for values, each in zip(changed, drawn, strict=True):
                values[:, exam] = each.values[draw, :, exam]
            alone[draw, exam] = np.nan_to_num(figure(changed) - whole)
    return Samples(
        values=np.array([figure([d.values[k] for d in drawn]) for k in range(draws)]),
        alone=alone,
        items=about.items,
        freedom=about.freedom,
        sizes=about.sizes,
        steps=steps,
        uneven=_uneven(matrices, drawn, figure, whole),
        answers=about.answers if len(matrices) == 1 else (),
    )


def _uneven(
    matrices: Sequence[Matrix], drawn: Sequence[MatrixDraws], figure: Callable[[Sequence[Floats]], float], whole: float
) -> dict[int, Uneven]:
    """Give what the items of exams with groups of unequal size add to a figure: by its slopes in their cells."""
    found: dict[int, Uneven] = {}
    for exam, (first, places) in drawn[0].uneven.items():
        parts = np.zeros(first.shape[1])
        for number, each in enumerate(drawn):
            for row in np.unique(each.same[:, exam]):
                changed = [m.values for m in matrices]
                changed[number] = changed[number].copy()
                changed[number][each.same[:, exam] == row, exam] += NUDGE  # the very same answers move together
                parts += float(np.nan_to_num((figure(changed) - whole) / NUDGE)) * each.uneven[exam][0][row]
        found[exam] = Uneven(parts, places)
    return found


def linear_samples(matrix: Matrix, drawn: MatrixDraws, factors: Floats) -> tuple[float, Samples]:
    """Give a weighted sum of cells of R, and it in every sample.

    Args:
        matrix: R.
        drawn: Its samples.
        factors: Of the cells, shape (T+1, E); cells of factor 0 are not looked at.
    """
    used = factors != 0
    whole = np.where(used, matrix.values * factors, 0.0).sum(axis=0)
    by_exam = np.where(used, drawn.values * factors, 0.0).sum(axis=1)
    steps = np.abs(factors).max(axis=0) / np.maximum(drawn.items, 1)
    alone = np.nan_to_num(by_exam[:ALONE] - whole)
    uneven = {
        exam: Uneven((parts * factors[:, exam, None]).sum(axis=0), places)
        for exam, (parts, places) in drawn.uneven.items()
    }
    found = Samples(by_exam.sum(axis=1), alone, drawn.items, drawn.freedom, drawn.sizes, steps, uneven, drawn.answers)
    return float(whole.sum()), found


def _like(matrix: Matrix, values: Floats) -> Matrix:
    return Matrix(values, matrix.n, matrix.ungraded, matrix.columns)


def _step(
    matrices: Sequence[Matrix], figure: Callable[[Sequence[Floats]], float], whole: float, exam: int, about: MatrixDraws
) -> float:
    """Give the most that one item changes the figure, right or wrong in one row of the first matrix."""
    values, items = matrices[0].values, about.items[exam]
    last, taught = len(values) - 1, matrices[0].columns[exam].taught
    most = 0.0
    for row in {last, 0} if taught is None else {last, taught, taught - 1}:
        if math.isnan(values[row, exam]) or not items:
            continue
        changed = values.copy()
        changed[about.same[:, exam] == about.same[row, exam], exam] += (-1 if values[row, exam] > 0.5 else 1) / items
        change = figure([changed, *(m.values for m in matrices[1:])]) - whole
        most = max(most, 0.0 if math.isnan(change) else abs(change))
    return most
