"""The graded items of an exam, with the rule that makes the exam's score of them: the mean, or its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ConfigDict, Field, PlainSerializer, PlainValidator, TypeAdapter, ValidationError

from clbench.core.protocols import Weigh
from clbench.core.types import Grade
from clbench.core.value import Renamed

Floats = NDArray[np.float64]
Parts = tuple[tuple[float, ...], ...]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Packed = Annotated[str, Field(pattern="^[01-]*$")] | tuple[Finite | None, ...]  # scores of one row in a file
BLOCK = 2**21  # weights held at a time: 16 MB
MARKS = {0.0: "0", 1.0: "1", None: "-"}
OF_MARKS = {mark: score for score, mark in MARKS.items()}  # numpy takes None for NaN
_PACKED: TypeAdapter[Packed] = TypeAdapter(Packed)


def pack(scores: Floats) -> Packed:
    """Return one row of scores in the shortest form that loses nothing: a character per item where all are 0, 1 or NaN.

    Raises:
        ValueError: There are several rows.

    Example:
        >>> pack(np.array([[1.0, 0.0, np.nan]])), pack(np.array([[0.5, np.nan]]))
        ('10-', (0.5, None))
    """
    (row,) = scores
    values = [None if math.isnan(score) else score for score in row.tolist()]
    return "".join(MARKS[v] for v in values) if all(v in MARKS for v in values) else tuple(values)


def _unpack(scores: object) -> Floats:
    """Return scores as an array that nobody can change, shape (rows, items): of a file one row; an array as it is."""
    if not isinstance(scores, np.ndarray):
        try:
            row = _PACKED.validate_python(scores)
        except ValidationError:
            raise ValueError("scores are one of 0, 1 and - per item, or a number or null per item") from None
        scores = np.array([OF_MARKS[mark] for mark in row] if isinstance(row, str) else row, dtype=np.float64)
    found = np.atleast_2d(np.asarray(scores, dtype=np.float64)).view()
    if found.ndim > 2 or not len(found):
        raise ValueError(f"scores are rows of items, and these have the shape {found.shape}")
    if np.isinf(found).any():
        raise ValueError("a score is infinite")
    found.flags.writeable = False
    return found


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


class GradedItems(Renamed):
    """One exam item by item: of one cell of the matrix, as a result keeps it, or of one side of a comparison.

    Attributes:
        questions: Digest of the questions as they were asked; it differs from the exam's if labels grow.
        answers_key, grades_key: Keys of the answers and of the grades in the store.
        scores: Shape (rows, items), in [0, 1]; NaN could not be graded. Several rows where the exam was asked several
            times (seeds, repeats). A file holds one row, as `pack` writes it.
        reasoning: Tokens of reasoning before the answers, and answers that are missing because it did not end; empty
            without reasoning.
        parts: `Grade.parts` of the items, row after row, if the exam's score is not the mean of the scores; else empty.
        declined: Indices of the items that were not answered; their scores are 0.
        cuts: What did not fit: (questions cut, tokens left out, examples dropped); empty if all questions fit.
        guess_rate: Score of guessing in this row, in [0, 1], where it differs from the exam's because labels grow.
        rule: How a row's score is made of its items; the score is the mean over rows. Files name the scorer instead.
    """

    questions: str
    answers_key: str
    grades_key: str
    scores: Annotated[Floats, PlainValidator(_unpack), PlainSerializer(pack)]
    parts: Parts = ()
    reasoning: tuple[int, ...] = ()
    cuts: tuple[int, ...] = ()
    declined: tuple[int, ...] = ()
    guess_rate: float | None = Field(default=None, ge=0, le=1)
    rule: Weigh = Field(default=mean_rule, exclude=True, repr=False)
    model_config = ConfigDict(arbitrary_types_allowed=True)
    absent_at_default: ClassVar[frozenset[str]] = frozenset({"parts", "reasoning", "cuts", "declined", "guess_rate"})
    formerly: ClassVar[Mapping[str, str]] = {
        "asked": "questions",
        "ask": "answers_key",
        "mark": "grades_key",
        "thought": "reasoning",
        "cut": "cuts",
    }

    def kept(self) -> Iterable[tuple[str, object]]:
        """Return the fields that files hold, as they hold them."""
        return [(name, pack(self.scores) if name == "scores" else vars(self)[name]) for name in KEPT]

    def __eq__(self, other: object) -> bool:
        """Return whether both hold the same items with the same scores; what files leave out does not count."""
        if not isinstance(other, GradedItems):
            return NotImplemented
        same = all(vars(self)[name] == vars(other)[name] for name in KEPT if name != "scores")
        return same and np.array_equal(self.scores, other.scores, equal_nan=True)

    def __hash__(self) -> int:
        """Return a hash; equal items have equal keys."""
        return hash((self.questions, self.answers_key, self.grades_key))

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
        """Mean score of every item over rows, shape (items,); of one row, its scores."""
        return self.scores.mean(axis=0)

    def values(self) -> Floats:
        """Return the scores of the only row, shape (items,)."""
        return self.scores[0]

    def parts_of(self, row: int) -> Parts:
        """Return the parts of a row's items; empty where there are none."""
        return self.parts[row * self.items : (row + 1) * self.items]

    def only(self, chosen: NDArray[np.bool_]) -> GradedItems:
        """Return the chosen items alone, of which no file is made."""
        indices = np.flatnonzero(chosen)
        parts = (own[i] for own in map(self.parts_of, range(len(self.scores))) if own for i in indices)
        return graded_items(self.scores[:, indices], tuple(parts), self.rule)

    def drawn(self, weights: Floats) -> Floats:
        """Return the score with items weighted, shape (draws,); items that were not graded stay out.

        Args:
            weights: Whole numbers, shape (draws, items).
        """
        return np.mean([self._row(row, weights) for row in range(len(self.scores))], axis=0)

    def _row(self, row: int, weights: Floats) -> Floats:
        there = ~np.isnan(self.scores[row])
        indices, own = np.flatnonzero(there), self.parts_of(row)
        parts = tuple(own[i] for i in indices) if own else ((),) * len(indices)
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


KEPT = tuple(name for name, field in GradedItems.model_fields.items() if not field.exclude)


def graded_items(scores: GradedItems | ArrayLike, parts: Parts = (), rule: Weigh = mean_rule) -> GradedItems:
    """Return scores that belong to no file as `GradedItems`; those that are some already as they are.

    Args:
        scores: Shape (items,) or (rows, items); NaN could not be graded.
        parts: Of every item, row after row, where `rule` reads them.
        rule: How a row's score is made of its items.
    """
    if isinstance(scores, GradedItems):
        return scores
    array = np.asarray(scores, dtype=np.float64)
    return GradedItems(questions="", answers_key="", grades_key="", scores=array, parts=parts, rule=rule)


def score_row(grades: Iterable[Grade]) -> Floats:
    """Return the scores of grades, shape (1, items); NaN where an answer could not be graded."""
    return np.array([[math.nan if g.score is None else g.score for g in grades]], dtype=np.float64)


def side_by_side(one: GradedItems, two: GradedItems) -> GradedItems:
    """Return both sides' items as one exam, those of `one` first: weights then choose the side of each item.

    A side with fewer rows is repeated.
    """
    rows = int(np.lcm(len(one.scores), len(two.scores)))
    scores = [np.tile(side.scores, (rows // len(side.scores), 1)) for side in (one, two)]
    parts = (side.parts_of(row % len(side.scores)) for row in range(rows) for side in (one, two))
    return graded_items(np.concatenate(scores, axis=1), tuple(part for own in parts for part in own), one.rule)
