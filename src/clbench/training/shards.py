"""Weights, gradients and moments of a lesson shared out over the ranks, by torch's FSDP.

A rank holds the whole model between lessons and in exams, where methods look at whole weights: Fishers, merges, old
weights that are kept. While a lesson is learnt it holds 1 / n of it, and layers are put together where they compute.
A method whose loss looks at weights finds them whole: then layers stay together until the backward pass.
Source: Zhao et al. 2023, "PyTorch FSDP", VLDB 16(12), arXiv:2304.11277; `fully_shard` of torch.
"""

from __future__ import annotations

import copy
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from clbench.models.causal import Causal
from clbench.models.net import Net
from clbench.training.team import Team


@contextmanager
def sharded(net: Net, team: Team, *, whole_in_loss: bool) -> Generator[None]:
    """Let a model of shards stand in the net for a block; what it has learnt then stands in the net's own.

    Args:
        net: Whose module is shared out; its own gives up its memory meanwhile. After an error it stays so.
        team: The ranks.
        whole_in_loss: Whether weights must be whole after the forward pass too.
    """
    own = net.module
    if isinstance(net, Causal):
        _ = net.splits  # measured on whole weights
    net.module = _shared_out(own, team, whole_in_loss)
    try:
        yield
        _put_together(own, net.module)
    finally:
        net.module = own


def whole_tensor(value: Tensor) -> Tensor:
    """Return a tensor that is shared out over the ranks as one; every rank must ask for it."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def like(value: Tensor, target: Tensor) -> Tensor:
    """Return a rank's shard of a whole tensor, where `target` is shared out and of its shape; else the tensor."""
    if not isinstance(target, DTensor) or value.shape != target.shape:
        return value
    mesh = target.device_mesh
    return distribute_tensor(value.to(mesh.device_type), mesh, target.placements, src_data_rank=None)


def global_norm(params: Iterable[Tensor], most: float) -> Tensor:
    """Clip gradients to a norm of `most` over all parameters and ranks; return what it was, a number on the device."""
    return whole_tensor(torch.nn.utils.clip_grad_norm_(params, most))


def _shared_out(own: nn.Module, team: Team, whole_in_loss: bool) -> nn.Module:
    """Return a copy of a model whose parameters are this rank's shards; those of the model itself are given up."""
    params = dict(own.named_parameters())
    hollow = {id(p): nn.Parameter(torch.empty_like(p, device="meta"), p.requires_grad) for p in params.values()}
    module = copy.deepcopy(own, hollow)
    vars(module).pop("forward", None)  # patched by `Passes`: it would run the model itself
    mesh = init_device_mesh(team.device.type, (team.place.size,))
    for layer in _layers(module):
        fully_shard(layer, mesh=mesh, reshard_after_forward=not whole_in_loss)
    fully_shard(module, mesh=mesh, reshard_after_forward=False)
    shards: dict[int, Tensor] = {}
    for name, empty in module.named_parameters():
        shards[id(empty)] = nn.Parameter(like(params[name].detach(), empty), empty.requires_grad)
        params[name].data = params[name].new_empty(0)
    named = {name: shards[id(empty)] for name, empty in module.named_parameters(remove_duplicate=False)}  # tied: twice
    module.load_state_dict(named, strict=False, assign=True)  # not strict: buffers stay
    return module


def _layers(module: nn.Module) -> list[nn.Module]:
    """Return the layers that are put together one at a time: those that transformers says must not be split."""
    names = set(vars(type(module)).get("_no_split_modules") or _stated(module))
    return [layer for layer in module.modules() if type(layer).__name__ in names]


def _stated(module: Any) -> Iterable[str]:
    return module._no_split_modules or ()


def _put_together(own: nn.Module, module: nn.Module) -> None:
    shards = dict(module.named_parameters())
    for name, param in own.named_parameters():
        param.data = whole_tensor(shards[name].detach())
