"""The scores of an exam, item by item, with the rule that makes the exam's score of them: the mean, or its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clbench.core.protocols import Weigh
from clbench.core.types import Grade

Floats = NDArray[np.float64]
Parts = tuple[tuple[float, ...], ...]
BLOCK = 2**21  # weights held at a time: 16 MB


def mean_rule(scores: Floats, parts: Sequence[tuple[float, ...]], weights: Floats) -> Floats:
    """Return the weighted mean of the scores in each draw; NaN where all weights are 0.

    Example:
        >>> mean_rule(np.array([0.0, 1.0]), (), np.array([[1.0, 3.0], [0.0, 0.0]])).tolist()
        [0.75, nan]
    """
    totals = weights.sum(axis=1)
    return np.divide(weights @ scores, totals, out=np.full(len(totals), np.nan), where=totals > 0)


def by_repeating(combine: Callable[[Sequence[Grade]], float]) -> Weigh:
    """Return the rule of a scorer that takes lists of grades only: an item of weight 2 is repeated.

    Weights must be whole numbers.
    """

    def rule(scores: Floats, parts: Sequence[tuple[float, ...]], weights: Floats) -> Floats:
        grades = [
            Grade(example_id=str(place), score=float(score), parts=part)
            for place, (score, part) in enumerate(zip(scores, parts, strict=True))
        ]
        found = np.full(len(weights), np.nan)
        for draw, times in enumerate(weights.astype(np.int64)):
            if times.any():
                found[draw] = combine([grades[i] for i in np.repeat(np.arange(len(grades)), times)])
        return found

    return rule


@dataclass(frozen=True)
class GradedItems:
    """One exam of one side; several rows where it was asked several times (seeds, repeats).

    Attributes:
        scores: Shape (rows, items), in [0, 1]; NaN could not be graded.
        parts: `Grade.parts` of every row and item; empty where the score is the mean.
        rule: How a row's score is made of its items; the side's score is the mean over rows.
    """

    scores: Floats
    parts: tuple[Parts, ...] = ()
    rule: Weigh = mean_rule

    @property
    def is_mean(self) -> bool:
        """Whether the score is the mean of the items' scores."""
        return self.rule is mean_rule

    @property
    def items(self) -> int:
        """Number of items, graded or not."""
        return self.scores.shape[1]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which items were graded in every row, shape (items,)."""
        return np.asarray(~np.isnan(self.scores).any(axis=0))

    @property
    def means(self) -> Floats:
        """Mean score of every item over rows, shape (items,)."""
        return self.scores.mean(axis=0)

    def only(self, chosen: NDArray[np.bool_]) -> GradedItems:
        """Return a copy that holds the chosen items alone."""
        indices = np.flatnonzero(chosen)
        parts = tuple(tuple(row[i] for i in indices) for row in self.parts)
        return replace(self, scores=self.scores[:, indices], parts=parts)

    def drawn(self, weights: Floats) -> Floats:
        """Return the score with items weighted, shape (draws,); items that were not graded stay out.

        Args:
            weights: Whole numbers, shape (draws, items).
        """
        return np.mean([self._row(row, weights) for row in range(len(self.scores))], axis=0)

    def _row(self, row: int, weights: Floats) -> Floats:
        there = ~np.isnan(self.scores[row])
        indices = np.flatnonzero(there)
        parts = tuple(self.parts[row][i] for i in indices) if self.parts else ((),) * len(indices)
        scores, found = self.scores[row, indices], np.full(len(weights), np.nan)
        step = max(1, BLOCK // max(len(indices), 1))
        for start in range(0, len(weights), step) if len(indices) else ():
            found[start : start + step] = self.rule(scores, parts, weights[start : start + step, indices])
        return found

    @property
    def value(self) -> float:
        """The exam's score: the mean over rows of the rule; NaN where a row has no graded item."""
        return float(self.drawn(np.ones((1, self.items)))[0])

    def units(self) -> Floats:
        """Return values of the items whose mean is the score, shape (items,); all items must be graded.

        For the mean they are the scores themselves, else the jackknife's pseudo-values n s - (n - 1) s_(-i), s_(-i) the
        score without item i. Their mean is the score but for its small bias, and their spread tells its error.

        Source: Tukey 1958; Efron & Tibshirani 1993, ch. 11.
        """
        num = self.items
        if self.is_mean or num < 2:
            return self.means
        step = max(1, BLOCK // num)
        full = self.value
        left = np.concatenate([self._without(start, step) for start in range(0, num, step)])
        return num * full - (num - 1) * np.where(np.isnan(left), full, left)

    def _without(self, start: int, step: int) -> Floats:
        indices = np.arange(start, min(start + step, self.items))
        weights = np.ones((len(indices), self.items))
        weights[np.arange(len(indices)), indices] = 0.0
        return self.drawn(weights)


def graded_items(scores: GradedItems | Sequence[float] | Floats) -> GradedItems:
    """Return scores as `GradedItems`: plain ones are a single row whose score is their mean."""
    if isinstance(scores, GradedItems):
        return scores
    return GradedItems(np.atleast_2d(np.asarray(scores, dtype=np.float64)))


def side_by_side(one: GradedItems, two: GradedItems) -> GradedItems:
    """Return both sides' items as one exam, those of `one` first: weights then choose the side of each item.

    A side with fewer rows is repeated.
    """
    rows = np.lcm(len(one.scores), len(two.scores))
    both = [_repeated(side, rows // len(side.scores)) for side in (one, two)]
    parts = tuple((*a, *b) for a, b in zip(both[0].parts, both[1].parts, strict=True))
    return GradedItems(np.concatenate([b.scores for b in both], axis=1), parts, one.rule)


def _repeated(side: GradedItems, times: int) -> GradedItems:
    return replace(side, scores=np.tile(side.scores, (times, 1)), parts=side.parts * times)
