"""Memory aware synapses: hold each weight near its old value, the firmer the more the model's output depends on it.

    loss = CE + strength * sum_k Omega_k (theta_k - theta*_k)^2,   Omega_k = mean over x of |d ||f(x)||^2 / d theta_k|

with theta* the weights after the last lesson, f(x) the logits that answer prompt x (of a causal model those of the
first answer token, of an encoder those of all labels) and Omega summed over lessons. No answers are needed: it reads
prompts alone, so Omega may be taken on any texts of the kind. Source: Aljundi et al. 2018, "Memory Aware Synapses:
Learning what (not) to forget", ECCV, arXiv:1711.09601, eq. 2-4. Otherwise than there, f(x) of a causal model is read at
one position, and label rows that a head has gained since are free. The mean of |.| is taken example by example.

Defaults: strength is ours: the paper's 1 belongs to outputs of size 1, and a language model's logits have squared
lengths of thousands; on a shipped tiny model tuning chose 0.0003 of 0.0003 and 0.001. 32 examples as ewc.
Keeps: two numbers per trained weight, anchor and importance (in float32). More than 100 MB is announced before it is
taken.
Told: where a lesson ends.
Not for: class-incremental lessons, as ewc. A base model with large logits has large importances: tune the strength
for each model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from clbench.core.footprint import PLAIN, Footprint
from clbench.core.types import Lesson
from clbench.training.method import Method
from clbench.training.plugin import plugin
from clbench.training.settings import Training

if TYPE_CHECKING:
    from torch import Tensor

    from clbench.models.net import Batch, Forward, Net


class Config(Training):
    """Settings of MAS.

    Attributes:
        strength: lambda, >= 0; 0 is plain fine-tuning.
        examples: Prompts per lesson on which importances are taken, >= 1; a smaller lesson is taken whole.
    """

    strength: float = Field(default=0.01, ge=0)
    examples: int = Field(default=32, ge=1)


class Mas(Method):
    """A quadratic penalty around the weights after the last lesson, weighed by the output's sensitivity."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.anchor: dict[str, Tensor] = {}
        self.importance: dict[str, Tensor] = {}

    def loss(self, net: Net, batch: Batch, out: Forward) -> Tensor:
        """Add strength * sum Omega (theta - theta*)^2."""
        if not self.anchor:
            return out.loss
        from clbench.learners._shared.anchors import pull

        return out.loss + self.config.strength * pull(net, self.anchor, self.importance)

    def consolidate(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> None:
        """Add the lesson's importances to the earlier ones, and move the anchor."""
        if self.config.strength == 0:
            return
        from clbench.learners._shared.anchors import announce, weights_of
        from clbench.learners._shared.label_rows import add_to_known_rows

        if not self.anchor:
            announce("mas", net, 2, "in all")
        num = min(self.config.examples, len(lesson.examples))
        chosen = [lesson.examples[i] for i in sorted(rng.choice(len(lesson.examples), num, replace=False))]
        new = sensitivity(net, [net.batch([e]) for e in chosen])
        for name, old in self.importance.items():
            add_to_known_rows(new[name], old)
        self.importance = new
        self.anchor = weights_of(net)

    def shards(self) -> bool:
        """Return that its loss looks at weights alone."""
        return True

    def state(self) -> dict[str, Any]:
        """Return anchor and importances."""
        return {"anchor": self.anchor, "importance": self.importance} if self.anchor else {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over anchor and importances."""
        self.anchor = state.get("anchor", {})
        self.importance = state.get("importance", {})


def sensitivity(net: Net, batches: list[Batch]) -> dict[str, Tensor]:
    """Return the mean over examples of |d ||f(x)||^2 / d theta|; what stands as the answer does not matter.

    Args:
        net: The model, in evaluation mode.
        batches: One example each; with more, gradients of different signs would cancel.

    Returns:
        One float32 tensor >= 0 per trainable parameter, of its shape.
    """
    import torch

    params = {n: p for n, p in net.module.named_parameters() if p.requires_grad}
    total = {n: torch.zeros_like(p, dtype=torch.float32) for n, p in params.items()}
    for batch in batches:
        # The first position on which loss is taken has read the prompt alone; later ones have read the answer.
        length = net.forward(net.module, batch).logits_NV[0].square().sum()
        grads = torch.autograd.grad(length, list(params.values()), allow_unused=True, materialize_grads=True)
        for name, grad in zip(params, grads, strict=True):
            total[name].add_(grad.float().abs(), alpha=1 / len(batches))
    return total


PLUGIN = plugin(
    Config,
    Mas,
    version=2,
    footprint=lambda config: Footprint(later=2, step=1, after=2, keeps=2) if config.strength else PLAIN,
    stores="derived",
    neutral={"strength": 0.0},
    first_lesson_as="sft",
    family="regularisation",
    uses_task_ids=False,
    uses_boundaries=True,
    trains="all",
    paper="Aljundi et al. 2018, arXiv:1711.09601",
    about="Pull weights back, each as hard as outputs are sensitive to it.",
)
