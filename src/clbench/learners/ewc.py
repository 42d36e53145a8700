"""Elastic weight consolidation: hold each weight near its old value, the firmer the more old tasks depend on it.

    loss = CE + (strength / 2) * sum_k F_k (theta_k - theta*_k)^2

with theta* the weights after the last lesson and F the diagonal of the Fisher information. Source: Kirkpatrick
et al. 2017, "Overcoming catastrophic forgetting in neural networks", PNAS 114(13), eq. 3, arXiv:1612.00796; the
running sum of Fishers around one anchor: Schwarz et al. 2018 (online EWC), arXiv:1805.06370, eq. 8.

F is streamed example by example: the square of the gradient of ln p(y | x), with y drawn from the model itself
("sampled", the definition) or the taught answer ("empirical"; cheaper to reason about, biased once it is fitted).
Kept: two numbers per trainable weight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from clbench.core.types import Lesson
from clbench.learners._method import Method
from clbench.learners._training import Training, plugin

if TYPE_CHECKING:
    from torch import Tensor

    from clbench.models.net import Batch, Forward, Net


class Config(Training):
    """Settings of EWC.

    Attributes:
        strength: lambda, >= 0; 0 is plain fine-tuning.
        decay_old: gamma of online EWC in [0, 1]: how much of the earlier lessons' Fisher is kept; 1 sums them.
        fisher: Whose answers the Fisher is taken on.
        fisher_examples: Examples per lesson on which it is estimated.
    """

    strength: float = Field(default=100.0, ge=0)
    decay_old: float = Field(default=1.0, ge=0, le=1)
    fisher: Literal["sampled", "empirical"] = "sampled"
    fisher_examples: int = Field(default=64, ge=1)


class Ewc(Method):
    """A quadratic penalty around the weights after the last lesson."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.anchor: dict[str, Tensor] = {}
        self.information: dict[str, Tensor] = {}

    def penalise(self, net: Net, batch: Batch, out: Forward) -> Tensor:
        """Add (strength / 2) * sum F (theta - theta*)^2; rows that a label head has gained since are free."""
        if not self.anchor:
            return out.loss
        penalty = out.loss.new_zeros(())
        for name, param in net.module.named_parameters():
            if name in self.anchor:
                old = self.anchor[name]
                now = param if param.shape == old.shape else param[: old.shape[0]]
                penalty = penalty + (self.information[name] * (now - old).square()).sum()
        return out.loss + 0.5 * self.config.strength * penalty

    def settle(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> None:
        """Estimate the Fisher on the lesson, add it to the earlier ones, and move the anchor."""
        if self.config.strength == 0:
            return
        num = min(self.config.fisher_examples, len(lesson.examples))
        chosen = [lesson.examples[i] for i in sorted(rng.choice(len(lesson.examples), num, replace=False))]
        new = fisher_diagonal(net, [net.batch([e]) for e in chosen], sampled=self.config.fisher == "sampled")
        for name, value in new.items():
            old = self.information.get(name)
            if old is not None:
                value[: old.shape[0]] += self.config.decay_old * old
        self.information = new
        self.anchor = {n: p.detach().clone() for n, p in net.module.named_parameters() if n in new}

    def state(self) -> dict[str, Any]:
        """Give anchor and Fisher."""
        return {"anchor": self.anchor, "information": self.information} if self.anchor else {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over anchor and Fisher."""
        self.anchor = state.get("anchor", {})
        self.information = state.get("information", {})


def fisher_diagonal(net: Net, batches: list[Batch], *, sampled: bool) -> dict[str, Tensor]:
    """Estimate the diagonal of the Fisher information: the mean over examples of the squared gradient of ln p(y | x).

    Args:
        net: The model, in evaluation mode.
        batches: One example each; with more, cross terms between examples would enter.
        sampled: Draw y from the model (from torch's generator, which the caller seeds) instead of the taught one.

    Returns:
        One tensor >= 0 per trainable parameter, of its shape.
    """
    import torch
    from torch.nn import functional

    params = {n: p for n, p in net.module.named_parameters() if p.requires_grad}
    total = {n: torch.zeros_like(p) for n, p in params.items()}
    for batch in batches:
        out = net.forward(net.module, batch)
        answer_N = out.labels_N
        if sampled:
            answer_N = torch.multinomial(out.logits_NV.detach().softmax(-1), 1)[:, 0]
        surprise = functional.cross_entropy(out.logits_NV, answer_N, reduction="sum")
        grads = torch.autograd.grad(surprise, list(params.values()), allow_unused=True, materialize_grads=True)
        for name, grad in zip(params, grads, strict=True):
            total[name] += grad.square() / len(batches)
    return total


PLUGIN = plugin(Config, Ewc, version=1, neutral={"strength": 0.0}, first_lesson_as="sft")
