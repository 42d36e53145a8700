"""Weights of 16 bits have float32 master copies while they learn.

An update of AdamW is about as large as the learning rate. bfloat16 keeps 8 bits of a number, so that next to a weight
of 0.02 it cannot show less than 0.0001: at the usual rates most updates would be rounded away, which reads as "nothing
was forgotten". So what learns is float32 from the beginning of a lesson to its end, for every hook of a method; the
model computes in its own type all the same (autocast). After the lesson it answers with weights rounded to its type,
and the master copies stay, as part of the state, for the next lesson: rounding does not add up over lessons.

float16 cannot show the small gradients of training without scaling them: such models answer, and do not learn
(`engine.resolve.check_learner`).
Source: Micikevicius et al. 2018, "Mixed Precision Training", ICLR, arXiv:1710.03740, section 3.1.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from clbench.core.errors import ModelError
from clbench.training.settings import INSTEAD, NO_FLOAT16


class Masters:
    """Master copies of a model's weights; it has nothing to do where the model is float32.

    Attributes:
        half: bfloat16 where the model has weights of it; else None.
        kept: Between lessons, name -> master copy of what learnt in the last one.
    """

    def __init__(self, module: nn.Module) -> None:
        self._own = {name: param.dtype for name, param in module.named_parameters()}
        self.half = torch.bfloat16 if torch.bfloat16 in self._own.values() else None
        self.kept: dict[str, Tensor] = {}

    def compute(self, precision: Literal["no", "bf16"]) -> torch.dtype | None:
        """Return the type of a lesson's matrix products (see `Passes`)."""
        return torch.bfloat16 if precision == "bf16" or self.half is not None else None

    def take(self, module: nn.Module, kept: dict[str, Tensor]) -> None:
        """Put master copies into the place of the weights of these names."""
        params = dict(module.named_parameters())
        for name, master in kept.items():
            params[name].data = master
        self.kept = {}

    def widen(self, module: nn.Module) -> None:
        """Make all that learns float32.

        Raises:
            ModelError: Some of it is float16.
        """
        for param in module.parameters() if self.half is not None or torch.float16 in self._own.values() else ():
            if param.requires_grad and param.dtype == torch.float16:
                raise ModelError(NO_FLOAT16.format(what="it"), where="model.dtype", mend=INSTEAD)
            if param.requires_grad and param.dtype == self.half:
                param.data = param.data.float()

    def round(self, module: nn.Module) -> None:
        """Return every weight its own type again, and keep the master copies of what learns."""
        if self.half is None:
            return
        self.kept = {}
        for name, param in module.named_parameters():
            own = self._own.get(name.replace(".base_layer", ""), self.half)
            if param.dtype != own:
                if param.requires_grad:
                    self.kept[name] = param.data
                param.data = param.data.to(own)
                param.grad = None
