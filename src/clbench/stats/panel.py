"""One verdict from several judges: majority, unanimity, and Dawid and Skene's estimate of who can be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MOST_STEPS = 500
CLOSE = 1e-9  # the largest change of a probability at which the estimate has come to rest
PRIOR = 1.0  # of each kind of verdict, one right and one wrong: a judge of few verdicts is not taken for perfect


def majority(given: Sequence[bool | None]) -> bool | None:
    """Return whether more than half of all judges say yes; None if those who said nothing could change that.

    Example:
        >>> majority([True, True, None]), majority([True, False, None]), majority([True, False])
        (True, None, False)
    """
    yes, unknown = given.count(True), given.count(None)
    if yes * 2 > len(given):
        return True
    return None if (yes + unknown) * 2 > len(given) else False


def unanimous(given: Sequence[bool | None]) -> bool | None:
    """Return whether all judges say yes; None if nobody says no and somebody says nothing.

    Example:
        >>> unanimous([True, None]), unanimous([False, None]), unanimous([True, True])
        (None, False, True)
    """
    return False if False in given else None if None in given or not given else True


class DawidSkene(NamedTuple):
    """An estimate of what is true from judges of unknown quality.

    Attributes:
        met: P(yes) of each item, shape (items,); NaN where no judge said anything.
        sensitivity: P(judge says yes | yes), shape (judges,).
        specificity: P(judge says no | no), shape (judges,).
        rate: P(yes) over all items.
    """

    met: Floats
    sensitivity: Floats
    specificity: Floats
    rate: float


def dawid_skene(verdicts: Floats) -> DawidSkene:
    """Return Dawid and Skene's estimate, by expectation and maximisation from the share of yes as its beginning.

    Source: Dawid and Skene 1979, "Maximum likelihood estimation of observer error-rates using the EM algorithm",
    Applied Statistics 28(1). Otherwise than there: one right and one wrong verdict of each kind are added for every
    judge. Judges count as independent given the truth; those that share their errors are trusted too much.

    Args:
        verdicts: 1 yes, 0 no, NaN where a judge said nothing, shape (items, judges).
    """
    there = ~np.isnan(verdicts)
    yes, no = np.where(there, verdicts, 0.0), np.where(there, 1.0 - verdicts, 0.0)
    num = there.sum(axis=1)
    met = np.divide(yes.sum(axis=1), num, out=np.full(len(verdicts), 0.5), where=num > 0)
    known = num > 0
    sensitivity = specificity = np.ones(verdicts.shape[1])
    rate = math.nan
    for _ in range(MOST_STEPS):
        true, false = (np.where(known, m, 0.0) for m in (met, 1.0 - met))
        sensitivity = (true @ yes + PRIOR) / (true @ there + 2 * PRIOR)
        specificity = (false @ no + PRIOR) / (false @ there + 2 * PRIOR)
        rate = float((true.sum() + PRIOR) / (known.sum() + 2 * PRIOR))
        odds = math.log(rate / (1.0 - rate))
        odds = odds + yes @ np.log(sensitivity / (1.0 - specificity)) + no @ np.log((1.0 - sensitivity) / specificity)
        before, met = met, 1.0 / (1.0 + np.exp(-np.clip(odds, -700, 700)))
        if np.max(np.abs(met - before), initial=0.0) < CLOSE:
            break
    return DawidSkene(np.where(known, met, np.nan), sensitivity, specificity, rate)
