"""The quadratic pull of weights towards anchors that EWC, MAS and L2 share, and the notice of how much memory it takes.

This module imports torch: import it inside functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from clbench.core.events import notice
from clbench.learners._shared.label_rows import known_rows
from clbench.models.net import Net

WORTH_A_WORD = 100_000_000  # bytes; below it a notice would only be noise


class _Quadratic(torch.autograd.Function):
    """sum_k w_k (theta_k - anchor_k)^2 with its gradient written out: a third of the passes that autograd makes."""

    @staticmethod
    def forward(ctx: Any, anchors: list[Tensor], importances: list[Tensor | None], *params: Tensor) -> Tensor:
        value = torch.zeros((), device=params[0].device)
        forces: list[Tensor] = []
        for anchor, importance, param in zip(anchors, importances, params, strict=True):
            drift = param.detach() - anchor
            force = drift if importance is None else importance * drift
            value += (force * drift).sum(dtype=torch.float32)
            forces.append(force)
        ctx.save_for_backward(*forces)
        return value

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *(2 * grads[0] * force for force in ctx.saved_tensors)


def pull(net: Net, anchor: Mapping[str, Tensor], importance: Mapping[str, Tensor] | None = None) -> Tensor:
    """Return sum_k w_k (theta_k - anchor_k)^2, >= 0; rows that a label head has gained since are free.

    Args:
        net: The model; parameters without an anchor are free.
        anchor: Parameter name -> where it is pulled to; with fewer rows than the parameter has, its first rows.
        importance: Parameter name -> w, of the anchor's shape, >= 0; None is 1 everywhere.
    """
    params = {n: p for n, p in net.module.named_parameters() if n in anchor}
    if not params:
        return torch.zeros((), device=next(net.module.parameters()).device)
    held = [known_rows(p, anchor[n]) for n, p in params.items()]
    weights = [None if importance is None else importance[n] for n in params]
    value: Tensor = _Quadratic.apply([anchor[n] for n in params], weights, *held)  # pyright: ignore[reportAssignmentType]  # torch types it as Any or None
    return value


def weights_of(net: Net) -> dict[str, Tensor]:
    """Copy the trainable weights."""
    return {n: p.detach().clone() for n, p in net.module.named_parameters() if p.requires_grad}


def announce(name: str, net: Net, numbers: int, how_often: str) -> None:
    """Say what a method is about to keep, where that is more than 100 MB.

    Args:
        name: The method's.
        net: The model.
        numbers: Numbers per trainable weight.
        how_often: "per lesson", or "in all".
    """
    num_bytes = numbers * sum(p.numel() * p.element_size() for p in net.module.parameters() if p.requires_grad)
    if num_bytes > WORTH_A_WORD:
        plural = "s" if numbers > 1 else ""
        notice(f"{name} keeps {numbers} number{plural} per trained weight: {num_bytes / 1e6:,.0f} MB {how_often}")
