"""Replay and a low-rank adapter: old examples are mixed into each batch, and one adapter on the frozen base learns.

Composed of `replay` and `lora`, in that order, by the same class as `combine`; it stands apart to have its settings
side by side. The frozen base bounds how far a lesson can move the model, and replay says in which direction it may.
Sources: Chaudhry et al. 2019, arXiv:1902.10486 (replay); Hu et al. 2021, arXiv:2106.09685, eq. 3 (LoRA). Its first
lesson is that of `lora`.

Defaults: those of `replay` and of `lora`.
Keeps: the adapter, and the examples in memory.
Told: nothing; with another memory than the default, what `replay` is told.
Not for: data that must not be kept.
Falls short: at a memory of 5 % no gain in AP over plain fine-tuning of all weights is shown, though it keeps more than
`lora`. A guess: the high rate at which an adapter learns here overwrites what replay does not show.
"""

from __future__ import annotations

from clbench.core.footprint import Footprint
from clbench.learners import lora, replay
from clbench.learners.combine import Combined
from clbench.training.plugin import plugin


class Config(lora.Config, replay.Config):
    """Settings of training, of the adapter and of the memory."""


def method(config: Config) -> Combined:
    """Return both methods, each with the settings that it knows."""
    return Combined([replay.Replay(config), lora.Lora(config)])


PLUGIN = plugin(
    Config,
    method,
    version=3,
    footprint=lambda config: Footprint(rows=config.share, examples=config.memory),
    stores="examples",
    first_lesson_as="lora",
    family="hybrid",
    uses_task_ids=False,
    uses_boundaries=replay.uses_boundaries_of,
    trains="part",
    about="Experience replay into one low-rank adapter.",
)
