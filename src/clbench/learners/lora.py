"""Sequential LoRA: the base stays frozen, one low-rank adapter is trained through all lessons.

    W' = W + (alpha / rank) * B A

Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", arXiv:2106.09685, eq. 3; the
sequential form is the baseline "SeqLoRA" of O-LoRA (arXiv:2310.14152). Layers come from peft.
Kept: nothing beyond the adapter. It forgets much as fine-tuning does, since every lesson trains the same adapter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from clbench.learners._method import Method
from clbench.learners._training import Training, plugin

if TYPE_CHECKING:
    from torch import nn

    from clbench.models.net import Net


class Config(Training):
    """Settings of sequential LoRA.

    Attributes:
        rank: Rank of the adapter, >= 1.
        alpha: Scale; the update is multiplied by alpha / rank.
        lora_dropout: Dropout before the adapter, in [0, 1).
        targets: Names of linear layers that get an adapter; "all-linear" is every one but the output head.
    """

    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32.0, gt=0)
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: str | tuple[str, ...] = "all-linear"


class Lora(Method):
    """One adapter on the frozen base; an encoder's label head is trained beside it."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def prepare(self, net: Net, step: int) -> None:
        """Freeze the base and add the adapter, once; a label head always learns."""
        if step == 1:
            self._inject(net)
        if net.labels:
            _head(net).requires_grad_(True)

    def _inject(self, net: Net) -> None:
        from peft import LoraConfig, inject_adapter_in_model

        net.module.requires_grad_(False)
        targets = _linear_names(net) if self.config.targets == "all-linear" else self.config.targets
        config = LoraConfig(
            r=self.config.rank,
            lora_alpha=self.config.alpha,  # pyright: ignore[reportArgumentType]  # peft says int, and scales by any number
            lora_dropout=self.config.lora_dropout,
            target_modules=[targets] if isinstance(targets, str) else list(targets),
        )
        inject_adapter_in_model(config, net.module)


def _head(net: Net) -> nn.Module:
    return net.module.get_submodule(net.head_name)


def _linear_names(net: Net) -> list[str]:
    from torch import nn

    outputs = {net.head_name}
    return [n for n, m in net.module.named_modules() if isinstance(m, nn.Linear) and n not in outputs]


PLUGIN = plugin(Config, Lora, version=1)
