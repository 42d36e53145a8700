"""Which of the weights that learn the gradient of a lesson reaches; what it never reaches stays as it was, unseen.

A part that a method adds itself must have a gradient after the first batch, or it has no place in the model: an error.
Of the model's own weights, and of adapters on its layers, some may have none: a part of the architecture that this
input does not use, or experts that none of the tokens chose on which the loss depends. They are counted over the whole
lesson, and told. What the optimiser keeps says it: it has no state of a parameter that never had a gradient, and the
second moment of an expert in a block that never had one is zero. So it costs nothing in a step, and a lesson that was
stopped and resumed counts the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from clbench.core.errors import LessonError
from clbench.core.events import notice
from clbench.models.four_bits import in_four_bits
from clbench.training.shards import whole_tensor

ADAPTERS = (".lora_", ".osf_")  # parameters that peft puts into a layer
MOST_NAMED = 4


def check_first_batch(module: nn.Module, params: Mapping[str, Tensor], base: Collection[str], number: int) -> None:
    """See that every part that the method has added had a gradient, and that on four bits adapters alone learn.

    Args:
        module: The model with the parts.
        params: What learns, by name.
        base: Names of the model's own parameters.
        number: The lesson.

    Raises:
        LessonError: One had none, or learns beside adapters; names them.
    """
    beside = [name for name in params if ".lora_" not in name] if in_four_bits(module) else []
    if beside:
        raise LessonError(
            f"its base stands in four bits, and beside low-rank adapters the method trains {_listed(beside)}",
            where=f"lesson {number}, first batch",
            mend="set their requires_grad to False in prepare, or leave `adapter: qlora` out",
        )
    parts = [name for name in params if name not in base and not any(mark in name for mark in ADAPTERS)]
    lost = [name for name in parts if params[name].grad is None]
    if lost and not _drops_layers(module):
        raise LessonError(
            f"no gradient reaches {_listed(lost)}, which the method has added: nothing depends on it",
            where=f"lesson {number}, first batch",
            mend=f"if it is not to learn, set its requires_grad to False in prepare; else {type(module).__name__} does "
            "not call what the method extends: take one that trains the model's own weights (sft, replay, ewc)",
        )


def count_unreached(
    module: nn.Module, params: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, number: int
) -> dict[str, int]:
    """Return how many of the weights that learn no gradient of the lesson has reached, and say so.

    Returns:
        "trained_parameters": all that learn. Among them "unreached_parameters": those without a gradient; and
        "idle_expert_parameters": those of experts, none of whose tokens the loss depends on.
    """
    total = sum(param.numel() for param in params.values())
    lost = [name for name, param in params.items() if not optimizer.state.get(param)]
    chosen_by_none = [name for name in lost if any(part.startswith("expert") for part in name.split("."))]
    others = [name for name in lost if name not in chosen_by_none]
    idle = sum(params[name].numel() for name in chosen_by_none)
    idle += sum(_idle_in_block(module, params, name, optimizer) for name in params if name not in lost)
    if idle:
        notice(
            f"lesson {number}: no gradient reaches the experts that hold {idle / total:.1%} of the weights that learn, "
            "since no token on which the loss depends chose them"
        )
    unreached = sum(params[name].numel() for name in others)
    if others:
        notice(
            f"lesson {number}: no gradient reaches {_listed(others)}, {unreached / total:.1%} of the weights that "
            "learn; they stay as they were"
        )
    return {"trained_parameters": total, "unreached_parameters": unreached, "idle_expert_parameters": idle}


def _idle_in_block(module: nn.Module, params: Mapping[str, Tensor], name: str, optimizer: torch.optim.Optimizer) -> int:
    """Return the weights of the experts without a gradient, of a block of experts or of the adapter on one; else 0.

    An adapter is told by its second factor: the first has no gradient as long as the second is zero.
    """
    param = params[name]
    owner, _, _ = name.partition(".lora_B.") if ".lora_B." in name else name.rpartition(".")
    layer: Any = module.get_submodule(owner)
    if ".lora_B." in name:
        experts, first = vars(layer).get("num_experts", 1), params.get(name.replace(".lora_B.", ".lora_A."))
        weights = param.numel() + (0 if first is None else first.numel())
        by_expert = (0, 1)
    else:
        is_block = param.dim() == 3 and min(param.shape) > 1 and not isinstance(layer, nn.Conv1d | nn.ConvTranspose1d)
        experts, weights, by_expert = (param.shape[0] if is_block else 1), param.numel(), (1, 2)
    if experts == 1:
        return 0
    moment: Tensor = optimizer.state[param]["exp_avg_sq"]
    moments = moment.unflatten(1, (-1, experts)) if ".lora_B." in name else moment
    return int(whole_tensor((moments.amax(by_expert) == 0).sum())) * (weights // experts)


def _drops_layers(module: nn.Module) -> bool:
    """Return whether the model leaves out layers at random in training, so that one batch says nothing."""
    config = vars(module).get("config")
    settings: Mapping[str, Any] = {} if config is None else config.to_dict()
    return any(isinstance(value, float) and value > 0 for name, value in settings.items() if "layerdrop" in name)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
