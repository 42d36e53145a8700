"""LoRA+: sequential LoRA in which B learns many times faster than A.

    W' = W + (alpha / rank) * B A,   lr_A = lr,   lr_B = ratio * lr

B starts at 0 and A does not, so in wide layers one rate for both lets A learn little. Source: Hayou et al. 2024,
"LoRA+: Efficient Low Rank Adaptation of Large Models", ICML, arXiv:2402.12354. A label head learns at lr.
At ratio 1 it is `lora`, bit for bit.

Defaults: ratio 16 is the paper's advice (2^4); lr is that of A, so it should be lower than lora's.
Keeps: the adapter, as `lora`.
Told: nothing.
Not for: keeping old lessons: it learns faster, which protects nothing. With lora's own lr it may not converge.
Falls short: it learns nearly as much as plain fine-tuning and forgets more. A guess: at the rate at which it learns
here, one adapter for all lessons is overwritten more thoroughly than full weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from clbench.core.footprint import PLAIN
from clbench.learners._shared.adapters import LoraTraining, lora_rate, one_for_all
from clbench.training.method import Method
from clbench.training.plugin import plugin

if TYPE_CHECKING:
    from clbench.models.net import Net


class Config(LoraTraining):
    """Settings of LoRA+.

    Attributes:
        ratio: Learning rate of B as a multiple of A's, > 0; 1 is plain LoRA.
    """

    ratio: float = Field(default=16.0, gt=0)


class LoraPlus(Method):
    """One adapter on the frozen base, with two learning rates."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def prepare(self, net: Net, number: int) -> None:
        """Freeze the base and add the adapter, once; a label head always learns."""
        one_for_all(net, self.config, number)

    def wake(self, net: Net, number: int) -> None:
        """Add the adapter as in lesson 1."""
        self.prepare(net, 1)

    def lr_scale(self, name: str) -> float:
        """Let B learn `ratio` times faster."""
        return lora_rate(self.config, name) * (self.config.ratio if ".lora_B." in name else 1.0)


PLUGIN = plugin(
    Config,
    LoraPlus,
    version=2,
    footprint=PLAIN,
    stores="none",
    family="light fine-tuning",
    uses_task_ids=False,
    uses_boundaries=False,
    trains="part",
    paper="Hayou et al. 2024, arXiv:2402.12354",
    about="LoRA whose B learns faster than its A.",
)
