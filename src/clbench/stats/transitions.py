"""Items of an exam that were right and became wrong, or the other way round, with and without what guessing explains.

An item is known or guessed at each of two times; a guess is right with the item's guess rate g, and both guesses are
independent of each other. Every share is the mean of one number per item, so its error is that of a mean of items.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clbench.stats.bootstrap import ANY, SHARE, Interval, Samples, Uneven, interval, item_weights, row_draws
from clbench.stats.effect import clusters

Floats = NDArray[np.float64]
SAMPLES = 200
ALONE = 8  # samples in which one exam alone is drawn again
SHARES = ("forgotten", "gained", "forgotten_raw", "gained_raw", "known_before", "known_after")


@dataclass(frozen=True)
class BeforeAfter:
    """The items of an exam at two times.

    Attributes:
        before, after: 1 right, 0 wrong, NaN not graded, shape (items,).
        rate_before, rate_after: Score of guessing each item, in [0, 1): with labels that grow, later guesses are right
            less often; 0 for free text.
    """

    before: Floats
    after: Floats
    rate_before: Floats
    rate_after: Floats

    def graded(self) -> NDArray[np.bool_]:
        """Return which items were graded at both times, shape (items,)."""
        return np.asarray(~np.isnan(self.before + self.after))

    def is_defined(self) -> bool:
        """Return whether items were graded at both times, as right or wrong alone, and none is right by any guess."""
        kept = self.graded()
        scores = np.concatenate([self.before[kept], self.after[kept]])
        sure = max(self.rate_before.max(initial=0.0), self.rate_after.max(initial=0.0)) >= 1
        return bool(len(scores)) and bool(np.isin(scores, (0.0, 1.0)).all()) and not sure


def forgotten_raw(asked: BeforeAfter) -> Floats:
    """Share of items that were right and became wrong.

    F_raw = n10 / n, over the n items graded at both times. In [0, 1], lower is better. A guess that was lucky once
    counts as forgotten. Source: Harmon et al. 2025 (arXiv 2510.17776).
    """
    return asked.before * (1 - asked.after)


def gained_raw(asked: BeforeAfter) -> Floats:
    """Share of items that were wrong and became right.

    B_raw = n01 / n, over the n items graded at both times. In [0, 1], higher is better. Source: as `forgotten_raw`.
    """
    return (1 - asked.before) * asked.after


def forgotten(asked: BeforeAfter) -> Floats:
    """Share of items that were known and became unknown: forgetting, corrected for guessing.

    F = (n10 - n00 g / (1 - g)) / (n (1 - g)), g the guess rate; with differing rates
    F = (1/n) sum_i ([10]_i - [00]_i g_i / (1 - g_i)) / (1 - h_i), g_i that of item i before and h_i after. It has the
    right expectation whatever is known, so a pure guesser has 0 in the mean. In [0, 1], lower is better: an estimate
    below 0 is given as 0, one above the estimated share known before as that share; means over seeds and tasks
    are taken first. With g = 0 (free text) it is `forgotten_raw`. A model that repeats its guess is corrected too much:
    the two guesses are taken as independent. NaN where scores lie between right and wrong.
    Source: the model of Harmon et al. 2025 (arXiv 2510.17776), solved for the four counts, so that what is known before
    and after may depend on each other.
    """
    missed = (1 - asked.before) * (1 - asked.after) * asked.rate_before / (1 - asked.rate_before)
    return (forgotten_raw(asked) - missed) / (1 - asked.rate_after)


def gained(asked: BeforeAfter) -> Floats:
    """Share of items that were unknown and became known: backward gain, corrected for guessing.

    B = (n01 - n00 g / (1 - g)) / (n (1 - g)): `forgotten` with the two times exchanged. In [0, 1], higher is better; at
    most the estimated share known after. Source: as `forgotten`.
    """
    return forgotten(BeforeAfter(asked.after, asked.before, asked.rate_after, asked.rate_before))


@dataclass(frozen=True)
class Moves:
    """One number per item of each of `SHARES`, whose mean is that share of an exam.

    Attributes:
        units: Shape (shares, items), graded items only.
        ranges: The most that one item can add to each share, shape (shares,); 0 if both times gave the same answers.
        purpose: Names the exam: the same exam gets the same samples.
        guessed: Whether some item can be guessed, so that shares are corrected.
        groups: What each item belongs to; None if items are independent.
    """

    units: Floats
    ranges: Floats
    purpose: str
    guessed: bool
    groups: tuple[str, ...] | None = None


def moves(asked: BeforeAfter, purpose: str, groups: Sequence[str] = (), *, same: bool = False) -> Moves:
    """Return what each item adds to the shares; `same` says that both times gave the very same answers: none moved."""
    kept = asked.graded()
    asked = BeforeAfter(asked.before[kept], asked.after[kept], asked.rate_before[kept], asked.rate_after[kept])
    known = [(asked.before, asked.rate_before), (asked.after, asked.rate_after)]
    shares = [find(asked) for find in (forgotten, gained, forgotten_raw, gained_raw)]
    units = np.stack([*shares, *((scores - rates) / (1 - rates) for scores, rates in known)])
    wide = float((1 / ((1 - asked.rate_before) * (1 - asked.rate_after))).max(initial=1.0))
    ranges = np.array([wide, wide, 1.0, 1.0, wide, wide])
    if same:
        units[:4], ranges[:4] = 0.0, 0.0
    left = tuple(g for g, stays in zip(groups, kept, strict=True) if stays) if groups else None
    return Moves(units, ranges, purpose, wide > 1 and not same, left)


@dataclass(frozen=True)
class Share:
    """A share of items with its 95 % interval; all three are NaN where it is not defined."""

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan


def shares(by_seed: Sequence[Sequence[Moves]]) -> dict[str, Share]:
    """Return forgotten, gained and their raw forms: the mean over exams, then over seeds, with 95 % intervals.

    Args:
        by_seed: For every seed the same exams, at least one.

    Source: bootstrap over items, whole groups where there are some, and over seeds: `clbench.stats.bootstrap.interval`.
    """
    drawn = [_samples(exams) for exams in by_seed]
    means = [np.mean([exam.units.mean(axis=1) for exam in exams], axis=0) for exams in by_seed]
    centres = np.mean(means, axis=0).tolist()
    most = {name: min(max(centres[SHARES.index(name)], 0.0), 1.0) for name in SHARES[4:]}
    guessed = any(exam.guessed for exams in by_seed for exam in exams)
    found: dict[str, Share] = {}
    for place, name in enumerate(SHARES[:4]):
        ends = _ends([float(m[place]) for m in means], [d[place] for d in drawn], guessed and not name.endswith("_raw"))
        limit = {"forgotten": most["known_before"], "gained": most["known_after"]}.get(name, 1.0)
        found[name] = _possible(centres[place], limit, ends)
    return found


def _ends(by_seed: Sequence[float], samples: Sequence[Samples], guessed: bool) -> Interval:
    """Return the interval of a share; a guessed one varies even where it is 0, which Wilson's does not see.

    There the lower end is that of a difference, and the upper end the nearer one of both kinds, since that of a
    difference is too far where nearly all items moved.
    """
    as_share = interval(by_seed, samples, SHARE)
    if not guessed:
        return as_share
    as_difference = interval(by_seed, samples, ANY)
    return Interval(as_difference.low, min(as_difference.high, as_share.high))


def _possible(value: float, limit: float, ends: Interval) -> Share:
    """Return an estimate within [0, limit], and its interval within [0, 1]."""
    kept = min(max(value, 0.0), limit)
    low, high = (min(max(end, 0.0), 1.0) for end in ends)
    return Share(kept, min(low, kept), max(high, kept))


def _samples(exams: Sequence[Moves]) -> list[Samples]:
    """Return every share over bootstrap samples of the items of its exams; deviations are stretched as those of R."""
    num = len(exams)
    draws = np.zeros((num, SAMPLES, len(SHARES)))
    items, freedom, sizes = np.zeros((3, num))
    uneven: dict[int, tuple[Floats, NDArray[np.intp]]] = {}
    for place, exam in enumerate(exams):
        count = exam.units.shape[1]
        places = clusters(exam.groups, count)
        counts = np.ones(count) if places is None else np.bincount(places)
        size = float((counts**2).sum()) / count
        effective = count / size
        items[place], freedom[place], sizes[place] = count, max(effective - 1, 1.0), size
        stretch = math.sqrt(max(effective, 1.5) / max(effective - 1, 0.5))
        means = exam.units.mean(axis=1)
        weights = item_weights(exam.purpose, count, SAMPLES, exam.groups)
        draws[place] = stretch * (row_draws(exam.units, weights) - means) / num
        if places is not None and counts.min() < counts.max():
            uneven[place] = (exam.units - means[:, None]) / count / num, places
    centres = np.mean([exam.units.mean(axis=1) for exam in exams], axis=0)
    steps = np.array([exam.ranges / exam.units.shape[1] / num for exam in exams])
    return [
        Samples(
            values=centres[share] + draws[:, :, share].sum(axis=0),
            alone=draws[:, :ALONE, share].T,
            items=items,
            freedom=freedom,
            sizes=sizes,
            steps=steps[:, share],
            uneven={exam: Uneven(parts[share], places) for exam, (parts, places) in uneven.items()},
        )
        for share in range(len(SHARES))
    ]
