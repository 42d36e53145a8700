"""Bases in four bits: linear layers in nf4 with scales that are rounded in turn; all else keeps its type.

    w = scale_i * code[q],   scale_i = step_j * table[s_i] + offset

with four bits q for a weight, eight bits s_i for each block of 64 weights, and float32 step_j for each 256 blocks:
0.5 + 1/64 + 4/16384 = 0.516 bytes a weight. Products are made with weights that are put together for a moment, in the
model's `dtype`. Layers and arithmetic are those of bitsandbytes.
Source: Dettmers et al. 2023, "QLoRA: Efficient Finetuning of Quantized LLMs", NeurIPS, arXiv:2305.14314, section 3.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from clbench.core.errors import ModelError
from clbench.core.events import notice
from clbench.models.supported import NF4

BLOCK, SCALES = int(NF4["block"]), int(NF4["scales"])

# Layers whose weights some families read past the layer, at least in the kernels of an accelerator: what a method adds
# to the layer would not act, and four bits in the place of the weights would be read as weights. The same on every
# machine, so that a result does not depend on it.
PASSED_BY = {
    **dict.fromkeys(("mamba", "falcon_mamba"), ("x_proj", "dt_proj", "out_proj")),
    **dict.fromkeys(("mamba2", "falcon_h1", "nemotron_h", "zamba2", "bamba", "granitemoehybrid"), ("out_proj",)),
    "jamba": ("dt_proj",),
}


def quantise(module: nn.Module, head: str, dtype: torch.dtype, device: torch.device) -> None:
    """Put the linear layers of a model into four bits, in place and layer by layer on the device; say what stays.

    Args:
        module: A Hugging Face model with its weights.
        head: The name of its output layer, which stays as it is.
        dtype: That of the other weights and of the products.
        device: Where the layers are to be.

    Raises:
        ModelError: It has no such layer.
    """
    names = layers_for(module, head)
    every = sum(p.numel() for p in module.parameters())
    for name in names:
        _replace(module, name, _four_bits(_linear(module, name), dtype, device))
    vars(module)["is_loaded_in_4bit"] = True  # peft looks for it, and takes its own layer for such bases
    share = sum(_size(_linear(module, name)) for name in names) / every
    told = f"{type(module).__name__}: {len(names)} linear layers stand in four bits (nf4), {share:.1%} of the weights"
    notice(f"{told}; the others, and all products, are {str(dtype).removeprefix('torch.')}")


def layers_for(module: nn.Module, head: str) -> list[str]:
    """Return the names of the layers that can be put into four bits: plain linear ones, but the output head.

    What a family reads past the layer stays as it is, and so does what the library keeps in float32, and a layer whose
    rows are not whole blocks: with such rows, bitsandbytes 0.50 takes wrong scales on a processor.

    Raises:
        ModelError: There is none.
    """
    model: Any = module
    passed = PASSED_BY.get(model.config.model_type, ())
    kept = [*(model._keep_in_fp32_modules or ()), *(model._keep_in_fp32_modules_strict or ())]
    found = [
        name
        for name, part in module.named_modules()
        if type(part) is nn.Linear
        and name != head
        and part.in_features % BLOCK == 0
        and name.rpartition(".")[2] not in passed
        and not any(word in name.split(".") for word in kept)
    ]
    if not found:
        raise ModelError(
            f"{type(module).__name__} has no linear layer that could stand in four bits",
            where="model.adapter",
            mend="leave `adapter: qlora` out: `learner: {name: lora}` learns on the base as it is",
        )
    return found


def left_whole(module: nn.Module) -> list[str]:
    """Return the names of the linear layers of a base that do not stand in four bits."""
    parts = [name for name, part in module.named_modules() if type(part) is nn.Linear and ".lora_" not in name]
    return [name.removesuffix(".base_layer") for name in parts]


def in_four_bits(module: nn.Module) -> bool:
    """Return whether layers of a model stand in four bits."""
    return any(param.dtype is torch.uint8 for param in module.parameters())


def count(weight: Tensor) -> int:
    """Return the number of weights in a parameter: of those in four bits two stand in a byte.

    Example:
        >>> count(torch.zeros(3, 4)), count(torch.zeros(6, 1, dtype=torch.uint8))
        (12, 12)
    """
    return weight.numel() * (2 if weight.dtype is torch.uint8 else 1)


def _linear(module: nn.Module, name: str) -> nn.Linear:
    layer = module.get_submodule(name)
    assert isinstance(layer, nn.Linear), "found by layers_for"
    return layer


def _size(layer: nn.Linear) -> int:
    return layer.in_features * layer.out_features


def _replace(module: nn.Module, name: str, new: nn.Module) -> None:
    above, _, own = name.rpartition(".")
    setattr(module.get_submodule(above), own, new)


def _four_bits(layer: nn.Linear, dtype: torch.dtype, device: torch.device) -> nn.Module:
    layers: Any = import_module("bitsandbytes.nn")  # by name: it is an extra, and says little of its types
    how: dict[str, Any] = {"compress_statistics": True, "quant_type": NF4["type"]}
    new = layers.Linear4bit(layer.in_features, layer.out_features, False, compute_dtype=dtype, device="meta", **how)
    new.weight = layers.Params4bit(layer.weight.data, requires_grad=False, blocksize=BLOCK, module=new, **how)
    new.bias = layer.bias
    return plainly(new.to(device))


def plainly(module: Any) -> Any:
    """Let layers in four bits compute alike on every processor, and give the module back.

    On processors with 16-bit products bitsandbytes lays the weights out anew at the first question. Products are then
    coarser, and the layout is meant for answers alone, where lessons follow.
    """
    for part in module.modules():
        if "support_avx512bf16_for_cpu" in vars(part):
            part.support_avx512bf16_for_cpu = False
    return module


# --- the same by shape -----------------------------------------------------------------------------------------


def shape_in_four_bits(module: nn.Module, head: str) -> None:
    """Put layers without memory or content, but of the right size, in the places of those that `quantise` makes."""
    for name in layers_for(module, head):
        _replace(module, name, _Shape(_linear(module, name)))


class _Shape(nn.Linear):
    """A layer in four bits as a plan sees it: its bytes, and the weights that stand for the time of a product."""

    def __init__(self, layer: nn.Linear) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.dtype, num = layer.weight.dtype, _size(layer)
        blocks = -(-num // BLOCK)
        self.weight = nn.Parameter(torch.empty(-(-num // 2), 1, dtype=torch.uint8, device="meta"), requires_grad=False)
        self.bias = layer.bias
        self.register_buffer("scales", torch.empty(blocks, dtype=torch.uint8, device="meta"))
        self.register_buffer("steps", torch.empty(-(-blocks // SCALES), device="meta"))

    def forward(self, input: Tensor) -> Tensor:
        """Return what a product with weights that are put together for it would be."""
        found: Any = _Product.apply(input, self.out_features, self.dtype)
        bias = cast("Tensor | None", self.bias)
        return found if bias is None else found + bias


class _Product(torch.autograd.Function):
    """A product as a shape: nothing is kept for the backward pass, which puts the weights together again."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, out_features: int, dtype: torch.dtype) -> Tensor:
        ctx.size, ctx.dtype = (out_features, input.shape[-1]), dtype
        return functional.linear(input.to(dtype), input.new_empty(ctx.size, dtype=dtype)).to(input.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        return grad @ grad.new_empty(ctx.size, dtype=ctx.dtype).to(grad.dtype), None, None
