"""Models by their shape alone: built as their configuration says, without weights and without memory."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from clbench.core.spec import ModelSpec
from clbench.models import source
from clbench.models.adapter import base_alone
from clbench.models.net import seeded
from clbench.models.pretrained import how_to_build, pretrained, tried, trust

ALIKE = 4  # layers from which on a stack is looked at by two short ones


def empty_model(spec: ModelSpec) -> nn.Module:
    """Return the model that a checkpoint's configuration describes, on the `meta` device; no weights are read.

    Raises:
        ModelError: Its configuration describes no model that the library can build.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

    folder = source.locate(spec)
    causal = source.family_of(spec, list(source.configuration(spec).get("architectures") or [])) == "causal"
    auto = AutoModelForCausalLM if causal else AutoModelForSequenceClassification
    with base_alone(folder) as base:
        config = pretrained(AutoConfig, spec, base)
    return tried(lambda: without_weights(auto, config, spec), spec, folder)


def without_weights(auto: Any, config: Any, spec: ModelSpec) -> Any:
    """Return what `auto` builds of a configuration, on the `meta` device."""
    with seeded(0, torch.device("cpu")), torch.device("meta"):
        return auto.from_config(config, **trust(spec), **how_to_build(spec))


def stack_of(module: nn.Module, least: int = ALIKE) -> nn.ModuleList | None:
    """Return the stack of layers of one kind and one size, of which a model may have any number; None without one."""
    stacks = [part for part in module.modules() if isinstance(part, nn.ModuleList) and len(part) >= least]
    stack = max(stacks, key=len, default=None)
    if stack is None:
        return None
    kinds = {(type(layer), tuple((n, p.shape) for n, p in layer.named_parameters())) for layer in stack}
    return stack if len(kinds) == 1 else None


def shortened(module: nn.Module, layers: int) -> nn.Module:
    """Return a copy of a model on `meta` with only the first layers of its stack."""
    stack = stack_of(module)
    assert stack is not None, "asked for by the number of its layers"
    whole = list(stack)
    del stack[layers:]
    try:
        return copy.deepcopy(module)
    finally:
        stack.extend(whole[layers:])


def on_processor(module: nn.Module) -> nn.Module:
    """Move a model from `meta` to the processor, in the mode for tensors without content that is on; tied stays tied.

    Such tensors tell which kernels would run and what these allocate; those on `meta` do not.
    """
    placed: dict[int, torch.Tensor] = {}
    for part in module.modules():
        for name, value in [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]:
            if id(value) not in placed:
                empty = torch.empty(value.shape, dtype=value.dtype)
                is_weight = isinstance(value, nn.Parameter)
                placed[id(value)] = nn.Parameter(empty, requires_grad=value.requires_grad) if is_weight else empty
            setattr(part, name, placed[id(value)])
    return module
