"""Sequential LoRA: the base stays frozen, one low-rank adapter is trained through all lessons.

    W' = W + (alpha / rank) * B A

Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", arXiv:2106.09685, eq. 3; the
sequential form is the baseline "SeqLoRA" of O-LoRA (Wang et al. 2023, arXiv:2310.14152). Layers come from peft.
Otherwise than in the paper: every matrix that a layer multiplies with but the output head has an adapter, those of
experts too (`learners/_shared/adapters.py`), and an encoder's label head is trained beside them.

Defaults: rank 16, alpha = 2 * rank and all linear layers are today's custom; the paper adapts attention alone.
Keeps: the adapter, rank * (in + out) numbers per layer, the same through all lessons; nothing else.
Told: nothing.
Not for: keeping old lessons, since every lesson trains the same adapter.
Falls short: at its tuned rate it learns nearly as much as full fine-tuning and forgets more. A guess: one adapter for
all lessons is overwritten more thoroughly than full weights, which need a lower rate to learn as much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clbench.core.footprint import PLAIN
from clbench.learners._shared.adapters import LoraTraining, lora_rate, one_for_all
from clbench.training.method import Method
from clbench.training.plugin import plugin

if TYPE_CHECKING:
    from clbench.models.net import Net


class Config(LoraTraining):
    """Settings of training and of the adapter."""


class Lora(Method):
    """One adapter on the frozen base; an encoder's label head is trained beside it."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def lr_scale(self, name: str) -> float:
        """Let the adapter learn `lr_factor` times as fast as `lr` says."""
        return lora_rate(self.config, name)

    def prepare(self, net: Net, number: int) -> None:
        """Freeze the base and add the adapter, once; a label head always learns."""
        one_for_all(net, self.config, number)

    def wake(self, net: Net, number: int) -> None:
        """Add the adapter as in lesson 1."""
        self.prepare(net, 1)


PLUGIN = plugin(
    Config,
    Lora,
    version=2,
    footprint=PLAIN,
    stores="none",
    family="light fine-tuning",
    uses_task_ids=False,
    uses_boundaries=False,
    trains="part",
    paper="Hu et al. 2021, arXiv:2106.09685",
    about="One low-rank adapter, trained on through all lessons.",
)
