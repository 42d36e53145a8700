"""Rows of one exam's graded items as one, with the rule that computes the exam's score from them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from clbench.core.graded import GradedItems, graded_items, mean_rule
from clbench.core.scorers import rule_of


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
