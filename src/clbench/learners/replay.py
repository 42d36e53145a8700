"""Experience replay: keep some old examples and mix them into every batch of a new lesson.

Memory is filled by reservoir sampling (Vitter 1985, Algorithm R), so that every example seen so far is kept
with equal probability `memory / seen`. Source: Chaudhry et al. 2019, "On Tiny Episodic Memories in Continual
Learning", arXiv:1902.10486; Rolnick et al. 2019, "Experience Replay for Continual Learning", arXiv:1811.11682.

Privacy: it stores users' examples as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from clbench.core.keys import canonical
from clbench.core.types import Budget, Example, Lesson
from clbench.learners._method import Method
from clbench.learners._training import Training, plugin

if TYPE_CHECKING:
    from clbench.models.net import Net


class Config(Training):
    """Settings of replay.

    Attributes:
        memory: Most examples kept over all lessons; a smaller `Lesson.budget` wins.
        share: Old examples added to a batch, as a share of the batch's new ones, in [0, 1]; the batch grows by them.
    """

    memory: int = Field(default=200, ge=0)
    share: float = Field(default=0.25, ge=0, le=1)


class Replay(Method):
    """Reservoir memory over all lessons, mixed into each batch."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.memory: list[Example] = []
        self.seen = 0

    def mix(self, batch: list[Example], rng: np.random.Generator) -> list[Example]:
        """Add old examples, drawn from memory without repeats."""
        num_old = min(round(self.config.share * len(batch)), len(self.memory))
        if num_old == 0:
            return batch
        return [*batch, *(self.memory[i] for i in rng.choice(len(self.memory), num_old, replace=False))]

    def settle(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> None:
        """Let every example of the lesson pass the reservoir once."""
        room = self.config.memory if self.config.share > 0 else 0
        room = room if lesson.budget.examples is None else min(room, lesson.budget.examples)
        for example in lesson.examples:
            self.seen += 1
            if len(self.memory) < room:
                self.memory.append(example)
            elif (slot := int(rng.integers(self.seen))) < room:
                self.memory[slot] = example
        _fit(self.memory, lesson.budget, rng)

    def state(self) -> dict[str, Any]:
        """Give the memory and how many examples have been seen."""
        return {"memory": self.memory, "seen": self.seen} if self.memory else {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over the memory."""
        self.memory = list(state.get("memory", []))
        self.seen = state.get("seen", 0)


def _fit(memory: list[Example], budget: Budget, rng: np.random.Generator) -> None:
    """Drop examples at random until the memory fits the budget in examples and bytes."""
    while memory and (
        (budget.examples is not None and len(memory) > budget.examples)
        or (budget.bytes is not None and len(canonical(memory).encode()) > budget.bytes)
    ):
        memory.pop(int(rng.integers(len(memory))))


PLUGIN = plugin(Config, Replay, version=1, neutral={"share": 0.0}, first_lesson_as="sft")
