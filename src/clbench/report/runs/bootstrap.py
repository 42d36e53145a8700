"""Bootstrap samples of the items of a run: the matrix R and every figure over them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from clbench.core.item_scores import ExamScores, ItemScores
from clbench.core.matrix import Matrix
from clbench.metrics import all_metrics
from clbench.report.runs.exam_items import marked_rows
from clbench.report.runs.on_demand import OnDemand
from clbench.stats.bootstrap import ENOUGH, Samples, Uneven, item_weights, row_draws
from clbench.stats.effect import ClusterIds, clusters

SAMPLES = 200
NUDGE = 1e-6  # change of a cell that gives the slope of a figure in it
ALONE = 8  # samples in which one exam alone is drawn again, to see how much a figure depends on it
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MatrixSamples:
    """R over bootstrap samples of the items of its exams.

    Attributes:
        values: Shape (draws, T+1, E), NaN where R is.
        items: Of each exam, shape (E,).
        freedom: Independent items or groups of each exam, less 1, shape (E,).
        sizes: Items of a group of each exam, 1 without groups, shape (E,).
        same: Rows of an exam with the same number have the very same answers, shape (T+1, E): they cannot differ.
        answers: Keys of the answers of every exam, row by row; empty where they are not known.
        uneven: Place of an exam with groups of unequal size -> (what each item adds to the cell of every row, shape
            (T+1, items), 0 where not asked; the group of each item).
    """

    values: Floats
    items: Floats
    freedom: Floats
    sizes: Floats
    same: NDArray[np.int64]
    answers: tuple[tuple[str, ...], ...] = ()
    uneven: Mapping[int, tuple[Floats, ClusterIds]] = field(default_factory=dict[int, tuple[Floats, ClusterIds]])


def matrix_samples(matrix: Matrix, item_scores: ItemScores) -> MatrixSamples | None:
    """Return R over bootstrap samples of the items; None where the items of a column are not on record.

    All rows of a column use the same sample of its items, and so do all runs that take the same exam. Each exam's
    score is computed again by its own rule. Deviations are stretched by sqrt(G / (G - 1)), G the number of independent
    items, or the effective number of groups n^2 / sum n_c^2: a sample of few varies less than its population.
    What samples of groups of unequal size do not show is added afterwards (`Uneven`).
    """
    found = {s.exam: s for s in item_scores.exams}
    if any(name not in found for name in matrix.exams):
        return None
    rows, columns = matrix.values.shape
    values = np.full((SAMPLES, rows, columns), np.nan)
    sizes, same = np.zeros((3, columns)), np.tile(np.arange(rows)[:, None], columns)
    uneven: dict[int, tuple[Floats, ClusterIds]] = {}
    for place, name in enumerate(matrix.exams):
        exam_scores = found[name]
        places = clusters(exam_scores.groups or None, len(exam_scores.ids))
        counts = np.ones(len(exam_scores.ids)) if places is None else np.bincount(places)
        size = float((counts**2).sum()) / max(len(exam_scores.ids), 1)
        effective = len(exam_scores.ids) / size if size else 0.0  # number of groups of equal size that vary as much
        sizes[:, place] = len(exam_scores.ids), max(effective - 1, 1), size
        stretch = math.sqrt(max(effective, 1.5) / max(effective - 1, 0.5))
        keys = {lesson: row.answers_key for lesson, row in exam_scores.rows.items()}
        for lesson, key in keys.items():
            same[lesson, place] = min(k for k, other in keys.items() if other == key)
        values[:, :, place] = matrix.values[:, place] + stretch * _deviations(exam_scores, rows)
        if places is not None and counts.min() < counts.max():
            uneven[place] = _parts(exam_scores, rows), places
    answers = tuple(tuple(row.answers_key for _, row in sorted(found[name].rows.items())) for name in matrix.exams)
    return MatrixSamples(values, sizes[0], sizes[1], sizes[2], same, answers, uneven)


def _parts(exam_scores: ExamScores, rows: int) -> Floats:
    """Return what each item adds to the exam's score in every row, less the mean, shape (rows, items)."""
    found = np.zeros((rows, len(exam_scores.ids)))
    for lesson, row in exam_scores.rows.items():
        side = marked_rows([row], exam_scores.scorer.name)
        if side.known.any():
            units = side.only(side.known).units()
            found[lesson, side.known] = (units - units.mean()) / len(units)
    return found


def _deviations(exam_scores: ExamScores, rows: int) -> Floats:
    """Return how far the exam's score lies from that of all items in each sample and row, shape (samples, rows)."""
    weights = item_weights(exam_scores.digest, len(exam_scores.ids), SAMPLES, exam_scores.groups or None)
    everything = np.ones((1, len(exam_scores.ids)))
    by_row = {lesson: marked_rows([row], exam_scores.scorer.name) for lesson, row in exam_scores.rows.items()}
    if all(row.is_mean for row in by_row.values()):
        scores = exam_scores.array(rows)
        return row_draws(scores, weights) - row_draws(scores, everything)
    found = np.full((SAMPLES, rows), np.nan)
    for lesson, row in by_row.items():
        found[:, lesson] = row.drawn(weights) - row.drawn(everything)
    return found


def figure_samples(matrix: Matrix, samples: MatrixSamples | None, names: Sequence[str]) -> Mapping[str, Samples]:
    """Return each figure in every sample, made when it is read; figures that need more than the matrix are left out."""
    known = all_metrics()  # a record may have figures of a plug-in that is not here
    plugins = {n: known[n] for n in names if n in known and known[n].needs == "matrix"}
    if samples is None:
        return {}
    return OnDemand({n: partial(samples_of, [matrix], [samples], plugin.compute) for n, plugin in plugins.items()})


def samples_of(
    matrices: Sequence[Matrix], samples: Sequence[MatrixSamples], compute: Callable[..., float], num: int = SAMPLES
) -> Samples:
    """Return a figure of one or several matrices of the same exams over bootstrap samples of their items.

    Args:
        matrices: R of the run, and of the references that the figure needs.
        samples: Their samples.
        compute: The figure, a function of as many matrices.
        num: How many samples to use.
    """

    def figure(values: Sequence[Floats]) -> float:
        return compute(*(_like(m, v) for m, v in zip(matrices, values, strict=True)))

    value, first = figure([m.values for m in matrices]), samples[0]
    steps = np.array([_step(matrices, figure, value, exam, first) for exam in range(len(first.items))])
    alone = np.zeros((ALONE, len(steps)))
    # Where every exam has many independent items, Student's t is close to normal whichever of them counts most.
    for exam in np.flatnonzero(steps > 0) if first.freedom.min(initial=ENOUGH) < ENOUGH else ():
        for draw in range(ALONE):
            changed = [m.values.copy() for m in matrices]
            for values, each in zip(changed, samples, strict=True):
                values[:, exam] = each.values[draw, :, exam]
            alone[draw, exam] = np.nan_to_num(figure(changed) - value)
    return Samples(
        values=np.array([figure([s.values[k] for s in samples]) for k in range(num)]),
        alone=alone,
        items=first.items,
        freedom=first.freedom,
        sizes=first.sizes,
        steps=steps,
        uneven=_uneven(matrices, samples, figure, value),
        answers=first.answers if len(matrices) == 1 else (),
    )


def _uneven(
    matrices: Sequence[Matrix],
    samples: Sequence[MatrixSamples],
    figure: Callable[[Sequence[Floats]], float],
    value: float,
) -> dict[int, Uneven]:
    """Return what the items of exams with groups of unequal size add to a figure, by its slopes in their cells."""
    found: dict[int, Uneven] = {}
    for exam, (first, places) in samples[0].uneven.items():
        parts = np.zeros(first.shape[1])
        for number, each in enumerate(samples):
            for row in np.unique(each.same[:, exam]):
                changed = [m.values for m in matrices]
                changed[number] = changed[number].copy()
                changed[number][each.same[:, exam] == row, exam] += NUDGE  # cells of the same answers move together
                parts += float(np.nan_to_num((figure(changed) - value) / NUDGE)) * each.uneven[exam][0][row]
        found[exam] = Uneven(parts, places)
    return found


def linear_samples(matrix: Matrix, samples: MatrixSamples, factors: Floats) -> tuple[float, Samples]:
    """Return a weighted sum of cells of R, and the same sum in every sample.

    Args:
        matrix: R.
        samples: Its samples.
        factors: Of the cells, shape (T+1, E); cells of factor 0 are not used.
    """
    used = factors != 0
    value = np.where(used, matrix.values * factors, 0.0).sum(axis=0)
    by_exam = np.where(used, samples.values * factors, 0.0).sum(axis=1)
    steps = np.abs(factors).max(axis=0) / np.maximum(samples.items, 1)
    alone = np.nan_to_num(by_exam[:ALONE] - value)
    uneven = {
        exam: Uneven((parts * factors[:, exam, None]).sum(axis=0), places)
        for exam, (parts, places) in samples.uneven.items()
    }
    found = Samples(
        by_exam.sum(axis=1), alone, samples.items, samples.freedom, samples.sizes, steps, uneven, samples.answers
    )
    return float(value.sum()), found


def _like(matrix: Matrix, values: Floats) -> Matrix:
    return Matrix(values, matrix.n, matrix.ungraded, matrix.columns)


def _step(
    matrices: Sequence[Matrix],
    figure: Callable[[Sequence[Floats]], float],
    value: float,
    exam: int,
    samples: MatrixSamples,
) -> float:
    """Return the most that one item can change the figure, being right or wrong in one row of the first matrix."""
    values, items = matrices[0].values, samples.items[exam]
    last, taught = len(values) - 1, matrices[0].columns[exam].taught
    most = 0.0
    for row in {last, 0} if taught is None else {last, taught, taught - 1}:
        if math.isnan(values[row, exam]) or not items:
            continue
        changed = values.copy()
        changed[samples.same[:, exam] == samples.same[row, exam], exam] += (
            -1 if values[row, exam] > 0.5 else 1
        ) / items
        change = figure([changed, *(m.values for m in matrices[1:])]) - value
        most = max(most, 0.0 if math.isnan(change) else abs(change))
    return most
