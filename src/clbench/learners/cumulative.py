"""Cumulative training: every lesson trains on all that was taught so far, going on from the last weights.

    loss = CE(lessons 1..t)

The bound of all rehearsal: what joint training knows at the end, but learnt in the stream's order, and known after
every lesson. `epochs` counts passes over all that is kept, so lesson t takes about t times the steps of plain
fine-tuning. Source: the "cumulative" row of Lomonaco and Maltoni 2017, "CORe50", CoRL, arXiv:1705.03550. Otherwise
than there, a lesson's budget is heeded: what is kept is then a uniform sample of all that was ever taught (Vitter
1985, Algorithm R), which is replay whose share grows with memory.

Family: bounds
Defaults: those of training.
Keeps: every example taught, as far as the lesson's budget allows.
Told: nothing.
Privacy: it stores users' examples as they are, all of them where nothing limits it.
Not for: a fair rival of methods that store little: it is a bound. Its cost grows with the square of the stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clbench.core.types import Example, Lesson
from clbench.learners._memory import Sample, reservoir
from clbench.learners._method import Method
from clbench.learners._training import Training, plugin

if TYPE_CHECKING:
    from clbench.models.net import Net


class Config(Training):
    """Settings of training; `epochs` counts passes over all that is kept and the lesson."""


class Cumulative(Method):
    """A memory of everything, walked with every lesson."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.memory: list[Example] = []
        self.seen = 0
        self.cap: int | None = None  # where bytes have cut the memory back

    def widen(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> Lesson:
        """Put what is kept before the lesson's examples; the order of a lesson is drawn anyway."""
        return lesson.model_copy(update={"examples": (*self.memory, *lesson.examples)})

    def settle(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> None:
        """Keep the lesson's examples, or a uniform sample of all so far where the budget is smaller."""
        kept = reservoir(Sample(self.memory, self.seen, self.cap), lesson, lesson.budget, rng)
        self.memory, self.seen, self.cap = kept.examples, kept.seen, kept.cap

    def state(self) -> dict[str, Any]:
        """Give the memory, and how many examples have been seen."""
        return {"memory": self.memory, "seen": self.seen, "cap": self.cap} if self.memory else {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over the memory."""
        self.memory = list(state.get("memory", []))
        self.seen = state.get("seen", 0)
        self.cap = state.get("cap")


PLUGIN = plugin(Config, Cumulative, version=2, stores="examples", first_lesson_as="sft")
