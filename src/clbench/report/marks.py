"""The items of an exam with the rule that makes its score of them, for statistics."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from clbench.core import plugins
from clbench.core.errors import UserError
from clbench.core.protocols import ScorerPlugin, Weigh
from clbench.core.sheets import Row
from clbench.core.types import Grade
from clbench.stats.marked import Marked, by_repeating, mean_rule


@lru_cache(maxsize=64)
def rule_of(scorer: str) -> Weigh:
    """Return how a scorer makes the score of an exam; the mean for one that is not installed here."""
    try:
        plugin = plugins.load_known("scorer", scorer, "PLUGIN", where="scorer.name")
    except UserError:
        return mean_rule
    if not isinstance(plugin, ScorerPlugin) or plugin.combine is None:
        return mean_rule
    return plugin.weigh or by_repeating(plugin.combine)


def marked_rows(rows: Iterable[Row], scorer: str) -> Marked:
    """Return what some rows came to that ask the same items: seeds of a method, or one checkpoint asked several times.

    Where the parts of a row are not on record, the mean of the items stands for the rule.

    Args:
        rows: At least one; all of the same items.
        scorer: Name of the scorer that marked them.
    """
    found = list(rows)
    scores, rule = np.array([r.values() for r in found]), rule_of(scorer)
    if rule is mean_rule or not all(len(r.parts) == scores.shape[1] for r in found):
        return Marked(scores)
    return Marked(scores, tuple(r.parts for r in found), rule)


def marked_grades(grades: Iterable[Grade], scorer: str) -> Marked:
    """Return what one sitting came to, from its grades."""
    found = tuple(grades)
    scores = np.array([[np.nan if g.score is None else g.score for g in found]], dtype=np.float64)
    rule = rule_of(scorer)
    return Marked(scores) if rule is mean_rule else Marked(scores, (tuple(g.parts for g in found),), rule)
