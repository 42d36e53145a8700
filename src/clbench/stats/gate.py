"""Has a model become worse? One verdict per exam, with one false-alarm rate over all of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clbench.stats.paired import Difference, drop_p, holm, paired_difference
from clbench.stats.power import drop_seen


class Pairs(NamedTuple):
    """One exam before and after: names, scores of the same items (NaN: not marked), what each item belongs to."""

    exam: str
    old: NDArray[np.float64]
    new: NDArray[np.float64]
    groups: Sequence[Hashable] | None


@dataclass(frozen=True)
class Verdict:
    """What became of one exam.

    Attributes:
        exam: Its name.
        old, new: Mean scores over the items that were marked both times, in [0, 1].
        change: New - old, with its 95 % interval.
        p: One-sided, that nothing fell, after Holm over all exams.
        margin: Drops smaller than this are let pass.
        floor: Smallest drop that these items find with a chance of 0.8; a drop below it may go unseen.
        regressed: It fell by at least the margin, and not by chance.
        gained, lost: Items whose score rose, and fell.
    """

    exam: str
    old: float
    new: float
    change: Difference
    p: float
    margin: float
    floor: float
    regressed: bool
    gained: int
    lost: int


def judged(
    exams: Sequence[Pairs | tuple[str, NDArray[np.float64], NDArray[np.float64], Sequence[Hashable] | None]],
    margin: float,
    margins: dict[str, float] | None = None,
    level: float = 0.05,
) -> list[Verdict]:
    """Judge exams together.

    An exam has regressed if its score fell by at least the margin, and the one-sided paired test (`drop_p`) rejects
    "it did not fall" at `level` after Holm's correction over all exams. So the chance of any false alarm is at most
    `level` where nothing changed, however many exams there are, and the margin lets harmless drops of large exams pass.

    Args:
        exams: Before and after; see `Pairs`.
        margin: In [0, 1].
        margins: Exam -> another margin for it.
        level: In (0, 1).

    Source: Holm 1979; a practical margin beside a test as in Demsar 2006.

    Example:
        >>> import numpy as np
        >>> old, new = np.ones(100), np.array([0.0] * 10 + [1.0] * 90)
        >>> [(v.exam, v.regressed, v.lost) for v in judged([("sums", old, new, None)], margin=0.02)]
        [('sums', True, 10)]
    """
    pairs = [Pairs(*each) for each in exams]
    adjusted = holm([drop_p(e.old, e.new, groups=e.groups) for e in pairs])
    return [_verdict(e, p, (margins or {}).get(e.exam, margin), level) for e, p in zip(pairs, adjusted, strict=True)]


def _verdict(exam: Pairs, p: float, margin: float, level: float) -> Verdict:
    there = ~np.isnan(exam.old + exam.new)
    old, new = exam.old[there], exam.new[there]
    change = paired_difference(exam.old, exam.new, groups=exam.groups)
    num = int(there.sum())
    # Half an item each way keeps the floor above 0 where nothing flipped.
    discordant = (float(((new - old) ** 2).sum()) + 1.0) / (num + 2)
    return Verdict(
        exam=exam.exam,
        old=float(old.mean()) if num else float("nan"),
        new=float(new.mean()) if num else float("nan"),
        change=change,
        p=p,
        margin=margin,
        floor=drop_seen(discordant, num),
        regressed=bool(num) and -change.value >= margin - 1e-12 and p <= level,
        gained=int((new > old).sum()),
        lost=int((new < old).sum()),
    )
