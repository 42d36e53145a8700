"""How often a judge is right, from labels by people on a sample of its verdicts, and the rate without its errors."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clbench.stats.effect import ClusterIds, clusters, robust
from clbench.stats.intervals import wilson_at
from clbench.stats.quantiles import t_quantile

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

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


class Variances(NamedTuple):
    """Variances of the corrected rate, of sensitivity and of specificity; infinite `freedom` is the normal law."""

    rate: float
    sensitivity: float
    specificity: float
    freedom: float


def calibrate(strata: Sequence[Stratum], others: Variances | None = None, level: float = 0.95) -> Calibration:
    """Return what labels on a stratified sample say of a judge.

    Every stratum counts for as many verdicts as it has (W_s = N_s / N), since a sample with as many yes as no verdicts
    would else make the judge look better or worse than it is. With m_s the share of stratum s that people call met:

        rate = sum_s W_s m_s,   sens = sum_yes W_s m_s / rate,   spec = sum_no W_s (1 - m_s) / (1 - rate)
        V(rate) = sum_s W_s^2 m~_s (1 - m~_s) / (n_s + 2) (1 - n_s / N_s),   m~_s = (y_s + 1) / (n_s + 2)

    Then rate = (judged + spec - 1) / (sens + spec - 1), exactly. Shares get Wilson's interval with as many labels as
    their variance is worth. For other answers than these, V has no factor 1 - n_s / N_s and is at least `others`.

    Args:
        strata: Each with labels; both verdicts of the judge must be among them if it gave both.
        others: What other contexts would change (`over_contexts`), if intervals are to hold for other answers too;
            None: for these answers only.
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
    least = Variances(0.0, 0.0, 0.0, math.inf) if others is None else others
    edge = t_quantile((1 + level) / 2, least.freedom)
    met = {v: sum(s.total * s.share for s in strata if s.verdict == v) / total for v in (True, False)}
    missed = {v: sum(s.total * (1 - s.share) for s in strata if s.verdict == v) / total for v in (True, False)}
    errors = [(s.verdict, (s.total / total) ** 2 * s.variance(others=others is not None)) for s in strata]
    labelled = sum(s.labelled for s in strata)
    sens = _of_parts(met[True], met[False], errors, least.sensitivity)
    spec = _of_parts(missed[False], missed[True], [(not v, e) for v, e in errors], least.specificity)
    sensitivity, specificity = (_of_labels(*each, labelled, edge) for each in (sens, spec))
    rate = met[True] + met[False]
    return Calibration(
        sensitivity=sensitivity,
        specificity=specificity,
        judged=met[True] + missed[True],
        corrected=_share(rate, max(sum(error for _, error in errors), least.rate), edge),
        informed=sensitivity.value + specificity.value > LEAST_INFORMED,
    )


def over_contexts(strata: NDArray[np.intp], verdicts: Bools, labels: Floats, contexts: Sequence[Hashable]) -> Variances:
    """Return the variances of a calibration over other contexts, whose answers are met more or less often.

    Each is that of the sum of what every verdict adds to a figure (its influence), whole contexts at a time, over N^2.
    To the share "the judge says v and people say met" verdict i of stratum s adds, if the judge says v of s,

        m_s + [labelled] (N_s / n_s) (y_i - m_s),   less the share itself

    Args:
        strata: The stratum of each verdict, from 0; every one has labels.
        verdicts: What the judge said of each.
        labels: 1 met, 0 not met, NaN not labelled.
        contexts: The context of each.

    Returns:
        Zeros where all verdicts are of one context, of which nothing follows for others.

    Source: Saerndal, Swensson & Wretman 1992, "Model assisted survey sampling", ch. 5; Liang & Zeger 1986 for clusters.
    """
    num, known = len(strata), ~np.isnan(labels)
    if len(set(contexts)) < 2:
        return Variances(0.0, 0.0, 0.0, math.inf)
    ids = clusters(contexts, num)
    groups = np.arange(num) if ids is None else ids
    sizes, labelled = np.bincount(strata), np.bincount(strata, weights=known)
    share = (np.bincount(strata, weights=np.where(known, labels, 0.0)) / labelled)[strata]
    apart = np.where(known, (sizes / labelled)[strata] * (np.where(known, labels, 0.0) - share), 0.0)
    met, missed = share + apart, 1 - share - apart
    found = [_ratio_variance(met, np.ones(num), groups)]
    found += [_ratio_variance(part * said, part, groups) for part, said in ((met, verdicts), (missed, ~verdicts))]
    rate, sensitivity, specificity = (variance for variance, _ in found)
    return Variances(rate, sensitivity, specificity, max(1.0, found[0][1] - 1))


def _ratio_variance(part: Floats, whole: Floats, groups: ClusterIds) -> tuple[float, float]:
    """Return the variance of sum(part) / sum(whole) over groups, and their effective number."""
    total = float(whole.sum())
    if total <= 0:
        return 0.0, float(groups.max() + 1)
    variance, effective = robust(part - whole * float(part.sum()) / total, groups)
    return variance / total**2, effective


def _of_parts(
    right: float, wrong: float, strata: Sequence[tuple[bool, float]], least: float
) -> tuple[float, float, float]:
    """Return (right / whole, whole, variance), of strata that say (whether they are of `right`, their variance)."""
    whole = right + wrong
    if whole <= 0:
        return math.nan, 0.0, 0.0
    variance = sum(error * ((wrong if of_right else right) / whole**2) ** 2 for of_right, error in strata)
    return right / whole, whole, max(variance, least if variance > 0 else 0.0)


def _of_labels(share: float, whole: float, variance: float, labelled: int, edge: float) -> Share:
    if math.isnan(share):
        return UNDEFINED
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
