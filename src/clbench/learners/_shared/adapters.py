"""Low-rank adapters inside a net, shared by the methods that train them; the layers are peft's.

One rule says what gets an adapter: every matrix that a layer multiplies with, but the output head. It stands in a
linear layer, in one of GPT-2's kind (`Conv1D`, its weight turned over), or in a block, where the matrices of all
experts of a layer are one parameter of three dimensions; in a block each expert has an adapter of its own. Embeddings,
norms, biases, convolutions, and a router that is a mere parameter stay frozen.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

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
        targets: Names of linear layers and of blocks of experts that get an adapter; "all-linear" is every one but the
            output head.
        lr_factor: Learning rate of an adapter as a multiple of `lr`, > 0; a label head learns at `lr`.
    """

    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32.0, gt=0)
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: str | tuple[str, ...] = "all-linear"
    lr_factor: float = Field(default=1.0, gt=0)
    absent_at_default: ClassVar[frozenset[str]] = frozenset({"lr_factor"})


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

    first = not lora_layers(net)
    net.module.requires_grad_(False)
    found = targets_in(net, settings.targets)
    config = _config(net, settings, found)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Already found a `peft_config`")  # several adapters are what is meant
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to")  # peft sees by itself how a layer lies
        inject_adapter_in_model(config, net.module, name)
    if first:
        tell_trained(net, "low-rank adapters", found)


def _config(net: Net, settings: LoraTraining, found: Targets) -> LoraConfig:
    from peft import LoraConfig

    if found.blocks and settings.lora_dropout:
        raise SpecError(
            f"the experts of {type(net.module).__name__} stand in one block, and an adapter on a block has no dropout",
            where="learner.lora_dropout",
            mend=f"set it to 0, or name the layers that get one: learner.targets={_last_names(found.layers)}",
        )
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # pyright: ignore[reportArgumentType]  # peft says int, and scales by any number
        lora_dropout=settings.lora_dropout,
        target_modules=found.layers,
        target_parameters=found.blocks or None,
    )


def add_all(net: Net, settings: LoraTraining, num: int) -> None:
    """Add the adapters of lessons 1..num, of which the last one acts and learns; their values are to be loaded.

    The layers are found once, and all that stands in one under the first adapter's name is made for the others too.

    Raises:
        SpecError: See `add_lora`.
    """
    if targets_in(net, settings.targets).blocks:  # adapters on a block stand one inside the other
        for number in range(1, num + 1):
            add_lora(net, settings, adapter_of(number))
        return
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


class Targets(NamedTuple):
    """What a method adapts, by full names.

    Attributes:
        layers: Linear layers.
        blocks: Parameters that hold the matrices of all experts of a layer.
    """

    layers: list[str]
    blocks: list[str]


def tell_trained(net: Net, what: str, found: Targets) -> None:
    """Say which matrices a method trains, and which share of the weights learns; a label head comes on top."""
    parts = [f"{len(found.layers)} layers ({', '.join(_last_names(found.layers))})"] if found.layers else []
    if found.blocks:
        parts.append(f"{len(found.blocks)} blocks of experts ({', '.join(_last_names(found.blocks))})")
    from clbench.models.four_bits import count

    params = list(net.module.parameters())
    every = sum(count(p) for p in params)
    share = sum(p.numel() for p in params if p.requires_grad) / every
    told = f"{type(net.module).__name__}: {what} on {' and '.join(parts)}; {share:.1%} of the weights learn"
    left = {name for name in expert_blocks(net) if name not in found.blocks}
    frozen = sum(p.numel() for n, p in net.module.named_parameters() if n.replace(".base_layer", "") in left)
    frozen_share = frozen / every
    _once(told + (f"; {frozen_share:.0%} stand in blocks of experts and stay frozen" if left else ""))


def _last_names(names: Sequence[str]) -> list[str]:
    return sorted({name.rpartition(".")[2] for name in names})


@cache
def _once(text: str) -> None:
    notice(text)


def targets_in(net: Net, targets: str | tuple[str, ...]) -> Targets:
    """Return the layers and blocks that these names mean, and say which layers "all-linear" leaves out.

    Raises:
        SpecError: A name fits nothing that can be adapted, or the model has no such part.
    """
    layers, blocks = linear_names(net), expert_blocks(net)
    if not layers and not blocks:
        raise SpecError(
            f"{type(net.module).__name__} has no linear layer beside its output, so that there is nothing to adapt",
            where="learner",
            mend="take a learner that trains all weights (sft, replay, ewc), or another model",
        )
    if targets == "all-linear":
        return Targets(_called(net, layers), blocks)
    wanted = (targets,) if isinstance(targets, str) else targets
    if not wanted:
        raise SpecError(
            "it names no layer, so that nothing would learn",
            where="learner.targets",
            mend=f'"all-linear" takes every one; or name some: {", ".join(_last_names([*layers, *blocks]))}',
        )
    for target in wanted:
        if not any(_fits(name, (target,)) for name in [*layers, *blocks]):
            raise SpecError(
                f"the model has no linear layer {target!r}",
                where="learner.targets",
                mend=did_you_mean(target, _last_names([*layers, *blocks])),
            )
    return Targets([n for n in layers if _fits(n, wanted)], [n for n in blocks if _fits(n, wanted)])


def _called(net: Net, layers: list[str]) -> list[str]:
    """Return the layers that a model calls, and say which it does not."""
    from clbench.models.four_bits import PASSED_BY

    module: Any = net.module
    config = vars(module).get("config")  # a user's own module may have none
    passed = () if config is None else PASSED_BY.get(config.model_type, ())
    out = [name for name in layers if _fits(name, passed)]
    if out:
        _once(f"{len(out)} layers ({', '.join(_last_names(out))}) stay frozen: their weights are read past the layer")
    return [name for name in layers if name not in out]


def _fits(name: str, targets: Sequence[str]) -> bool:
    return any(name == target or name.endswith(f".{target}") for target in targets)


def linear_names(net: Net) -> list[str]:
    """Name all linear layers but the output head, adapted ones by the name that they had before."""
    from peft.tuners.lora.layer import ParamWrapper
    from peft.tuners.tuners_utils import BaseTunerLayer
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    modules = dict(net.module.named_modules())
    adapted = tuple(f"{name}." for name, module in modules.items() if isinstance(module, BaseTunerLayer))
    kinds = (nn.Linear, Conv1D, BaseTunerLayer)
    return [
        name
        for name, module in modules.items()
        if isinstance(module, kinds)
        and not isinstance(module, ParamWrapper)
        and name != net.head_name
        and not name.startswith(adapted)
    ]


def expert_blocks(net: Net) -> list[str]:
    """Name all parameters that hold several matrices, by the names that they had before adapters came.

    A parameter of three dimensions of which one is 1 is a table of vectors, and a convolution's is a filter.
    """
    from torch import nn

    filters = (nn.Conv1d, nn.ConvTranspose1d)
    return [
        f"{name}.{own}".replace(".base_layer", "")
        for name, module in net.module.named_modules()
        if name and not isinstance(module, filters)
        for own, param in module.named_parameters(recurse=False)
        if param.dim() == 3 and min(param.shape) > 1
    ]


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


def experts_of(layer: LoraLayer) -> int:
    """Return how many matrices an adapter changes: those of all experts of a block, or one."""
    from peft.tuners.lora.layer import ParamWrapper

    return layer.num_experts if isinstance(layer, ParamWrapper) else 1


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
