"""The graded items of an exam, with the rule that computes the exam's score from them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from clbench.core import plugins
from clbench.core.errors import UserError
from clbench.core.graded import GradedItems, by_repeating, graded_items, mean_rule
from clbench.core.protocols import ScorerPlugin, Weigh


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


def marked_rows(rows: Iterable[GradedItems], scorer: str) -> GradedItems:
    """Return rows that ask the same items as one, by their scorer's rule: seeds of a method, or repeated asks.

    Where the parts of a row are not on record, the mean of the items replaces the rule.

    Args:
        rows: At least one; all of the same items.
        scorer: Name of the scorer that graded them.
    """
    found = tuple(rows)
    rule = rule_of(scorer) if all(len(row.parts) == row.items for row in found) else mean_rule
    if len(found) == 1:
        return found[0] if rule is mean_rule else found[0].model_copy(update={"rule": rule})
    parts = () if rule is mean_rule else tuple(part for row in found for part in row.parts)
    return graded_items(np.concatenate([row.scores for row in found]), parts, rule)
