"""Dark experience replay (DER++): keep old examples with the scores the model gave them, and hold it to both.

    loss = CE(batch) + alpha * MSE(z(x), z_old(x)) + beta * CE(x, y),   (x, y, z_old) drawn from memory

with z the scores (logits) at the positions of the answer. Source: Buzzega et al. 2020, "Dark Experience for General
Continual Learning: a Strong, Simple Baseline", NeurIPS, arXiv:2004.07211, eq. 6. MSE is the mean over all scores that
are compared. Otherwise than there: scores are taken after the lesson, not within it; one draw serves both terms, which
saves a forward pass (they draw twice); a label head that has grown is held on the rows it had. At alpha 0 it is
experience replay with old and new examples weighed apart.

Defaults: alpha and beta of the paper for CIFAR-10 with a memory of 200; `share` is that of `replay` (the paper's is 1).

Keeps: a uniform sample of examples (reservoir) and their scores as 16-bit floats: 2 bytes per answer token and word of
the vocabulary, so an answer of 10 tokens takes 3 MB with 150,000 words; `top` keeps the largest alone (6 bytes each).

Told: nothing.

Not for: data that may not be kept; large vocabularies with long answers, unless `top` is set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from clbench.core.footprint import PLAIN, Footprint
from clbench.core.types import Example, Lesson
from clbench.learners._shared.memory import ReservoirMethod, choose, room_for
from clbench.training.plugin import plugin
from clbench.training.schedule import pieces
from clbench.training.settings import Training

if TYPE_CHECKING:
    from torch import Tensor

    from clbench.models.net import Batch, Forward, Net


class Config(Training):
    """Settings of DER++.

    Attributes:
        memory: Most examples kept over all lessons, >= 0; a smaller `Lesson.budget` wins. Scores are counted, not
            limited by it.
        share: Old examples per step, as a share of the batch's new ones, in [0, 1].
        alpha: Weight of the old scores, >= 0.
        beta: Weight of the old answers, >= 0. With alpha 0 as well it is plain fine-tuning.
        top: Scores kept per answer position: the largest, >= 1; None keeps all, as the paper does.
    """

    memory: int = Field(default=200, ge=0)
    share: float = Field(default=0.25, ge=0, le=1)
    alpha: float = Field(default=0.1, ge=0)
    beta: float = Field(default=0.5, ge=0)
    top: int | None = Field(default=None, ge=1)


class Derpp(ReservoirMethod):
    """A reservoir of examples, each with the scores of its answer."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.scores: list[Tensor] = []  # of each example (N, K)
        self.places: list[Tensor] = []  # which words or label rows they belong to (N, K); empty: the first K
        self.drawn: list[int] = []

    def compose_batch(self, batch: list[Example], rng: np.random.Generator) -> list[Example]:
        """Draw what `loss` looks at; the batch stays as it is."""
        self.drawn = choose(self.memory, self.config.share, len(batch), rng)
        return batch

    def loss(self, net: Net, batch: Batch, out: Forward) -> Tensor:
        """Add both terms on what was drawn, from one forward pass; each part of a batch looks at its part of that."""
        loss = out.loss
        for drawn in pieces(self.drawn, net.micro_batch)[batch.part :: batch.parts]:
            loss = self._with_old(loss, net, drawn, batch.share)
        return loss

    def _with_old(self, loss: Tensor, net: Net, drawn: Sequence[int], share: float) -> Tensor:
        """Add both terms on some of what was drawn, weighed so that they sum to the means over all of it."""
        old = net.forward(net.module, net.batch([self.memory[i] for i in drawn]))
        targets, scores = (self._size(drawn, unit) / self._size(self.drawn, unit) / share for unit in (len, _numbers))
        loss = loss + targets * self.config.beta * old.loss
        if self.config.alpha == 0:
            return loss
        places = [self.places[i] for i in drawn] if self.places else []
        return loss + scores * self.config.alpha * drift(old.logits_NV, [self.scores[i] for i in drawn], places)

    def _size(self, drawn: Sequence[int], of: Callable[[Tensor], int]) -> int:
        return sum(of(self.scores[i]) for i in drawn)

    def consolidate(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> None:
        """Let the lesson pass the reservoir, and write down the scores of what stays."""
        if self.config.share == 0 or self.config.alpha == self.config.beta == 0:
            return
        room = room_for(self.config.memory, None, lesson.budget)
        origin = self.pass_reservoir(lesson, room, rng)
        old = [*zip(self.scores, self.places or self.scores, strict=True)]
        new = [
            old[slot] if slot is not None else scores_of(net, example, self.config.top)
            for example, slot in zip(self.memory, origin, strict=True)
        ]
        self.scores = [scores for scores, _ in new]
        self.places = [places for _, places in new] if self.config.top is not None else []

    def state(self) -> dict[str, Any]:
        """Return memory and scores."""
        if not self.memory:
            return {}
        places = {"places": _numbered(self.places)} if self.places else {}
        return {**super().state(), "scores": _numbered(self.scores), **places}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over memory and scores."""
        super().restore(state)
        self.scores = _listed(state.get("scores", {}))
        self.places = _listed(state.get("places", {}))


def _numbers(scores: Tensor) -> int:
    return scores.numel()


def drift(logits_NV: Tensor, scores: Sequence[Tensor], places: Sequence[Tensor] = ()) -> Tensor:
    """Return the mean squared difference between scores now and then, over all that are compared.

    Args:
        logits_NV: Scores now, of all examples one after another.
        scores: Scores then, (N_i, K_i) of each example; N_i sum to N.
        places: Columns they belong to, of the same shapes; none: the first K_i.
    """
    now = logits_NV.split([len(s) for s in scores])
    if places:
        pairs = [(n.gather(1, p.long()), s) for n, p, s in zip(now, places, scores, strict=True)]
    else:
        pairs = [(n[:, : s.shape[1]], s) for n, s in zip(now, scores, strict=True)]
    total = logits_NV.new_zeros(())
    for new, old in pairs:
        total = total + (new - old.to(new)).square().sum()
    return total / sum(s.numel() for s in scores)


def scores_of(net: Net, example: Example, top: int | None) -> tuple[Tensor, Tensor]:
    """Return the scores of an example's answer in 16 bits, and their columns; (N, K) each.

    K is `top`, largest first, or all there are, in their own order.
    """
    import torch

    with torch.no_grad():
        logits_NV = net.forward(net.module, net.batch([example])).logits_NV
    if top is None:
        return logits_NV.half(), torch.arange(logits_NV.shape[1]).expand_as(logits_NV)
    found = logits_NV.topk(min(top, logits_NV.shape[1]), dim=1)
    return found.values.half(), found.indices.int()


def _numbered(tensors: Sequence[Tensor]) -> dict[str, Tensor]:
    return {str(i): t for i, t in enumerate(tensors)}


def _listed(tensors: dict[str, Tensor]) -> list[Tensor]:
    return [tensors[str(i)] for i in range(len(tensors))]


def footprint_of(config: Config) -> Footprint:
    """Return the old examples of every step, and their scores in 16 bits, if either of its terms looks at them."""
    if config.share == 0 or config.alpha == config.beta == 0:
        return PLAIN
    scores = {"per_word": 2} if config.top is None else {"per_place": 6 * config.top}  # which words: 4 bytes more
    return Footprint(rows=config.share, examples=config.memory, **scores)


PLUGIN = plugin(
    Config,
    Derpp,
    version=3,
    footprint=footprint_of,
    stores="examples",
    neutral={"alpha": 0.0, "beta": 0.0},
    first_lesson_as="sft",
    family="replay",
    uses_task_ids=False,
    uses_boundaries=False,
    trains="all",
    paper="Buzzega et al. 2020, arXiv:2004.07211",
    about="DER++: replay old examples with the scores that the model gave them.",
)
