"""Are claimed verdicts better than those of the same judge, asked again about a sample of the same answers?"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from clbench.stats.paired import Difference, paired_difference
from clbench.stats.power import detectable


class Overstatement(NamedTuple):
    """What a sample that was judged again says of a claim.

    Attributes:
        sampled: Answers that were judged again.
        lost: Of them, those that pass in the claim and not in the sample.
        gained: Those that pass in the sample and not in the claim.
        p: Probability of as many lost among those that changed, or more, if the claim is honest; in [0, 1].
        change: Sample - claim, as a share of answers, with its interval.
        seen: Smallest share of raised verdicts that such a sample shows in four cases of five; infinite if none.
    """

    sampled: int
    lost: int
    gained: int
    p: float
    change: Difference
    seen: float


def overstatement(
    claimed: Sequence[bool],
    again: Sequence[bool],
    *,
    groups: Sequence[Hashable] | None = None,
    noisy: bool = True,
    alarm: float = 0.01,
) -> Overstatement:
    """Compare claimed verdicts with those of the same judge, asked again.

    A judge is not certain: it changes verdicts. Where both verdicts on an answer come from one judge with one prompt,
    they are exchangeable: whatever its noise, and however it differs between answers, a verdict is as often lost as
    gained. So of l lost and g gained

        p = P(X >= l),   X ~ Binomial(l + g, 1/2)

    the exact one-sided test of McNemar: its rate of false alarms is at most the level, whatever the noise. Raised
    verdicts are lost more often than gained. A judge without noise (exact checks) loses none: p is 0 if it does.

    Args:
        claimed: Whether each sampled answer passes, as claimed.
        again: The same, judged again; as long as `claimed`, else a ValueError.
        groups: The context of each, for the interval.
        noisy: Whether the judge may change a verdict.
        alarm: Level at which `seen` is meant, in (0, 1).

    Source: McNemar 1947; exact form as in Agresti 2013, Categorical Data Analysis, section 11.1.

    Example:
        >>> found = overstatement([True] * 9 + [False] * 11, [True] * 3 + [False] * 16 + [True])
        >>> found.lost, found.gained, round(found.p, 4)  # 8/128 = P(X >= 6 of 7)
        (6, 1, 0.0625)
    """
    from scipy.stats import binom

    pairs = list(zip(claimed, again, strict=True))
    lost, gained = sum(c and not a for c, a in pairs), sum(a and not c for c, a in pairs)
    p = float(binom.sf(lost - 1, lost + gained, 0.5)) if lost else 1.0
    if not noisy and lost:
        p = 0.0
    one, two = (np.array(values, dtype=np.float64) for values in (claimed, again))
    num = len(pairs)
    # Without any change, the noise is taken to be what one changed answer more would show.
    noise = max(lost + gained, 1) / num if num else 1.0
    seen = detectable(noise, num, level=2 * alarm) if noisy else _seen_without_noise(num)
    return Overstatement(num, lost, gained, p, paired_difference(one, two, groups=groups), seen)


def _seen_without_noise(num: int) -> float:
    """Return the share of which one or more are in a sample in four cases of five."""
    return 1 - 0.2 ** (1 / num) if num else math.inf
