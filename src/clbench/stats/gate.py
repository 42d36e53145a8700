"""Has a model become worse? One verdict per exam, with one false-alarm rate over all of them."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clbench.core.graded import GradedItems, graded_items
from clbench.stats.effect import clusters
from clbench.stats.paired import Difference, Scores, drop_p, holm, paired_difference
from clbench.stats.power import drop_seen
from clbench.stats.quantiles import normal_quantile

Floats = NDArray[np.float64]
State = Literal["regressed", "not worse", "not shown"]
POOLED = "all exams"
DRAWN = 0.001  # a p of this size or less was drawn, not computed
NEAREST, FARTHEST = 1e-6, 8.0  # quantiles between which a p is searched for: 0.5 to 6e-16
LEVEL = 0.05  # false-alarm rate over all exams of a gate, unless the user says otherwise


class Pairs(NamedTuple):
    """One exam before and after.

    Attributes:
        exam: Its name.
        old: Scores of the items before, shape (items,), or (asks, items) where the unchanged model was asked several
            times; NaN: not graded. `GradedItems` where the exam's score is not their mean.
        new: Scores of the same items now, shape (items,), or `GradedItems`.
        groups: What each item belongs to; None is nothing shared.
    """

    exam: str
    old: Scores
    new: Scores
    groups: Sequence[Hashable] | None


@dataclass(frozen=True)
class Verdict:
    """The verdict on one exam.

    Attributes:
        exam: Its name.
        old, new: The exam's score over the items that were graded both times, in [0, 1].
        change: New - old, with its 95 % interval.
        p: One-sided, that nothing fell, after Holm over all exams.
        p_worse: One-sided, that it fell by the margin or more, after Holm over all exams.
        margin: Drops smaller than this are let pass.
        floor: Smallest drop that these items find with probability 0.8; a drop below it may go unseen.
        state: "regressed": it fell by at least the margin, and not by randomness alone. "not worse": that it fell by
            the margin or more is refuted. "not shown": neither.
        needed: Items at which one of the two would be shown with probability 0.8; its items where one is shown.
        gained, lost: Items whose score rose, and fell.
        missed: Items that were graded at one time only; they are left out.
    """

    exam: str
    old: float
    new: float
    change: Difference
    p: float
    p_worse: float
    margin: float
    floor: float
    state: State
    needed: float
    gained: int
    lost: int
    missed: int

    @property
    def regressed(self) -> bool:
        """Whether the exam has become worse."""
        return self.state == "regressed"


class Noise(NamedTuple):
    """How far an exam disagrees with itself about an unchanged model.

    Attributes:
        asks: How often the unchanged model was asked again.
        flips: Share of items whose score differs between two of all asks, the baseline's among them; the mean.
        shift: Mean score of the new asks - that of the baseline.
    """

    asks: int
    flips: float
    shift: float


def judge_exams(
    exams: Sequence[Pairs | tuple[str, Scores, Scores, Sequence[Hashable] | None]],
    margin: float,
    margins: Mapping[str, float] | None = None,
    level: float = LEVEL,
) -> list[Verdict]:
    """Return a verdict on each exam, with one false-alarm rate over all of them.

    An exam has regressed if its score fell by at least the margin, and the one-sided paired test (`fall_p`) rejects
    "it did not fall" at `level` after Holm's correction over all exams. So the probability of any false alarm is at
    most `level` where nothing changed, however many exams there are, and the margin lets harmless drops of large exams
    pass. It is not worse if "it fell by the margin or more" (`worse_p`) is rejected at `level` after Holm's correction
    over all exams: the probability that any exam that fell so far is called not worse is at most `level` as well. Else
    nothing is shown: the items are too few.

    Args:
        exams: Before and after; see `Pairs`.
        margin: In [0, 1].
        margins: Exam -> another margin for it.
        level: In (0, 1).

    Source: Holm 1979; a practical margin beside a test as in Demsar 2006; non-inferiority with a paired score interval
    as in Tango 1998.

    Example:
        >>> import numpy as np
        >>> old, new = np.ones(100), np.array([0.0] * 10 + [1.0] * 90)
        >>> [(v.exam, v.state, v.lost) for v in judge_exams([("sums", old, new, None)], margin=0.02)]
        [('sums', 'regressed', 10)]
    """
    pairs = [e._replace(old=_settled(e.old), new=graded_items(e.new)) for e in (Pairs(*each) for each in exams)]
    own = [(margins or {}).get(e.exam, margin) for e in pairs]
    fell = holm([fall_p(e.old, e.new, groups=e.groups) for e in pairs])
    worse = holm([worse_p(e, m) for e, m in zip(pairs, own, strict=True)])
    share = level / max(len(pairs), 1)
    return [
        _verdict(e, m, p, (level, share)) for e, m, p in zip(pairs, own, zip(fell, worse, strict=True), strict=True)
    ]


def pooled(exams: Sequence[Pairs], margins: Sequence[float]) -> tuple[Pairs, float] | None:
    """Return the items of all exams as one exam, each item counted once, and the mean margin over them.

    Items of one group of an exam stay together. Exams whose score is not the mean of their items are left out; None
    where fewer than two are left.

    Args:
        exams: As they are judged one by one, asked equally often before.
        margins: Of each of them, in order.
    """
    sides = [(e, _settled(e.old), graded_items(e.new), m) for e, m in zip(exams, margins, strict=True)]
    means = [(e, old, new, m) for e, old, new, m in sides if old.is_mean and new.is_mean]
    sizes = [new.items for _, _, new, _ in means]
    if len(means) < 2 or not sum(sizes):
        return None
    groups: list[Hashable] | None = None
    if any(e.groups is not None for e, _, _, _ in means):
        groups = [(e.exam, k if e.groups is None else e.groups[k]) for e, _, new, _ in means for k in range(new.items)]
    asks = min(len(old.scores) for _, old, _, _ in means)
    before = np.concatenate([old.scores if asks > 1 else old.means[None] for _, old, _, _ in means], axis=1)
    now = np.concatenate([new.means for _, _, new, _ in means])
    return Pairs(POOLED, before, now, groups), float(np.average([m for _, _, _, m in means], weights=sizes))


def plainest(found: GradedItems) -> GradedItems:
    """Return an exam without its rule if that equals the mean of its items: exact tests are for means only.

    It does if the score without an item shows that this item counts for its own score and no more.
    """
    there = found.known
    alike = not found.is_mean and there.any() and np.allclose(found.only(there).units(), found.means[there], atol=1e-9)
    return graded_items(found.scores) if alike else found


def _settled(old: Scores) -> GradedItems:
    """Return asks as rows; for means with holes, the mean of each item over the asks in which it was graded."""
    found = graded_items(old)
    if len(found.scores) < 2 or not found.is_mean or not np.isnan(found.scores).any():
        return found
    known = ~np.isnan(found.scores)
    count = known.sum(axis=0)
    total = np.where(known, found.scores, 0.0).sum(axis=0)
    return graded_items(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def fall_p(old: Scores, new: Scores, *, groups: Sequence[Hashable] | None = None) -> float:
    """Return the one-sided p of "the new scores are not lower than the old ones", which were asked once or more.

    One ask before is `drop_p`. With K of them, for right and wrong answers without groups, the new answer to an item
    is any of its K + 1 answers with equal probability: the number of right ones is a sum of binomials, one for each
    number of right answers that an item has, and p is P(S < s) + P(S = s) / 2 (McNemar's mid-p for K = 1). For graded
    scores, holes and groups `drop_p` with the mean of the old ones. Where `drop_p` has drawn its patterns and none of
    them reached the drop, Student's p of the pseudo-values tells how small it is.

    Args:
        old: Shape (items,) or (asks, items), or `GradedItems`; NaN: not graded.
        new: Shape (items,), or `GradedItems`.
        groups: What each item belongs to.

    Returns:
        In [0, 1]; 1 where nothing differs, NaN where nothing was measured.

    Source: the stratified permutation test of Mantel & Haenszel 1959, exact as in Fagerland et al. 2013.

    Example:
        >>> import numpy as np
        >>> round(fall_p(np.ones((3, 4)), np.array([0.0, 0.0, 1.0, 1.0])), 3)
        0.031
    """
    before, now = _settled(old), graded_items(new)
    every = np.vstack([before.scores, now.scores])
    binary = before.is_mean and bool(np.isin(every, (0.0, 1.0)).all())
    if len(before.scores) > 1 and binary and clusters(groups, now.items) is None:
        return _exchange_p(every.sum(axis=0).astype(int), int(now.scores.sum()), len(every))
    p = drop_p(before, now, groups=groups)
    if before.is_mean or not p <= DRAWN:
        return p
    old_units, new_units, cluster_ids = _as_units(Pairs("", before, now, groups))
    return min(p, drop_p(old_units, new_units, groups=cluster_ids))


def _exchange_p(right: NDArray[np.int_], now: int, asks: int) -> float:
    """Return the mid-p of `now` right new answers, each any of its item's `asks` answers, `right` of them right."""
    from scipy.stats import binom

    law = np.ones(1)
    for count in range(1, asks + 1):
        items = int((right == count).sum())
        if items:
            law = np.convolve(law, binom.pmf(np.arange(items + 1), items, count / asks))
    if ((right == 0) | (right == asks)).all():
        return 1.0
    return float(min(1.0, law[:now].sum() + law[now] / 2))


def worse_p(pairs: Pairs, margin: float) -> float:
    """Return the one-sided p of "it fell by the margin or more": the smallest level whose lower end is above -margin.

    In [0, 1]; 1 where it fell so far, or there is only one item; NaN where nothing was measured.

    Example:
        >>> import numpy as np
        >>> same = np.ones(200)
        >>> [round(worse_p(Pairs("x", same[:n], same[:n], None), 0.02), 3) for n in (64, 200)]
        [0.127, 0.022]
    """
    from scipy.optimize import root_scalar
    from scipy.stats import norm

    change = paired_difference(pairs.old, pairs.new, groups=pairs.groups)
    if math.isnan(change.value):
        return math.nan
    if change.items < 2 or change.value <= -margin:
        return 1.0

    old, new, groups = _as_units(pairs)

    def above(edge: float) -> float:
        level = 1 - 2 * float(norm.sf(edge))
        return paired_difference(old, new, groups=groups, level=level).low + margin

    if above(NEAREST) <= 0:
        return 0.5
    # The lower end is nearly straight in the quantile, so few steps do.
    edge = FARTHEST if above(FARTHEST) > 0 else float(root_scalar(above, bracket=(NEAREST, FARTHEST), xtol=1e-5).root)
    return float(norm.sf(edge))


def _as_units(pairs: Pairs) -> tuple[Scores, Scores, Sequence[Hashable] | None]:
    """Return the pseudo-values of an exam with a rule of its own, computed once; a mean is left as it is."""
    old, new = graded_items(pairs.old), graded_items(pairs.new)
    if old.is_mean:
        return old, new, pairs.groups
    there = old.known & new.known
    groups = pairs.groups and [g for g, known in zip(pairs.groups, there, strict=True) if known]
    return old.only(there).units(), new.only(there).units(), groups


def noise(base: Scores, again: Scores) -> Noise:
    """Return how far an exam disagrees with itself.

    Args:
        base: Scores of the baseline, shape (items,), or `GradedItems`; NaN: not graded.
        again: Those of the same model asked again, shape (asks, items), or `GradedItems`.

    Example:
        >>> import numpy as np
        >>> noise(np.array([1.0, 1.0, 0.0, 0.0]), np.array([[1.0, 0.0, 0.0, 0.0]]))
        Noise(asks=1, flips=0.25, shift=-0.25)
    """
    one, two = graded_items(base), graded_items(again)
    every = np.vstack([one.scores, two.scores])
    flips = [_differ(a, b) for k, a in enumerate(every) for b in every[k + 1 :]]
    there = one.known & two.known
    shift = two.only(there).value - one.only(there).value if there.any() else math.nan
    return Noise(len(two.scores), float(np.mean(flips)), shift)


def _differ(one: Floats, two: Floats) -> float:
    there = ~np.isnan(one + two)
    return float((one[there] != two[there]).mean()) if there.any() else 0.0


def apart_p(old: float, new: float, items: int) -> float:
    """Return the one-sided p of "the new share is not lower", where it is unknown which items were right.

    The z test of two shares of as many other items each: conservative where the items are the same. In [0, 1].

    Example:
        >>> round(apart_p(0.8, 0.6, 100), 4)
        0.001
    """
    from scipy.stats import norm

    middle = (old + new) / 2
    error = math.sqrt(max(middle * (1 - middle), 0.0) * 2 / max(items, 1))
    return float(norm.cdf((new - old) / error)) if error else 1.0


def blind_below(items: int, exams: int = 1, level: float = LEVEL) -> float:
    """Return the largest margin that so many items cannot show to be kept, even if no answer changes.

        z^2 / (n + z^2),   z the one-sided quantile at level / exams

    In [0, 1]; 1 without items. Source: Tango 1998, the lower end of the interval where nothing flipped.

    Example:
        >>> round(blind_below(64), 3), round(blind_below(64, exams=8), 3)
        (0.041, 0.089)
    """
    square = normal_quantile(1 - level / max(exams, 1)) ** 2
    return square / (items + square)


def _verdict(exam: Pairs, margin: float, p: tuple[float, float], levels: tuple[float, float]) -> Verdict:
    before, after = graded_items(exam.old), graded_items(exam.new)
    there = before.known & after.known
    old, new = before.only(there), after.only(there)
    change = paired_difference(before, after, groups=exam.groups)
    num, step = int(there.sum()), new.means - old.means
    # Half an item each way keeps the floor above 0 where nothing flipped.
    discordant = (float(((new.units() - old.units()) ** 2).sum()) + 1.0) / (num + 2) if num else math.nan
    state: State = "not shown"
    if num and -change.value >= margin - 1e-12 and p[0] <= levels[0]:
        state = "regressed"
    elif num and p[1] <= levels[0]:
        state = "not worse"
    spread = discordant * _design(exam, change)
    return Verdict(
        exam=exam.exam,
        old=old.value if num else math.nan,
        new=new.value if num else math.nan,
        change=change,
        p=p[0],
        p_worse=p[1],
        margin=margin,
        floor=drop_seen(discordant, num),
        state=state,
        needed=float(num) if state != "not shown" else _needed(change, margin, spread, levels[1]),
        gained=int((step > 0).sum()),
        lost=int((step < 0).sum()),
        missed=int((before.known != after.known).sum()),
    )


def _design(exam: Pairs, change: Difference) -> float:
    """Return the factor by which groups widen the variance of a mean, at least 1."""
    if exam.groups is None or change.items < 2:
        return 1.0
    alone = paired_difference(exam.old, exam.new)
    return max(1.0, ((change.high - change.low) / max(alone.high - alone.low, 1e-12)) ** 2)


def _needed(change: Difference, margin: float, spread: float, share: float) -> float:
    """Return the number of items that would decide.

    It is for the observed fall where that is hardly randomness (95 % interval below 0), else for no change.
    """

    def items(gap: float) -> float:
        edge = normal_quantile(1 - share)
        normal = spread * ((edge + normal_quantile(0.8)) / gap) ** 2 if gap > 0 else math.inf
        return float(np.ceil(max(normal, edge**2 * (1 - gap) / gap))) if gap > 0 else math.inf

    if math.isnan(change.value):
        return math.nan
    seen = items(margin + change.value if change.value > -margin else -change.value)
    fell = change.high < 0 and change.value <= -margin
    if not fell and (plain := items(margin)) > change.items:
        return plain
    return max(seen, change.items + 1.0)
