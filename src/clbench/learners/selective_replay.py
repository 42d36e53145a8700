"""Selective replay: keep the old examples that tell most, instead of any, and mix them into every batch.

Every lesson has equal room; within it examples are ranked once, after the lesson, by the model that has just learnt it:

    loss:           -ln p(y | x) per answer token; the worst known stay
    gradient-norm:  |grad of the loss on x|, over all trainable weights; the largest stay
    coverage:       farthest-first order of mean hidden states: each next example is the one farthest from
                    those before it (k-center greedy), beginning with the one nearest to the mean of all

The first k of that order are themselves the greedy choice of k, so that a lesson's room can shrink and nothing is asked
again.
Source: loss: Schaul et al. 2016, "Prioritized Experience Replay", arXiv:1511.05952 (rank-based, there for drawing, here
for keeping); gradient norm: Paul et al. 2021, "Deep Learning on a Data Diet", arXiv:2107.07075, GraNd, def. 2.1 (there
averaged over initialisations, here of one model); coverage: Sener and Savarese 2018, "Active Learning for CNNs: A
Core-Set Approach", arXiv:1708.00489, algorithm 1. Replaying is that of `replay`. Ranking looks at examples one by one,
which costs about an epoch, by gradient norm two.

Defaults: memory and share of `replay`; coverage, since the other two keep what is wrong in the data first.

Keeps: at most `memory` examples, by loss or gradient norm the most unusual of them, and a number for each.

Told: boundaries, for equal room per lesson.

Not for: data with wrong labels, by loss or gradient norm; data that may not be kept.

Falls short: what it selects keeps no more than the uniform sample of `replay` at the same memory, and abilities, of
which it replays nothing, fall as far.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from clbench.core.footprint import Footprint
from clbench.core.types import Example, Lesson
from clbench.learners._shared.memory import Ranked, equal_room, mixed, room_for, storable
from clbench.training.method import Method
from clbench.training.plugin import plugin
from clbench.training.settings import Training

if TYPE_CHECKING:
    from torch import Tensor

    from clbench.models.net import Net


class Config(Training):
    """Settings of selective replay.

    Attributes:
        by: What an example is kept for.
        memory: Most examples kept over all lessons, >= 0; a smaller `Lesson.budget` wins.
        share: Old examples added to a batch, as a share of the batch's new ones, in [0, 1]; 0 is plain fine-tuning.
        candidates: Examples of a lesson that are ranked, drawn at random, >= 1: a forward pass each (by gradient
            norm a backward pass too).
    """

    by: Literal["loss", "gradient-norm", "coverage"] = "coverage"
    memory: int = Field(default=200, ge=0)
    share: float = Field(default=0.25, ge=0, le=1)
    candidates: int = Field(default=512, ge=1)


class SelectiveReplay(Method):
    """The best ranked examples of every lesson, mixed into each batch."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.memory: list[Example] = []
        self.places: list[tuple[str, float]] = []  # lesson and rank of each

    def compose_batch(self, batch: list[Example], rng: np.random.Generator) -> list[Example]:
        """Add old examples, drawn from memory without repeats."""
        return mixed(batch, self.memory, self.config.share, rng)

    def consolidate(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> None:
        """Rank the lesson, and share the room out again."""
        if self.config.share == 0:
            return
        room = room_for(self.config.memory, None, lesson.budget)
        pool = storable(lesson.examples, room) if room.examples else []
        num = min(self.config.candidates, len(pool))
        pool = [pool[i] for i in sorted(rng.choice(len(pool), num, replace=False))] if num else []
        ranks = RANKS[self.config.by](net, pool) if pool else []
        new = [Ranked(e, f"lesson {lesson.number}", r) for e, r in zip(pool, ranks, strict=True)]
        old = [Ranked(e, *place) for e, place in zip(self.memory, self.places, strict=True)]
        kept = equal_room([*old, *new], room)
        self.memory = [item.example for item in kept]
        self.places = [(item.group, item.rank) for item in kept]

    def state(self) -> dict[str, Any]:
        """Return the memory and the ranks."""
        return {"memory": self.memory, "places": self.places} if self.memory else {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over the memory."""
        self.memory = list(state.get("memory", []))
        self.places = [(group, rank) for group, rank in state.get("places", [])]


def by_loss(net: Net, examples: Sequence[Example]) -> list[float]:
    """Rank by loss: the lowest rank is the example that is known worst."""
    import torch

    with torch.no_grad():
        return [-float(net.forward(net.module, net.batch([e])).loss) for e in examples]


def by_gradient_norm(net: Net, examples: Sequence[Example]) -> list[float]:
    """Rank by the length of an example's own gradient: the lowest rank has the largest."""
    import torch

    params = [p for p in net.module.parameters() if p.requires_grad]
    ranks: list[float] = []
    for example in examples:
        loss = net.forward(net.module, net.batch([example])).loss
        grads = torch.autograd.grad(loss, params, allow_unused=True, materialize_grads=True)
        ranks.append(-float(torch.stack([g.float().square().sum() for g in grads]).sum().sqrt()))
    return ranks


def by_coverage(net: Net, examples: Sequence[Example]) -> list[float]:
    """Rank by farthest-first order of the mean hidden state of the last layer."""
    import torch

    with torch.no_grad():
        order = farthest_first(torch.stack([_mean_state(net, e) for e in examples]))
    ranks = [0.0] * len(order)
    for rank, index in enumerate(order):
        ranks[index] = float(rank)
    return ranks


def _mean_state(net: Net, example: Example) -> Tensor:
    batch = net.batch([example])
    return net.hidden(batch.ids_BT, batch.mask_BT)[0].float().mean(0)


def farthest_first(points_NH: Tensor) -> list[int]:
    """Order points so that each is the one farthest from all before it; the first is the nearest to their mean.

    Example:
        >>> import torch
        >>> farthest_first(torch.tensor([[0.0], [4.0], [5.0], [11.0]]))
        [2, 3, 0, 1]
    """
    taken = int((points_NH - points_NH.mean(0)).norm(dim=1).argmin())
    order = [taken]
    near_N = points_NH.new_full((len(points_NH),), float("inf"))
    for _ in range(len(points_NH) - 1):
        near_N = near_N.minimum((points_NH - points_NH[taken]).norm(dim=1))
        near_N[taken] = -1.0  # never again, even among copies of itself
        taken = int(near_N.argmax())
        order.append(taken)
    return order


RANKS: Mapping[str, Callable[[Net, Sequence[Example]], list[float]]] = {
    "loss": by_loss,
    "gradient-norm": by_gradient_norm,
    "coverage": by_coverage,
}

PLUGIN = plugin(
    Config,
    SelectiveReplay,
    version=3,
    footprint=lambda config: Footprint(rows=config.share, examples=config.memory),
    stores="examples",
    neutral={"share": 0.0},
    first_lesson_as="sft",
    family="replay",
    uses_task_ids=False,
    uses_boundaries=True,
    trains="all",
    paper="Sener and Savarese 2018, arXiv:1708.00489",
    about="Replay the old examples that tell most, instead of any.",
)
