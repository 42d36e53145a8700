"""Ability rehearsal: mix generated examples of chosen abilities into every batch, so that they are not unlearnt.

The examples are made by the generators of the miniature abilities, from a seed and a split of their own: they never ask
what an exam asks. Together with `replay` (`combine`) both the stream's tasks and the abilities are held. For a real
model the same is done with instruction or mathematics data beside each fine-tune. Source: Scialom et al. 2022,
"Fine-tuned Language Models are Continual Learners", arXiv:2205.12393 (rehearsal of what must be kept); the choice of
abilities instead of old tasks is ours.

Defaults: ours: 64 examples of each ability, and a quarter of a batch on top of it.

Keeps: nothing: the examples are generated again from the seed.

Told: nothing of the stream; it is told which abilities are to be kept.

Not for: abilities of which no examples can be made or had; measuring general ability with the abilities it rehearses as
if they were untouched.

Falls short: it keeps abilities, which it rehearses, and no gain in AP on the lessons is shown. Nothing of them is
rehearsed; `combine` adds replay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from clbench.core.footprint import Footprint
from clbench.core.types import Example, Lesson
from clbench.learners._shared.memory import mixed
from clbench.training.method import Method
from clbench.training.plugin import plugin
from clbench.training.settings import Training

if TYPE_CHECKING:
    from clbench.models.net import Net

ALL = ("arithmetic", "chinese", "code", "copy_reverse", "instruction", "reading", "recall")


class Config(Training):
    """Settings of ability rehearsal.

    Attributes:
        abilities: Names of ability generators (`clbench list exams` shows their exams as mini_NAME).
        each: Examples made of each, >= 1.
        share: Such examples added to a batch, as a share of the batch's own, in [0, 1]; 0 is plain fine-tuning.
        pool_seed: Seed that the examples are made from.
    """

    abilities: tuple[str, ...] = ALL
    each: int = Field(default=64, ge=1)
    share: float = Field(default=0.25, ge=0, le=1)
    pool_seed: int = Field(default=1, ge=0)


class Rehearsal(Method):
    """Generated examples of abilities, mixed into each batch."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.pool: list[Example] = []

    def expand(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> Lesson:
        """Make the examples; the lesson itself stays as it is."""
        from clbench.data.worlds.abilities import generate

        how = self.config
        if how.share and not self.pool:
            self.pool = [e for name in how.abilities for e in generate(name, how.each, how.pool_seed, "train")]
        return lesson

    def compose_batch(self, batch: list[Example], rng: np.random.Generator) -> list[Example]:
        """Add examples of the abilities, drawn without repeats."""
        return mixed(batch, self.pool, self.config.share, rng)


PLUGIN = plugin(
    Config,
    Rehearsal,
    version=2,
    footprint=lambda config: Footprint(rows=config.share),
    stores="none",
    neutral={"share": 0.0},
    model_families=("causal",),
    family="hybrid",
    uses_task_ids=False,
    uses_boundaries=False,
    trains="all",
    paper="Scialom et al. 2022, arXiv:2205.12393",
    about="Rehearse general abilities with generated examples beside every lesson.",
)
