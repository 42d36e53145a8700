"""Cumulative training: every lesson trains on all that was taught so far, going on from the last weights.

The bound of all rehearsal: what joint training knows at the end, but learnt in the stream's order, and known after
every lesson. `epochs` counts passes over all that is kept, so lesson t takes about t times the steps of plain
fine-tuning. Source: the "cumulative" row of Lomonaco and Maltoni 2017, "CORe50", CoRL, arXiv:1705.03550. Otherwise
than there, a lesson's budget is heeded: what is kept is then a uniform sample of all that was ever taught (Vitter
1985, Algorithm R), which is replay whose share grows with memory.

Defaults: those of training.
Keeps: every example taught, as far as the lesson's budget allows.
Told: nothing.
Not for: a fair rival of methods that store little: it is a bound. Its cost grows with the square of the stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clbench.core.footprint import PLAIN
from clbench.core.types import Lesson
from clbench.learners._shared.memory import ReservoirMethod
from clbench.training.plugin import plugin
from clbench.training.settings import Training

if TYPE_CHECKING:
    from clbench.models.net import Net


class Config(Training):
    """Settings of training; `epochs` counts passes over all that is kept and the lesson."""


class Cumulative(ReservoirMethod):
    """A memory of everything, walked with every lesson."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def expand(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> Lesson:
        """Put what is kept before the lesson's examples; the order of a lesson is drawn anyway."""
        return lesson.model_copy(update={"examples": (*self.memory, *lesson.examples)})

    def consolidate(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> None:
        """Keep the lesson's examples, or a uniform sample of all so far where the budget is smaller."""
        self.pass_reservoir(lesson, lesson.budget, rng)

    def state(self) -> dict[str, Any]:
        """Return the memory; its states on record hold a cap also where there is none."""
        return {**super().state(), "cap": self.cap} if self.memory else {}


PLUGIN = plugin(
    Config,
    Cumulative,
    version=3,
    footprint=PLAIN,
    stores="examples",
    first_lesson_as="sft",
    family="bounds",
    uses_task_ids=False,
    uses_boundaries=False,
    trains="all",
    paper="Lomonaco and Maltoni 2017, arXiv:1705.03550",
    about="Train on all examples seen so far, old and new alike.",
)
