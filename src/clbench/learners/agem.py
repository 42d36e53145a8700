"""Averaged gradient episodic memory (A-GEM): take no step that would raise the loss on old examples.

    g <- g - (g . g_ref / g_ref . g_ref) g_ref   where g . g_ref < 0,   else g

with g the gradient of the batch and g_ref that of a batch drawn from memory. Source: Chaudhry et al. 2019, "Efficient
Lifelong Learning with A-GEM", ICLR, arXiv:1812.00420, eq. 11. Otherwise than there: the memory is a uniform sample
(reservoir), filled after a lesson; and what is projected then goes through clipping and AdamW, whose step is no longer
along g, so that the guarantee holds for the gradient and not for the step.

Defaults: the batch from memory is as large as the batch (the paper's are larger for its batches of 10).

Keeps: at most `memory` examples.

Told: nothing (the paper's memory has equal room per task; a reservoir needs no boundaries).

Not for: data that may not be kept. `replay` with the same memory forgot less, at less cost, in Chaudhry et al. 2019,
arXiv:1902.10486.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from clbench.core.footprint import Footprint
from clbench.core.types import Example, Lesson
from clbench.learners._shared.memory import ReservoirMethod, choose, room_for
from clbench.training.plugin import plugin
from clbench.training.schedule import pieces
from clbench.training.settings import Training

if TYPE_CHECKING:
    from torch import Tensor

    from clbench.models.net import Net


class Config(Training):
    """Settings of A-GEM.

    Attributes:
        memory: Most examples kept over all lessons, >= 0; a smaller `Lesson.budget` wins.
        share: Old examples whose gradient is looked at, as a multiple of the batch's new ones, in [0, 8]; 0 is plain
            fine-tuning.
    """

    memory: int = Field(default=200, ge=0)
    share: float = Field(default=1.0, ge=0, le=8)


class Agem(ReservoirMethod):
    """A reservoir of examples, against whose gradient no step may go."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.drawn: list[int] = []

    def compose_batch(self, batch: list[Example], rng: np.random.Generator) -> list[Example]:
        """Draw what `edit_gradients` looks at; the batch stays as it is."""
        self.drawn = choose(self.memory, self.config.share, len(batch), rng)
        return batch

    def edit_gradients(self, net: Net) -> None:
        """Take out of the gradient what goes against that of the memory."""
        if not self.drawn:
            return
        import torch

        params = [p for p in net.module.parameters() if p.requires_grad]
        reference = mean_gradient(net, [self.memory[i] for i in self.drawn], params)
        pairs = [(p.grad, r) for p, r in zip(params, reference, strict=True) if p.grad is not None]
        along = torch.stack([(g.float() * r.float()).sum() for g, r in pairs]).sum()
        if along < 0:
            factor = along / torch.stack([r.float().square().sum() for r in reference]).sum()
            for param, ref in zip(params, reference, strict=True):
                number = (-factor * ref).to(ref)
                param.grad = number if param.grad is None else param.grad.add_(number)

    def consolidate(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> None:
        """Let the lesson pass the reservoir."""
        if self.config.share == 0:
            return
        room = room_for(self.config.memory, None, lesson.budget)
        self.pass_reservoir(lesson, room, rng)


def mean_gradient(net: Net, examples: Sequence[Example], params: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradient of the mean loss over the targets of some examples, of each parameter, in its shape."""
    import torch

    batches = [net.batch(part) for part in pieces(examples, net.micro_batch)]
    total = sum(batch.num_targets for batch in batches)
    found: list[Tensor] = []
    for batch in batches:
        loss = net.forward(net.module, batch).loss
        loss = loss * (batch.num_targets / total) if len(batches) > 1 else loss
        own = torch.autograd.grad(loss, params, allow_unused=True, materialize_grads=True)
        found = [a + b for a, b in zip(found, own, strict=True)] if found else list(own)
    return found


PLUGIN = plugin(
    Config,
    Agem,
    version=3,
    footprint=lambda config: Footprint(reference=config.share, examples=config.memory),
    stores="examples",
    neutral={"share": 0.0},
    first_lesson_as="sft",
    family="replay",
    uses_task_ids=False,
    uses_boundaries=False,
    trains="all",
    paper="Chaudhry et al. 2019, arXiv:1812.00420",
    about="A-GEM: no step goes against the gradient of stored examples.",
)
