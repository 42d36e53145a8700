"""The graded items of an exam, with the rule that computes the exam's score from them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from clbench.core import plugins
from clbench.core.errors import UserError
from clbench.core.item_scores import LessonScores
from clbench.core.protocols import ScorerPlugin, Weigh
from clbench.core.types import Grade
from clbench.stats.graded import GradedItems, by_repeating, mean_rule


@lru_cache(maxsize=64)
def rule_of(scorer: str) -> Weigh:
    """Return how a scorer computes the score of an exam; the mean for a scorer that is not installed here."""
    try:
        plugin = plugins.load_known("scorer", scorer, "PLUGIN", where="scorer.name")
    except UserError:
        return mean_rule
    if not isinstance(plugin, ScorerPlugin) or plugin.combine is None:
        return mean_rule
    return plugin.weigh or by_repeating(plugin.combine)


def marked_rows(rows: Iterable[LessonScores], scorer: str) -> GradedItems:
    """Return the grades of rows that ask the same items: seeds of a method, or one checkpoint asked several times.

    Where the parts of a row are not on record, the mean of the items replaces the scorer's rule.

    Args:
        rows: At least one; all of the same items.
        scorer: Name of the scorer that graded them.
    """
    found = list(rows)
    scores, rule = np.array([r.values() for r in found]), rule_of(scorer)
    if rule is mean_rule or not all(len(r.parts) == scores.shape[1] for r in found):
        return GradedItems(scores)
    return GradedItems(scores, tuple(r.parts for r in found), rule)


def marked_grades(grades: Iterable[Grade], scorer: str) -> GradedItems:
    """Return one row of grades."""
    found = tuple(grades)
    scores = np.array([[np.nan if g.score is None else g.score for g in found]], dtype=np.float64)
    rule = rule_of(scorer)
    return GradedItems(scores) if rule is mean_rule else GradedItems(scores, (tuple(g.parts for g in found),), rule)
