"""The rules of exams whose score is not a mean, for many weightings of the items at once (`ScorerPlugin.weigh`).

Every function takes scores (items,), parts of the items and weights (draws, items), and returns (draws,); NaN where all
weights are 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Parts = Sequence[tuple[float, ...]]


def mean(scores: Floats, weights: Floats) -> Floats:
    """Return the weighted means."""
    return ratio(weights @ scores, weights.sum(axis=1))


def ratio(above: Floats, below: Floats) -> Floats:
    """Return above / below; NaN where below is 0."""
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)


def of_sums(score: Callable[[Sequence[float]], float]) -> Callable[[Floats, Parts, Floats], Floats]:
    """Return the rule that applies a function to the summed parts of an exam."""

    def weigh(scores: Floats, parts: Parts, weights: Floats) -> Floats:
        sums, known = weights @ np.array(parts, dtype=np.float64), weights.sum(axis=1) > 0
        return np.array([score(s) if k else np.nan for s, k in zip(sums.tolist(), known, strict=True)])

    return weigh


def micro_f1(scores: Floats, parts: Parts, weights: Floats) -> Floats:
    """Return `_lists.micro_f1` for each weighting: parts are (right, said, gold)."""
    right, said, gold = (weights @ np.array(parts, dtype=np.float64)).T
    found = ratio(2 * right, said + gold)
    return np.where(np.isnan(found), mean(scores, weights), found)


def macro_f1(scores: Floats, parts: Parts, weights: Floats) -> Floats:
    """Return `macro_f1.combine` for each weighting: parts are (number of the right label, number of the said one)."""
    labels = sorted({gold for gold, _ in parts})
    gold = np.array([[p[0] == label for label in labels] for p in parts], dtype=np.float64)
    said = np.array([[p[1] == label for label in labels] for p in parts], dtype=np.float64)
    right, occurs = weights @ (gold * said), weights @ gold
    f1 = ratio(2 * right, occurs + weights @ said)
    return ratio(np.where(occurs > 0, f1, 0.0).sum(axis=1), (occurs > 0).sum(axis=1).astype(np.float64))


def chrf(recall_weight: float) -> Callable[[Floats, Parts, Floats], Floats]:
    """Return the rule of `chrf.combine`: parts are (said, reference, common) of every order."""

    def weigh(scores: Floats, parts: Parts, weights: Floats) -> Floats:
        sums = weights @ np.array(parts, dtype=np.float64)
        said, gold, common = sums[:, 0::3], sums[:, 1::3], sums[:, 2::3]
        there = (said > 0) & (gold > 0)
        orders = np.maximum(there.sum(axis=1), 1)
        precision = np.where(there, common / np.maximum(said, 1e-300), 0.0).sum(axis=1) / orders
        recall = np.where(there, common / np.maximum(gold, 1e-300), 0.0).sum(axis=1) / orders
        found = ratio((1 + recall_weight) * precision * recall, recall_weight * precision + recall)
        return np.where(weights.sum(axis=1) > 0, np.minimum(np.nan_to_num(found), 1.0), np.nan)

    return weigh


def verdicts(scores: Floats, parts: Parts, weights: Floats) -> Floats:
    """Return `ifeval.combine` for each weighting: the mean of all parts of all items."""
    sums, counts = np.array([sum(p) for p in parts]), np.array([len(p) for p in parts], dtype=np.float64)
    return ratio(weights @ sums, weights @ counts)


def lm_eval(scores: Floats, parts: Parts, weights: Floats) -> Floats:
    """Return `harness.combine` for each weighting: by rolling parts (nats < 0, ..., bytes), else the mean score."""
    if not parts or not all(len(p) >= 2 and p[0] < 0 for p in parts):
        return mean(scores, weights)
    nats, size = np.array([p[0] for p in parts]), np.array([p[-1] for p in parts])
    return np.exp(ratio(weights @ nats, weights @ size))
