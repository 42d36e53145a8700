"""How often a judge is right, from labels by people on a sample of its verdicts, and the rate without its errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from clbench.stats.intervals import wilson_at
from clbench.stats.quantiles import normal_quantile

LEAST_INFORMED = 1.1  # sensitivity + specificity: a judge that tosses coins has 1


class Share(NamedTuple):
    """A share with its 95 % interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


UNDEFINED = Share(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Stratum:
    """A part of the judge's verdicts, all with the same verdict, of which some were labelled.

    Attributes:
        verdict: What the judge said of all of them: True is yes.
        total: Verdicts in it.
        labelled: How many of them people labelled, drawn at random within the stratum.
        labelled_yes: How many of those the people called met.
    """

    verdict: bool
    total: int
    labelled: int
    labelled_yes: int

    @property
    def share(self) -> float:
        """Share of labelled ones that people called met."""
        return self.labelled_yes / self.labelled

    def variance(self, *, others: bool) -> float:
        """Return the variance of that share as an estimate of the stratum's, or of `others` like it."""
        smooth = (self.labelled_yes + 1) / (self.labelled + 2)
        left = 1.0 if others else 1 - self.labelled / self.total
        return smooth * (1 - smooth) / (self.labelled + 2) * left


@dataclass(frozen=True)
class Calibration:
    """A judge against people.

    Attributes:
        sensitivity: Share of what people call met that the judge calls met.
        specificity: Share of what people call not met that the judge calls not met.
        judged: Share that the judge calls met.
        corrected: The rate that people would have given, (judged + spec - 1) / (sens + spec - 1).
        informed: Whether sensitivity + specificity is above `LEAST_INFORMED`.
    """

    sensitivity: Share
    specificity: Share
    judged: float
    corrected: Share
    informed: bool


def rogan_gladen(judged: float, sensitivity: float, specificity: float) -> float:
    """Return the rate without the judge's errors, within [0, 1]; NaN for a judge that tosses coins.

        (p + spec - 1) / (sens + spec - 1)

    Source: Rogan & Gladen 1978, "Estimating prevalence from the results of a screening test".

    Example:
        >>> round(rogan_gladen(0.26, 0.9, 0.9), 3)
        0.2
    """
    worth = sensitivity + specificity - 1
    return min(1.0, max(0.0, (judged + specificity - 1) / worth)) if abs(worth) > 1e-12 else math.nan


def calibrate(strata: Sequence[Stratum], rate_variance: float | None = None, level: float = 0.95) -> Calibration:
    """Return what labels on a stratified sample say of a judge.

    Every stratum counts for as many verdicts as it has (W_s = N_s / N), since a sample with as many yes as no verdicts
    would else make the judge look better or worse than it is. With m_s the share of stratum s that people call met:

        rate = sum_s W_s m_s,   sens = sum_yes W_s m_s / rate,   spec = sum_no W_s (1 - m_s) / (1 - rate)
        V(rate) = sum_s W_s^2 m~_s (1 - m~_s) / (n_s + 2) + (m_yes - m_no)^2 V(judged)

    m~ = (y + 1) / (n + 2). Then rate = (judged + spec - 1) / (sens + spec - 1), exactly. Shares get Wilson's interval
    with as many labels as their variance is worth. Of these answers alone, the first sum has a factor 1 - n_s / N_s.

    Args:
        strata: Each with labels; both verdicts of the judge must be among them if it gave both.
        rate_variance: Variance of the judge's own rate over other contexts, V(judged), if intervals are to hold for
            other answers too; None: for these answers only.
        level: Confidence, in (0, 1).

    Raises:
        ValueError: A stratum without labels.

    Source: Rogan & Gladen 1978; Begg & Greenes 1983, "Assessment of diagnostic tests when disease verification is
    subject to selection bias"; Cochran 1977, ch. 5, for strata.

    Example:
        >>> found = calibrate([Stratum(True, 200, 50, 45), Stratum(False, 800, 50, 5)])
        >>> round(found.corrected.value, 3), round(found.sensitivity.value, 3), round(found.specificity.value, 3)
        (0.26, 0.692, 0.973)
    """
    if any(s.labelled < 1 for s in strata):
        raise ValueError("a stratum without a label tells nothing: merge it with another of the same verdict")
    total = sum(s.total for s in strata)
    edge = normal_quantile((1 + level) / 2)
    met = {v: sum(s.total * s.share for s in strata if s.verdict == v) / total for v in (True, False)}
    missed = {v: sum(s.total * (1 - s.share) for s in strata if s.verdict == v) / total for v in (True, False)}
    judged = met[True] + missed[True]
    rate = met[True] + met[False]
    precise = met[True] / judged if judged else 0.0
    omitted = met[False] / (1 - judged) if judged < 1 else 0.0
    errors = [(s.total / total) ** 2 * s.variance(others=rate_variance is not None) for s in strata]
    variance = sum(errors) + (precise - omitted) ** 2 * (rate_variance or 0.0)
    of = list(zip((s.verdict for s in strata), errors, strict=True))
    labelled = sum(s.labelled for s in strata)
    sensitivity = _of_parts(met[True], met[False], of, labelled, edge)
    specificity = _of_parts(missed[False], missed[True], [(not v, e) for v, e in of], labelled, edge)
    informed = sensitivity.value + specificity.value > LEAST_INFORMED
    return Calibration(sensitivity, specificity, judged, _share(rate, variance, edge), informed)


def _of_parts(right: float, wrong: float, strata: Sequence[tuple[bool, float]], labelled: int, edge: float) -> Share:
    """Return right / (right + wrong), of strata that say (whether they are of `right`, their part's variance)."""
    whole = right + wrong
    if whole <= 0:
        return UNDEFINED
    share = right / whole
    variance = sum(error * ((wrong if of_right else right) / whole**2) ** 2 for of_right, error in strata)
    if share in (0.0, 1.0) and variance > 0:  # its slopes are 0 on one side: as many labels as it has
        return Share(share, *_within(share, wilson_at(share, max(labelled * whole, 1.0), edge)))
    return _share(share, variance, edge)


def _share(value: float, variance: float, edge: float) -> Share:
    if variance <= 0:
        return Share(value, value, value)
    inside = min(max(value, 0.01), 0.99)
    return Share(value, *_within(value, wilson_at(value, inside * (1 - inside) / variance, edge)))


def _within(value: float, ends: tuple[float, float]) -> tuple[float, float]:
    return max(0.0, min(ends[0], value)), min(1.0, max(ends[1], value))
