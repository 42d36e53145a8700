"""Low-rank adapters inside a net, shared by the methods that train them; the layers are peft's."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from clbench.core.errors import SpecError, did_you_mean
from clbench.core.events import notice
from clbench.training.settings import Training

if TYPE_CHECKING:
    from peft import LoraConfig
    from peft.tuners.lora import LoraLayer
    from torch import Tensor, nn

    from clbench.models.net import Net


class LoraTraining(Training):
    """Settings of training and of a low-rank adapter.

    Attributes:
        rank: Rank of an adapter, >= 1.
        alpha: Scale; the update is multiplied by alpha / rank.
        lora_dropout: Dropout before the adapter, in [0, 1).
        targets: Names of linear layers that get an adapter; "all-linear" is every one but the output head.
        lr_factor: Learning rate of an adapter as a multiple of `lr`, > 0; a label head learns at `lr`.
    """

    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32.0, gt=0)
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: str | tuple[str, ...] = "all-linear"
    lr_factor: float = Field(default=1.0, gt=0)
    absent_at_default: ClassVar[frozenset[str]] = frozenset({"lr_factor"})


# Families that run their scan on the weights of a layer, so that an adapter on it would be passed by (peft's list).
SCANNING = frozenset({"mamba", "mamba2", "falcon_mamba", "falcon_h1", "nemotron_h"})


def lora_rate(settings: LoraTraining, name: str) -> float:
    """Return the learning rate of a parameter as a multiple of `lr`.

    Example:
        >>> lora_rate(LoraTraining(lr_factor=3.0), "q.lora_A.default.weight"), lora_rate(LoraTraining(), "head.weight")
        (3.0, 1.0)
    """
    return settings.lr_factor if ".lora_" in name else 1.0


def adapter_of(number: int) -> str:
    """Name the adapter of a lesson; the first is called as `lora` calls its only one, so that grids share lesson 1."""
    return "default" if number == 1 else f"lesson{number}"


def add_lora(net: Net, settings: LoraTraining, name: str = "default") -> None:
    """Freeze all that is there and add an adapter, which alone acts and learns.

    Raises:
        SpecError: `settings.targets` names no layer of the model.
    """
    from peft import inject_adapter_in_model

    net.module.requires_grad_(False)
    config = _config(net, settings)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Already found a `peft_config`")  # several adapters are what is meant
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to")  # peft sees by itself how a layer lies
        inject_adapter_in_model(config, net.module, name)


def _config(net: Net, settings: LoraTraining) -> LoraConfig:
    from peft import LoraConfig

    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # pyright: ignore[reportArgumentType]  # peft says int, and scales by any number
        lora_dropout=settings.lora_dropout,
        target_modules=adaptable(net, settings.targets),
    )


def add_all(net: Net, settings: LoraTraining, num: int) -> None:
    """Add the adapters of lessons 1..num, of which the last one acts and learns; their values are to be loaded.

    The layers are found once, and all that stands in one under the first adapter's name is made for the others too.

    Raises:
        SpecError: See `add_lora`.
    """
    first = adapter_of(1)
    add_lora(net, settings, first)
    module: Any = net.module
    names = [adapter_of(number) for number in range(2, num + 1)]
    module.peft_config |= {name: copy(module.peft_config[first]) for name in names}
    for layer in lora_layers(net):
        _add_alike(layer, first, names)
        layer.set_adapter([adapter_of(num)])


def _add_alike(layer: Any, first: str, names: Sequence[str]) -> None:
    """Make other adapters in a layer like the first one: peft keeps each in dictionaries, under its name."""
    from torch import nn

    for held in [*vars(layer).values(), *layer.children()]:
        if isinstance(held, dict | nn.ModuleDict) and first in held:
            make = _maker(held[first])
            for name in names:
                held[name] = make()


def _maker(one: Any) -> Callable[[], Any]:
    """Return what makes a linear layer of the same form; what else an adapter has is one for all."""
    from torch import nn

    if not isinstance(one, nn.Linear):
        return lambda: one
    bias, kind = len(list(one.parameters())) > 1, {"device": one.weight.device, "dtype": one.weight.dtype}
    return lambda: nn.Linear(one.in_features, one.out_features, bias=bias, **kind)


def take_out(net: Net, name: str) -> dict[str, Tensor]:
    """Remove an adapter that does not act from the net, and return its weights by the names that they had."""
    module: Any = net.module
    weights = {n: p.detach() for n, p in module.named_parameters() if f".{name}." in n and ".lora_" in n}
    for layer in lora_layers(net):
        layer.delete_adapter(name)
    del module.peft_config[name]
    return weights


@contextmanager
def instead(net: Net, name: str, weights: Mapping[str, Tensor]) -> Generator[None]:
    """Let the weights of another adapter, named as `take_out` names them, stand in place of this one's for a while."""
    params = {n.partition(f".{name}.")[0]: p for n, p in net.module.named_parameters() if f".{name}." in n}
    others = {re.sub(r"\.[^.]+\.[^.]+$", "", n): w for n, w in weights.items()}
    own = {place: param.data for place, param in params.items()}
    try:
        for place, param in params.items():
            param.data = others[place].to(param.dtype)  # while it is awake, those of a model of 16 bits are float32
        yield
    finally:
        for place, param in params.items():
            param.data = own[place]


def adaptable(net: Net, targets: str | tuple[str, ...]) -> list[str]:
    """Return the names of the layers that get a low-rank adapter, and say which parts of the model get none.

    Raises:
        SpecError: See `targets_in`.
    """
    names = targets_in(net, targets)
    module: Any = net.module
    config = vars(module).get("config")  # a user's own module may have none
    if targets == "all-linear" and config is not None and config.model_type in SCANNING:
        inside = [name for name in names if name.endswith(".out_proj")]
        names = [name for name in names if name not in inside]
        if inside:
            _once(f"{len(inside)} layers named out_proj get no adapter: their weights are read past the layer")
    params = list(module.parameters())
    share = sum(p.numel() for p in params if p.dim() > 2) / sum(p.numel() for p in params)
    if share >= 0.01:
        _once(f"{share:.0%} of the model's weights (experts in one block, convolutions) get no adapter and stay frozen")
    return names


@cache
def _once(text: str) -> None:
    notice(text)


def targets_in(net: Net, targets: str | tuple[str, ...]) -> list[str]:
    """Return the names of the layers that get an adapter.

    Raises:
        SpecError: A name fits none of the model's linear layers, or it has none.
    """
    names = linear_names(net)
    if targets == "all-linear":
        return names
    wanted = [targets] if isinstance(targets, str) else list(targets)
    for target in wanted:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            raise SpecError(
                f"the model has no linear layer {target!r}",
                where="learner.targets",
                mend=did_you_mean(target, {name.rpartition(".")[2] for name in names}),
            )
    return wanted


def linear_names(net: Net) -> list[str]:
    """Name all linear layers but the output head, adapted ones by the name that they had before.

    GPT-2 and its kin keep theirs as `Conv1D`, which is a linear layer with its weight turned over.

    Raises:
        SpecError: The model has no such layer.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    modules = dict(net.module.named_modules())
    adapted = tuple(f"{name}." for name, module in modules.items() if isinstance(module, BaseTunerLayer))
    kinds = (nn.Linear, Conv1D, BaseTunerLayer)
    found = [
        name
        for name, module in modules.items()
        if isinstance(module, kinds) and name != net.head_name and not name.startswith(adapted)
    ]
    if not found:
        raise SpecError(
            f"{type(net.module).__name__} has no linear layer beside its output, so that there is nothing to adapt",
            where="learner",
            mend="take a learner that trains all weights (sft, replay, ewc), or another model",
        )
    return found


def head_of(net: Net) -> nn.Module:
    """Return the output layer."""
    return net.module.get_submodule(net.head_name)


def one_for_all(net: Net, settings: LoraTraining, number: int) -> None:
    """Freeze the base and add one adapter for all lessons, in the first one; a label head always learns."""
    if number == 1:
        add_lora(net, settings)
    free_label_head(net)


def free_label_head(net: Net) -> None:
    """Let a label head learn: its rows belong to labels that the base has never seen."""
    if net.labels:
        head_of(net).requires_grad_(True)


def lora_layers(net: Net) -> list[LoraLayer]:
    """Return the layers that hold adapters."""
    from peft.tuners.lora import LoraLayer

    return [module for module in net.module.modules() if isinstance(module, LoraLayer)]


def act(net: Net, names: Sequence[str]) -> None:
    """Let these adapters act, summed, and no other; none is the base model. What learns stays as it was."""
    learning = {id(p) for p in _learning(net)}
    for layer in lora_layers(net):
        layer.set_adapter(list(names))
    for param in net.module.parameters():  # peft takes whatever acts for what learns
        param.requires_grad_(id(param) in learning)


@contextmanager
def acting(net: Net, names: Sequence[str]) -> Generator[None]:
    """Let these adapters act for a while."""
    before = lora_layers(net)[0].active_adapters
    act(net, names)
    try:
        yield
    finally:
        act(net, before)


def _learning(net: Net) -> list[Tensor]:
    return [p for p in net.module.parameters() if p.requires_grad]
