"""Public contract suites: what every card, learner, scorer and metric must fulfil, ours and yours."""

from clbench.testing.cards import check_card
from clbench.testing.learners import check_learner, contained_check
from clbench.testing.metrics import check_metric
from clbench.testing.outcome import Outcome
from clbench.testing.scorers import check_scorer

__all__ = ["Outcome", "check_card", "check_learner", "check_metric", "check_scorer", "contained_check"]
