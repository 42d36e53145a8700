"""Public contract suites: what every card, learner, scorer and metric must hold, ours and yours."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clbench.testing.check_card import check_card
    from clbench.testing.check_learner import Outcome, check_learner
    from clbench.testing.check_metric import check_metric
    from clbench.testing.check_scorer import check_scorer

__all__ = ["Outcome", "check_card", "check_learner", "check_metric", "check_scorer"]


def __getattr__(name: str) -> Any:
    """Load a suite when it is asked for."""
    if name not in __all__:
        raise AttributeError(name)
    home = "check_learner" if name == "Outcome" else name
    return vars(import_module(f"clbench.testing.{home}"))[name]
