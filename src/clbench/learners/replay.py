"""Experience replay: keep some old examples and mix them into every batch of a new lesson.

Who stays in memory is told by `keep`. "reservoir": every example seen so far with equal probability
`memory / seen` (Vitter 1985, Algorithm R). "class-balanced": every label (for free text: every lesson) has equal
room, and within it every example equal probability (the lowest of random ranks stay; Cohen and Kaplan 2007,
"Summarizing Data using Bottom-k Sketches"). "ring": the same room, and the newest stay, first in, first out.
Source: Chaudhry et al. 2019, "On Tiny Episodic Memories in Continual Learning", arXiv:1902.10486 (reservoir and
ring); Rolnick et al. 2019, "Experience Replay for Continual Learning", arXiv:1811.11682. Otherwise than there,
memory is filled after a lesson and not within it, and a batch holds `share` old examples instead of one half.

Defaults: ours: 200 examples, and a quarter of a batch on top of it.

Keeps: at most `memory` examples and `bytes` bytes of them as JSON; the lesson's own budget wins where it is smaller.

Told: nothing; "class-balanced" and "ring" read labels, and boundaries where the answers are free text.

Not for: data that may not be kept. Old examples far longer than the new ones cost a step accordingly more.

Falls short: at a memory of 5 % of the stream it stays some eight points below training on all tasks at once, and
abilities, of which it replays nothing, fall further than under plain fine-tuning, whose tuned rate is half as high.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from clbench.core.footprint import Footprint
from clbench.core.types import Budget, Example, Lesson
from clbench.learners._shared.memory import Ranked, ReservoirMethod, equal_room, group_of, mixed, room_for, storable
from clbench.training.plugin import plugin
from clbench.training.settings import Training

if TYPE_CHECKING:
    from clbench.models.net import Net


class Config(Training):
    """Settings of replay.

    Attributes:
        memory: Most examples kept over all lessons, >= 0; a smaller `Lesson.budget` wins.
        bytes: Most bytes of them as canonical JSON, >= 0; None sets no limit. A smaller `Lesson.budget` wins.
        keep: Who stays: a uniform sample, equal room per label, or the newest of each label.
        share: Old examples added to a batch, as a share of the batch's new ones, in [0, 1]; the batch grows by them.
            0 is plain fine-tuning.
    """

    memory: int = Field(default=200, ge=0)
    bytes: int | None = Field(default=None, ge=0)
    keep: Literal["reservoir", "class-balanced", "ring"] = "reservoir"
    share: float = Field(default=0.25, ge=0, le=1)


class Replay(ReservoirMethod):
    """A memory of examples, mixed into each batch."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.places: list[tuple[str, float]] = []  # group and rank of each example, where groups have equal room

    def compose_batch(self, batch: list[Example], rng: np.random.Generator) -> list[Example]:
        """Add old examples, drawn from memory without repeats."""
        return mixed(batch, self.memory, self.config.share, rng)

    def consolidate(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> None:
        """Let the lesson into memory."""
        if self.config.share == 0:
            return
        room = room_for(self.config.memory, self.config.bytes, lesson.budget)
        if self.config.keep == "reservoir":
            self.pass_reservoir(lesson, room, rng)
        else:
            self._share_out(lesson, room, rng)

    def _share_out(self, lesson: Lesson, room: Budget, rng: np.random.Generator) -> None:
        items = [Ranked(e, *place) for e, place in zip(self.memory, self.places, strict=True)]
        for example in storable(lesson.examples, room):
            self.seen += 1
            rank = float(rng.random()) if self.config.keep == "class-balanced" else -float(self.seen)
            items.append(Ranked(example, group_of(example, lesson.number), rank))
        kept = equal_room(items, room)
        self.memory = [item.example for item in kept]
        self.places = [(item.group, item.rank) for item in kept]

    def state(self) -> dict[str, Any]:
        """Return the memory and what decides who stays in it."""
        return super().state() | ({"places": self.places} if self.places else {})

    def restore(self, state: dict[str, Any]) -> None:
        """Take over the memory."""
        super().restore(state)
        self.places = [(group, rank) for group, rank in state.get("places", [])]


def uses_boundaries_of(config: Config) -> bool:
    """Return whether lessons can be groups of the memory: they are where answers are free text."""
    return config.keep != "reservoir"


PLUGIN = plugin(
    Config,
    Replay,
    version=4,
    footprint=lambda config: Footprint(rows=config.share, examples=config.memory),
    stores="examples",
    neutral={"share": 0.0},
    first_lesson_as="sft",
    family="replay",
    uses_task_ids=False,
    uses_boundaries=uses_boundaries_of,
    trains="all",
    paper="Chaudhry et al. 2019, arXiv:1902.10486",
    about="Keep some old examples and mix them into every batch.",
)
