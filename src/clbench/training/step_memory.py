"""The memory of an optimiser step, by walking one with tensors that have a shape and no content.

A step of the model as it is trained is run forward and backward on such tensors: every allocation and every release is
counted as the processor or the card would make it, and nothing is computed. Models are stacks of like layers, so two
short stacks tell all of them.
"""

from __future__ import annotations

import weakref
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from clbench.models.shape import stack_of
from clbench.models.taught import MOST_LOGITS, headless, summed, words_of
from clbench.training.recompute import recomputed

GRADIENT = 4  # bytes of a number of a gradient: what learns is float32 meanwhile


@dataclass(frozen=True)
class Pass:
    """The largest part of a batch that goes forward and backward at a time.

    Attributes:
        rows: Examples.
        tokens: Tokens of each, padding counted.
        places: Places of each at which the output layer is asked (an encoder's: 1).
        targets: Places with loss, over all rows.
        padded: Whether rows of different lengths stand side by side.
    """

    rows: int
    tokens: int
    places: int
    targets: int
    padded: bool


@dataclass(frozen=True)
class StepMemory:
    """What a step takes, in bytes; `trained` and `parameters` are numbers of weights.

    Attributes:
        weights: All parameters and buffers, as they stand while a lesson is learnt.
        parameters: Weights of the model, with what was added to it.
        trained: Weights that learn: each has a gradient and two moments of four bytes.
        own: Bytes of what learns in the model's own type.
        casts: Copies of 16 bits that matrix products are made with, from a forward pass to its backward pass.
        activations: What the forward pass keeps for the backward pass.
        logits: Predictions and what their loss needs, with what a pass needs only for a moment.
        last: Bytes that stand over those of all gradients while the last of them, the first layer's, are made.
        layer, outside: Of the weights, those of one layer, and those that lie in none.
        layer_grads, outside_grads: Bytes of their gradients.
        largest: Bytes of the largest gradient.
    """

    weights: float = 0.0
    parameters: float = 0.0
    trained: float = 0.0
    own: float = 0.0
    casts: float = 0.0
    activations: float = 0.0
    logits: float = 0.0
    last: float = 0.0
    layer: float = 0.0
    outside: float = 0.0
    layer_grads: float = 0.0
    outside_grads: float = 0.0
    largest: float = 0.0

    @property
    def standing(self) -> float:
        """The bytes of one pass, at its height."""
        return self.casts + self.activations + self.logits


def beyond(first: StepMemory, second: StepMemory, steps: int) -> StepMemory:
    """Return what stands so many like steps after the first of two, each as large as that to the second.

    Steps are layers of a model, or lessons that each add to it.

    Example:
        >>> beyond(StepMemory(weights=5.0), StepMemory(weights=7.0), 9).weights
        23.0
    """
    names = [field.name for field in fields(StepMemory)]
    pairs = {name: (vars(first)[name], vars(second)[name]) for name in names}
    return StepMemory(**{name: a + (b - a) * steps for name, (a, b) in pairs.items()})


def walk(module: nn.Module, taken: Pass, compute: torch.dtype | None, *, recompute: bool, card: bool) -> StepMemory:
    """Return what one pass over a model of tensors without content takes; sizes of weights are left at 0.

    Args:
        module: The model, made in the `FakeTensorMode` that is on.
        taken: How large the pass is.
        compute: The type of matrix products (`Passes`); None leaves it to the weights.
        recompute: Whether activations are made again.
        card: Whether it runs on an accelerator; a processor has no fused attention that drops out.
    """
    live = _Live(module)
    module.train()
    with live, _fused_attention(card), recomputed(module, recompute):
        loss, kept = _loss(module, taken, compute, live)
        casts = live.casts
        loss.backward()
        del loss
    grads = _gradients(module.parameters(), live)
    stack = stack_of(module, least=1)
    height, last = _heights(live.log, grads, set() if stack is None else _gradients(stack[0].parameters(), live))
    for param in module.parameters():
        param.grad = None
    activations = kept - casts
    return StepMemory(casts=casts, activations=activations, logits=height - kept, last=last)


def _loss(module: nn.Module, taken: Pass, compute: torch.dtype | None, live: _Live) -> tuple[Tensor, float]:
    """Return the loss of a pass, and the bytes that the model's own layers keep for it."""
    ids_BT = torch.zeros(taken.rows, taken.tokens, dtype=torch.long)
    asked: dict[str, Any] = {"input_ids": ids_BT}
    if taken.padded:
        asked["attention_mask"] = torch.ones_like(ids_BT)
    model: Any = module
    head: nn.Module | None = model.get_output_embeddings()
    precision: Any = nullcontext() if compute is None else torch.autocast("cpu", dtype=compute)
    if head is None:
        with precision:
            logits_BV = model(**asked).logits
        labels_B = torch.zeros(taken.rows, dtype=torch.long)
        kept = live.now - _bytes(logits_BV)
        return functional.cross_entropy(logits_BV.float().flatten(0, -2), labels_B.expand(logits_BV.shape[0])), kept
    labels_N = torch.zeros(taken.targets, dtype=torch.long)
    asked |= {"use_cache": False, "logits_to_keep": taken.places}
    if in_pieces(taken.targets, head):
        with headless(head) as seen, precision:
            model(**asked)
        kept = live.now - _bytes(seen[0])
        states = seen.pop().flatten(0, 1)[: taken.targets].clone()
        return summed(words_of(module), states, labels_N) / taken.targets, kept
    with precision:
        logits_BKV = model(**asked).logits
    kept = live.now - _bytes(logits_BKV)
    logits_NV = logits_BKV.flatten(0, 1)[: taken.targets].clone()  # as the places with loss are taken out
    del logits_BKV
    logits_NV = logits_NV.float()
    return functional.cross_entropy(logits_NV, labels_N), kept


def _gradients(params: Iterable[nn.Parameter], live: _Live) -> set[int]:
    return {live.number_of(p.grad) for p in params if p.grad is not None}


def shares_of(module: nn.Module) -> dict[str, float]:
    """Return what of a model stands in a layer of its stack and what outside, as fields of `StepMemory`."""
    stack = stack_of(module, least=1)
    inside = [] if stack is None else list(stack[0].parameters())
    in_stack = set() if stack is None else {id(p) for p in stack.parameters()}
    others = [p for p in module.parameters() if id(p) not in in_stack]
    learning = [p for p in module.parameters() if p.requires_grad]
    return {
        "layer": _weights_in(inside),
        "outside": _weights_in(others),
        "layer_grads": float(sum(GRADIENT * p.numel() for p in inside if p.requires_grad)),
        "outside_grads": float(sum(GRADIENT * p.numel() for p in others if p.requires_grad)),
        "largest": float(max((GRADIENT * p.numel() for p in learning), default=0)),
    }


def _weights_in(params: Iterable[Tensor]) -> float:
    return float(sum(p.numel() * p.element_size() for p in params))


def in_pieces(targets: int, head: nn.Module) -> bool:
    """Return whether the logits of so many targets are made piece by piece (`taught.predictions`)."""
    weight: Any = head.weight
    return targets * weight.shape[0] > MOST_LOGITS


def _bytes(value: Tensor) -> int:
    return value.untyped_storage().nbytes()


def _place(storage: Any) -> int:
    """Return what tells an allocation from all others that stand at the same time."""
    return storage._cdata


class _Live(TorchDispatchMode):
    """Notes every allocation and release while it is on.

    Attributes:
        now: Bytes that stand, beside the model's weights.
        log: (number of the allocation, bytes; negative where it is released), in order.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        own = [*module.parameters(), *module.buffers()]
        self._known = {_place(value.untyped_storage()): -1 for value in own}
        self._weights = set(self._known)
        self._standing: dict[int, int] = {}
        self._copies: set[int] = set()
        self._made = 0
        self.now = 0
        self.log: list[tuple[int, int]] = []

    @property
    def casts(self) -> int:
        """Bytes of the 16-bit copies of weights that stand."""
        return sum(self._standing.get(number, 0) for number in self._copies)

    def number_of(self, value: Tensor) -> int:
        """Return the number of the allocation that a tensor lies in; -1 for those that stood before."""
        return self._known.get(_place(value.untyped_storage()), -1)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for value in tree_iter(out):
            if isinstance(value, Tensor):
                self._note(value.untyped_storage())
        if func is torch.ops.aten._to_copy.default and _place(args[0].untyped_storage()) in self._weights:
            self._copies.add(self.number_of(out))
        return out

    def _note(self, storage: Any) -> None:
        place = _place(storage)
        if place in self._known:
            return
        number, size = self._made, storage.nbytes()
        self._made += 1
        self._known[place], self._standing[number] = number, size
        self._count(number, size)
        weakref.finalize(storage, self._release, place, number)

    def _release(self, place: int, number: int) -> None:
        if self._known.get(place) == number:
            del self._known[place]
        self._count(number, -self._standing.pop(number))

    def _count(self, number: int, num_bytes: int) -> None:
        self.now += num_bytes
        self.log.append((number, num_bytes))


def _heights(log: Sequence[tuple[int, int]], grads: set[int], first: set[int]) -> tuple[int, int]:
    """Return the most bytes that stood beside gradients; and with them, over all gradients, at the end.

    Args:
        log: See `_Live`.
        grads: Allocations that are gradients.
        first: Those of the first layer, with which the end begins: it and what is before it are the last to have
            theirs. Empty where nothing of it learns, or the model has no such stack: then the end is the whole pass.
    """
    total = sum(num_bytes for number, num_bytes in log if number in grads and num_bytes > 0)
    start = min((place for place, (number, _) in enumerate(log) if number in first), default=0)
    beside = own = most = 0
    last = -total
    for place, (number, num_bytes) in enumerate(log):
        if number in grads:
            own += num_bytes
        else:
            beside += num_bytes
            most = max(most, beside)
        if place >= start:
            last = max(last, beside + own - total)
    return most, last


@contextmanager
def _fused_attention(card: bool) -> Generator[None]:
    """Let attention keep what fused kernels keep: inputs, outputs and one number for each row and head."""
    original = functional.scaled_dot_product_attention

    def attention(
        query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0, **how: Any
    ) -> Tensor:
        if dropout_p > 0 and not card:
            return original(query, key, value, attn_mask, dropout_p, **how)
        if torch.is_autocast_enabled("cpu"):
            query, key, value = (part.to(torch.get_autocast_dtype("cpu")) for part in (query, key, value))
        bias = None if attn_mask is None else attn_mask.to(query.dtype)
        return _Attention.apply(query, key, value, bias)  # pyright: ignore[reportReturnType]  # torch types it as Any or None

    # A mode of torch would not reach what a backward pass recomputes.
    functional.scaled_dot_product_attention = attention
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = original


class _Attention(torch.autograd.Function):
    """Attention as a shape: what is kept forward, and what is made backward."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
        out = query.new_empty((*query.shape[:-1], value.shape[-1]))
        ctx.save_for_backward(query, key, value, out, query.new_empty(query.shape[:-1], dtype=torch.float32), bias)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, *_ = ctx.saved_tensors
        return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value), None


def without_content() -> FakeTensorMode:
    """Return a mode in which tensors have a shape, a type and a device, and no content."""
    return FakeTensorMode()
