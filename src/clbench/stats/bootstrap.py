"""Resampling of items: all rows of a matrix share their samples, since they ask the same questions."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clbench.core.keys import rng
from clbench.stats.effect import UNSEEN, ClusterIds, clusters, robust
from clbench.stats.intervals import Block, error_over, shares_of, wilson_at
from clbench.stats.quantiles import normal_quantile, t_quantile

Floats = NDArray[np.float64]
ENOUGH = 60.0  # degrees of freedom that some hundred samples are worth: t is 2.00
LEAST_P = 1e-9  # a smaller p is reported as this
SHARE = (0.0, 1.0)
ANY = (-math.inf, math.inf)


class Interval(NamedTuple):
    """A 95 % interval; NaN where nothing is known."""

    low: float
    high: float

    @property
    def half(self) -> float:
        """Half of its width."""
        return (self.high - self.low) / 2


UNKNOWN = Interval(math.nan, math.nan)


def item_weights(purpose: str, items: int, draws: int, groups: Sequence[Hashable] | None = None) -> Floats:
    """Return how often each item occurs in each bootstrap sample, shape (draws, items).

    With groups, whole groups are drawn. The randomness comes from `purpose`, so that the same exam always gets the same
    samples: differences between runs, rows and methods on it are then paired.

    Source: Efron 1979, "Bootstrap methods: another look at the jackknife".
    """
    generator = rng(0, draws, f"bootstrap {purpose}")
    cluster_ids = clusters(groups, items)
    num = items if cluster_ids is None else int(cluster_ids.max()) + 1
    counts = generator.multinomial(num, np.full(num, 1 / num), size=draws).astype(np.float64)
    return counts if cluster_ids is None else counts[:, cluster_ids]


def row_draws(scores: Floats, weights: Floats) -> Floats:
    """Return the mean of every row in every bootstrap sample, shape (draws, rows).

    Args:
        scores: Shape (rows, items); NaN was not asked or could not be graded, and stays out of the mean.
        weights: Of `item_weights`, shape (draws, items).

    Returns:
        NaN for rows without a score, and in samples that drew no graded item.

    Example:
        >>> row_draws(np.array([[0.0, 1.0], [np.nan, np.nan]]), np.array([[2.0, 0.0], [1.0, 1.0]])).tolist()
        [[0.0, nan], [0.5, nan]]
    """
    graded = ~np.isnan(scores)
    totals = weights @ graded.T.astype(np.float64)
    sums = weights @ np.where(graded, scores, 0.0).T
    return np.divide(sums, totals, out=np.full_like(sums, np.nan), where=totals > 0)


@dataclass(frozen=True)
class Uneven:
    """What the items of one exam add to a figure, where their groups are of unequal size.

    Attributes:
        parts: The item's deviation from the mean times what the exam counts for, shape (items,).
        cluster_ids: The group of each.
    """

    parts: Floats
    cluster_ids: ClusterIds

    def lacking(self) -> float:
        """Return by how much samples of whole groups understate the variance; see `clbench.stats.effect.robust`."""
        apart = self.parts - self.parts.mean()
        wanted, worth = robust(apart, self.cluster_ids)
        seen = float((np.bincount(self.cluster_ids, weights=apart) ** 2).sum())
        return max(0.0, wanted - seen * max(worth, 1.5) / max(worth - 1, 0.5))


@dataclass(frozen=True)
class Samples:
    """A figure in bootstrap samples of the items of its E exams, and how much each exam contributes.

    Attributes:
        values: Shape (draws,).
        alone: Its change where one exam alone is drawn anew, shape (some draws, E).
        items: Of each exam, shape (E,).
        freedom: Independent items or groups of each exam, less 1, shape (E,).
        sizes: Items of a group of each exam, 1 without groups, shape (E,).
        steps: The most that one item of each exam changes the figure, shape (E,).
        uneven: Of each exam whose groups are of unequal size, by its place.
        answers: Digests of the answers behind each exam: equal ones are the very same; empty if unknown.
    """

    values: Floats
    alone: Floats
    items: Floats
    freedom: Floats
    sizes: Floats
    steps: Floats
    uneven: Mapping[int, Uneven] = field(default_factory=dict[int, Uneven])
    answers: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def of(cls, values: Floats) -> Samples:
        """Return samples of which nothing else is known."""
        none = np.zeros(0)
        return cls(np.asarray(values, dtype=np.float64), np.zeros((1, 0)), none, none, none, none)

    def arranged(self, places: Sequence[int]) -> Samples:
        """Return them with the exams in another order, of which exam `places[k]` becomes the k-th."""
        if len(places) != len(self.steps):
            return self
        where = list(places)
        return replace(
            self,
            alone=self.alone[:, where],
            items=self.items[where],
            freedom=self.freedom[where],
            sizes=self.sizes[where],
            steps=self.steps[where],
            uneven={k: self.uneven[exam] for k, exam in enumerate(where) if exam in self.uneven},
            answers=tuple(self.answers[exam] for exam in where) if self.answers else (),
        )

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.values)

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> Floats:
        """Return the figure in every sample."""
        return np.array(self.values, dtype=dtype)


Drawn = Samples | Floats


def _mean(draws: Sequence[Drawn], shares: Floats) -> Samples:
    """Return the samples of a mean over runs that were all asked the same exams; `shares` is what each counts for."""
    found = [d if isinstance(d, Samples) else Samples.of(d) for d in draws]
    first = found[0]
    values = np.average([f.values for f in found], axis=0, weights=shares)
    if any(f.alone.shape != first.alone.shape for f in found):
        return Samples.of(values)
    return Samples(
        values,
        np.average([f.alone for f in found], axis=0, weights=shares),
        first.items,
        first.freedom,
        first.sizes,
        np.average([f.steps for f in found], axis=0, weights=shares),
        _summed(found, *shares.tolist()),
        tuple(tuple(name for one in each for name in one) for each in zip(*(f.answers for f in found), strict=False)),
    )


def _summed(found: Sequence[Samples], *factors: float) -> dict[int, Uneven]:
    """Return the weighted sums of what items add to several figures of the same exams."""
    return {
        exam: replace(first, parts=sum(k * f.uneven[exam].parts for k, f in zip(factors, found, strict=True)))
        for exam, first in found[0].uneven.items()
        if all(exam in f.uneven and len(f.uneven[exam].parts) == len(first.parts) for f in found)
    }


def _less(two: Samples, one: Samples) -> Samples:
    """Return the samples of a difference. An exam in which both gave the very same answers cannot make one."""
    values = two.values - one.values
    if two.alone.shape != one.alone.shape:
        return Samples.of(values)
    least = np.minimum(two.freedom, one.freedom)
    steps = np.maximum(two.steps, one.steps)
    for exam, (mine, theirs) in enumerate(zip(one.answers, two.answers, strict=False)):
        if mine == theirs and all(mine):
            steps[exam] = 0.0
    uneven = _summed([one, two], -1.0, 1.0)
    return Samples(values, two.alone - one.alone, two.items, least, two.sizes, steps, uneven)


@dataclass(frozen=True)
class _Spread:
    """What other items would change about a figure: its bias, variance, degrees of freedom, and one item's effect.

    Where all items say the same, samples show no variance; then as much is added as one item (one whole group, while
    little differs) would make, which is what the rule of three and Wilson's interval say of such items.
    """

    bias: float
    variance: float
    freedom: float
    step: float
    group: float


def _spread(samples: Samples, value: float) -> _Spread | None:
    values = samples.values[~np.isnan(samples.values)]
    if len(values) < 2 or math.isnan(value):
        return None
    bias = float(values.mean()) - value
    seen = float(((values - value) ** 2).mean())
    lacking = np.zeros(len(samples.steps))
    for exam, uneven in samples.uneven.items():
        lacking[exam] = uneven.lacking()
    found = seen + float(lacking.sum())
    counts = samples.steps > 0
    items = samples.items[counts]
    total = float(items.sum())
    step = math.sqrt(float((samples.steps[counts] ** 2 * items).sum()) / total) if total else 0.0
    size = float((samples.sizes[counts] * items).sum()) / total if total else 1.0
    unseen = UNSEEN / (UNSEEN + seen / step**2) if step else 0.0
    group = 1 + (size - 1) * unseen
    least = step**2 * unseen * group
    shares = ((samples.alone**2).mean(axis=0) + lacking)[counts]
    freedom = ENOUGH
    if found > 0 and shares.sum() > 0:
        degrees = float(shares.sum() ** 2 / (shares**2 / np.maximum(samples.freedom[counts], 1.0)).sum())
        freedom = degrees * ((found + least) / found) ** 2
    return _Spread(bias, found + least, max(1.0, min(freedom, ENOUGH)), step, group)


def _ends(spread: _Spread, value: float, bounds: tuple[float, float], level: float = 0.95) -> Interval:
    """Return the interval over items of a figure without its bias."""
    tail = (1 + level) / 2
    edge = t_quantile(tail, spread.freedom)
    if bounds == SHARE and 0 < spread.step < 0.5:
        inside, num = min(max(value, 0.0), 1.0), 1 / spread.step
        shrunk = (num * inside + 1) / (num + 2)
        low, high = wilson_at(inside, shrunk * (1 - shrunk) / spread.variance, edge)
        low, high = min(low, value), max(high, value)
    else:
        low, high = -_above(-value, spread, tail), _above(value, spread, tail)
    # Where rows tie, samples show about a third of the bias of a maximum of them; where they do not, all of it.
    return Interval(low - max(spread.bias, 0.0), high - min(spread.bias, 0.0))


def _above(value: float, spread: _Spread, tail: float) -> float:
    """Return the upper end: the largest D with (D - value)^2 <= t^2 variance or <= z^2 one item's effect x |D|.

    A change of D takes at least |D| / effect items, whatever the sample shows: so in Tango's score interval.
    """
    edge = normal_quantile(tail)
    plain = value + t_quantile(tail, spread.freedom) * math.sqrt(spread.variance)
    each = spread.step * spread.group
    root = edge**4 * each**2 / 4 + edge**2 * each * value
    return max(plain, value + edge**2 * each / 2 + math.sqrt(root)) if root > 0 else plain


def interval(
    seed_values: Sequence[float],
    draws: Sequence[Drawn],
    bounds: tuple[float, float] = ANY,
    blocks: Sequence[Block] = (),
) -> Interval:
    """Return the 95 % interval of a figure's mean over runs: what other items, seeds and orders would change.

        c - sqrt(h^2 + (c - l)^2)  to  c + sqrt(h^2 + (u - c)^2),   c = v - b,   b = mean(draws) - v

    v is the mean over runs, h Student's half width over seeds and orders (`error_over`; 0 with one run, of which
    nothing is known), l and u the interval over items: c -+ t sqrt(V), V = mean((draws - v)^2) and as much as one item
    (one group, while little differs) makes where items say the same; Wilson's with as many items as V is worth for
    figures in [0, 1], Tango's lower bound of the variance for others. t has Satterthwaite's degrees over the exams,
    each with its number of groups (or items) less 1. b takes off the bias of figures that hold a maximum: forgetting
    looks larger on few items than it is. Since samples show only a part of it where rows tie, that end is moved by b
    once more.

    Args:
        seed_values: The figure of each seed; NaN makes the interval unknown.
        draws: The samples of each seed; empty where no items are on record.
        bounds: Range of the figure; (0, 1) is read as a mean of scores.
        blocks: Order of the tasks and seed of each run; empty if it is one order. Samples must be of the same exams in
            one order (`Samples.arranged`).

    Source: Efron & Tibshirani 1993, ch. 10, for the bias; Satterthwaite 1946; Wilson 1927 with an effective number of
    items as in Dean & Pacheco 2014; Tango 1998; coverage: `bench/intervals.py`.
    """
    shares = shares_of(len(seed_values), [order for order, _ in blocks])
    value = float(shares @ np.array(seed_values, dtype=np.float64))
    error, freedom = error_over(seed_values, blocks)
    over_seeds = error * t_quantile(0.975, freedom)
    if len(draws) != len(seed_values):
        return Interval(value - over_seeds, value + over_seeds)
    spread = _spread(_mean(draws, shares), value)
    if spread is None:
        return UNKNOWN
    return _joined(value - spread.bias, _ends(spread, value - spread.bias, bounds), over_seeds)


def _joined(centre: float, items: Interval, seeds: float) -> Interval:
    part = 0.0 if math.isnan(seeds) else seeds
    return Interval(centre - math.hypot(part, centre - items.low), centre + math.hypot(part, items.high - centre))


def difference_of(
    one: Sequence[float],
    draws_one: Sequence[Drawn],
    two: Sequence[float],
    draws_two: Sequence[Drawn],
    blocks: Sequence[Block] = (),
) -> tuple[Interval, float]:
    """Return the 95 % interval of the difference two - one of a figure, and the two-sided p of "no difference".

    Items are paired: both sides' samples of an exam are the same. Seeds are paired in order where there are equally
    many, else they are taken as independent (Welch). Both parts add up as in `interval`; p is 1 - the highest level at
    which the interval leaves 0 out, so that the two never disagree.

    Args:
        one: The figure of each seed of the first side.
        draws_one: Its samples of each seed; empty where no items are on record.
        two: The figure of each seed of the second side.
        draws_two: Its samples.
        blocks: Order of the tasks and seed of each pair of runs; empty if it is one order.

    Returns:
        NaN where neither other items nor other seeds are known.

    Source: Welch 1947; of p: Cox & Hinkley 1974, ch. 7 (tests and intervals are each other's inverse).

    Example:
        >>> found, p = difference_of([0.5, 0.6, 0.7], [], [0.6, 0.9, 0.9], [])
        >>> [round(v, 3) for v in found], round(p, 3)
        ([-0.048, 0.448], 0.074)
    """
    sides = [shares_of(len(side), [order for order, _ in blocks]) for side in (one, two)]
    value = float(sides[1] @ np.array(two, dtype=np.float64)) - float(sides[0] @ np.array(one, dtype=np.float64))
    error, freedom = _over_seeds(one, two, blocks)
    spread = None
    if len(draws_one) == len(one) and len(draws_two) == len(two):
        spread = _spread(_less(_mean(draws_two, sides[1]), _mean(draws_one, sides[0])), value)
    if math.isnan(value) or (spread is None and math.isnan(error)):
        return UNKNOWN, math.nan
    seeds = 0.0 if math.isnan(error) else error
    centre = value if spread is None else value - spread.bias

    def at(level: float) -> Interval:
        half = seeds * t_quantile((1 + level) / 2, freedom) if seeds else 0.0
        items = Interval(value, value) if spread is None else _ends(spread, centre, ANY, level)
        return _joined(centre, items, half)

    if not seeds and (spread is None or not spread.variance):
        return at(0.95), 1.0 if value == 0 else math.nan
    return at(0.95), _without(at, centre)


def _without(at: Callable[[float], Interval], centre: float) -> float:
    """Return 1 - the highest level at which an interval around `centre` leaves 0 out."""
    from scipy.optimize import root_scalar

    def beyond(level: float) -> float:
        return at(level).low if centre > 0 else -at(level).high

    if beyond(0.0) <= 0:
        return 1.0
    if beyond(1 - LEAST_P) > 0:
        return LEAST_P
    return 1 - float(root_scalar(beyond, bracket=(0.0, 1 - LEAST_P), method="brentq").root)


def possible(found: Interval, bounds: tuple[float, float]) -> Interval:
    """Return the interval of a difference within what a figure of this range can differ by.

    Example:
        >>> possible(Interval(-0.2, 1.4), (0.0, 1.0))
        Interval(low=-0.2, high=1.0)
    """
    most = bounds[1] - bounds[0]
    return Interval(max(found.low, -most), min(found.high, most))


def _over_seeds(one: Sequence[float], two: Sequence[float], blocks: Sequence[Block]) -> tuple[float, float]:
    """Return the standard error of the difference over seeds and its degrees of freedom; NaN with single seeds."""
    if len(one) == len(two):
        return error_over([b - a for a, b in zip(one, two, strict=True)], blocks)
    if min(len(one), len(two)) < 2:
        return math.nan, 1
    parts = [float(np.var(v, ddof=1)) / len(v) for v in (one, two)]
    total = sum(parts)
    below = sum(p * p / (len(v) - 1) for p, v in zip(parts, (one, two), strict=True))
    return math.sqrt(total), total * total / below if below else 1
