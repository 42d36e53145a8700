"""O-LoRA: a new adapter per lesson, kept orthogonal to all earlier ones, which stay frozen and still act.

    W' = W + (alpha / rank) * sum_{i <= t} B_i A_i
    loss = CE + strength * sum over layers, i < t of sum_{jk} |A_i A_t^T|_{jk}

The rows of A_i span the inputs that lesson i reacts to; where the new rows are orthogonal to them, the new update
leaves the answers to old inputs alone. Source: Wang et al. 2023, "Orthogonal Subspace Learning for Language Model
Continual Learning", EMNLP Findings, arXiv:2310.14152. The paper's L_orth squares the entries; the authors' code
takes absolute values, and so do we. The code's second term (an L2 norm on the new adapter, off in its scripts) is left
out. Lesson 1 is learnt as `lora` learns it. On encoders one label head is shared by all lessons and keeps learning.

Defaults: strength 0.5 is that of the authors' scripts; rank is lora's, so that both are compared at one size. New
adapters start from nothing and may need a higher rate than a whole model: `lr_factor`.
Keeps: one adapter per lesson, rank * (in + out) numbers per layer; a forward pass takes time in proportion.
Told: where a lesson ends.
Not for: long streams (size and time grow with every lesson), nor lessons that need the same inputs to be answered anew.
Falls short: it ends below plain fine-tuning: it learns less, and that it forgets less is not shown. A guess: adapters
that share no direction still share the inputs, and each lesson moves the answers to all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from clbench.core.footprint import PLAIN
from clbench.learners._shared.adapters import (
    LoraTraining,
    act,
    adapter_of,
    add_all,
    add_lora,
    experts_of,
    free_label_head,
    lora_layers,
    lora_rate,
)
from clbench.training.method import Method
from clbench.training.plugin import plugin

if TYPE_CHECKING:
    from torch import Tensor

    from clbench.models.net import Batch, Forward, Net


class Config(LoraTraining):
    """Settings of O-LoRA.

    Attributes:
        strength: lambda_1, >= 0; 0 leaves adapters free to overlap.
    """

    strength: float = Field(default=0.5, ge=0)


class Olora(Method):
    """One adapter per lesson, all summed, the last one learning away from the others."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.number = 0

    def prepare(self, net: Net, number: int) -> None:
        """Freeze all earlier adapters and add the lesson's own; all act."""
        self.number = number
        add_lora(net, self.config, adapter_of(number))
        act(net, [adapter_of(i) for i in range(1, number + 1)])
        free_label_head(net)

    def wake(self, net: Net, number: int) -> None:
        """Add the adapters of all lessons; all act, and the last one learns."""
        self.number = number
        add_all(net, self.config, number)
        act(net, [adapter_of(i) for i in range(1, number + 1)])
        free_label_head(net)

    def lr_scale(self, name: str) -> float:
        """Let the adapter learn `lr_factor` times as fast as `lr` says."""
        return lora_rate(self.config, name)

    def loss(self, net: Net, batch: Batch, out: Forward) -> Tensor:
        """Add strength * the overlap with the earlier adapters."""
        if self.number == 1 or self.config.strength == 0:
            return out.loss
        return out.loss + self.config.strength * overlap(net, self.number)

    def shards(self) -> bool:
        """Return that its loss looks at weights alone."""
        return True


def overlap(net: Net, number: int) -> Tensor:
    """Measure how far the adapter of lesson `number` shares directions with earlier ones: sum |A_i A_t^T|, >= 0."""
    import torch

    total = torch.zeros((), device=next(net.module.parameters()).device)
    for layer in lora_layers(net):
        factors: Any = layer.lora_A
        experts = experts_of(layer)  # each has directions of its own: they are compared expert by expert
        weights = [factors[adapter_of(i)].weight.unflatten(0, (experts, -1)) for i in range(1, number + 1)]
        total = total + (torch.cat(weights[:-1], dim=1) @ weights[-1].mT).abs().sum()
    return total


PLUGIN = plugin(
    Config,
    Olora,
    version=2,
    footprint=PLAIN,
    stores="none",
    first_lesson_as="lora",
    family="light fine-tuning",
    uses_task_ids=False,
    uses_boundaries=True,
    trains="part",
    paper="Wang et al. 2023, arXiv:2310.14152",
    about="O-LoRA: an adapter per lesson, orthogonal to earlier ones; all act.",
)
