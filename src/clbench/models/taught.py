"""Predictions of the taught tokens of a batch and their cross-entropy; logits of a large vocabulary never stand whole.

Shapes: B examples, T tokens, K positions with loss in some row, N positions with loss, H hidden, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from clbench.core.errors import ModelError
from clbench.core.events import notice
from clbench.models.batching import like_lengths, same_lengths
from clbench.models.net import Batch, Forward
from clbench.models.packing import PADDING, inputs_of
from clbench.models.probe import SHARE, SHARE_16, few_ids

if TYPE_CHECKING:
    from clbench.models.causal import Causal

IGNORED = -100
MOST_LOGITS = 1 << 24  # N x V up to which all logits are kept, 64 MiB in float32; beyond they are made piece by piece


def predictions(net: Causal, module: nn.Module, batch: Batch) -> Forward:
    """Return the predictions of the target tokens; no logits are computed where there is no loss.

    Where the logits would be more than `MOST_LOGITS`, the loss is summed over pieces, whose logits are made again in
    the backward pass; `Forward.logits_NV` makes them all if a method asks for them.
    """
    taught_BT = batch.labels[:, 1:] != IGNORED
    labels_N = batch.labels[:, 1:][taught_BT]
    own = module is net.module
    in_pieces = own and len(labels_N) * (net.rows or 0) > MOST_LOGITS and net.splits
    shared = None if net.packing is None else net.packing.rows(batch.mask_BT)
    if shared is not None:
        states = own and net.splits  # of packed rows nearly every position is taught in some row
        joined = _packed(net, module, batch, (taught_BT, shared), states=states)
        joined = words_of(module)(joined) if states and not in_pieces else joined
    else:
        joined = _apart(net, module, batch, taught_BT, states=in_pieces)
    if not in_pieces:
        logits_NV = joined.float()
        return Forward(functional.cross_entropy(logits_NV, labels_N), logits_NV, labels_N)
    words = words_of(module)
    return Forward(summed(words, joined, labels_N) / len(labels_N), lambda: words(joined), labels_N)


def summed(words: Callable[[Tensor], Tensor], states_NH: Tensor, labels_N: Tensor) -> Tensor:
    """Return the sum of the cross-entropies in nats, of pieces whose logits do not stand at the same time.

    Args:
        words: States (n, H) -> logits (n, V).
        states_NH: What the output layer reads.
        labels_N: The taught ids.
    """

    def nats(states: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(words(states), labels, reduction="sum")

    with torch.no_grad():
        size = max(MOST_LOGITS // words(states_NH[:1]).shape[1], 1)
    parts = zip(states_NH.split(size), labels_N.split(size), strict=True)
    return torch.stack([checkpoint(nats, *part, use_reentrant=False) for part in parts]).sum()


def words_of(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return how a model makes logits of the states that its output layer reads, as float32.

    What follows the layer is known by the names that transformers gives it in a configuration. It computes in the
    type of the states, which `headless` gives the one in which the layer would have computed.
    """
    model: Any = module
    head, known = model.get_output_embeddings(), model.config.to_dict()
    cap, times, over = (known.get(name) for name in ("final_logit_softcapping", "logit_scale", "logits_scaling"))

    def words(states: Tensor) -> Tensor:
        with torch.autocast(states.device.type, torch.bfloat16) if states.dtype is torch.bfloat16 else nullcontext():
            logits = head(states)
        if times is not None:
            logits = logits * times
        if over is not None:
            logits = logits / over
        if cap is not None:
            logits = torch.tanh(logits / cap) * cap
        return logits.float()

    return words


def splits_as(net: Causal) -> bool:
    """Return whether the output layer alone, and what `words_of` knows, give the model's own logits; say so if not."""
    ids = torch.tensor([few_ids(net)], device=net.device)
    model: Any = net.module
    with torch.inference_mode():
        right = model(input_ids=ids, use_cache=False).logits
        with headless(model.get_output_embeddings()) as seen:
            model(input_ids=ids, use_cache=False)
        found = words_of(model)(seen[0])
    allowed = SHARE.get(right.dtype, SHARE_16) * float(right.float().std())  # a lesson may compute in fewer bits
    if found.shape == right.shape and float((found - right).abs().max()) <= allowed:
        return True
    notice(f"{type(model).__name__}: what its output layer does is not known, so a lesson keeps all logits of a batch")
    return False


@contextmanager
def headless(head: nn.Module) -> Generator[list[Tensor]]:
    """Let an output layer note what it reads, in the type in which it would, instead of making logits of it."""
    seen: list[Tensor] = []
    patched = vars(head).get("forward")

    def forward(states: Tensor) -> Tensor:
        device = states.device.type
        seen.append(states.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else states)
        return states[..., :1].clone()  # a view would look to FSDP as if it could be written to

    head.forward = forward
    try:
        yield seen
    finally:
        if patched is None:
            del head.forward
        else:
            head.forward = patched


def _apart(net: Causal, module: nn.Module, batch: Batch, taught_BT: Tensor, *, states: bool) -> Tensor:
    """Return the logits at the positions with loss, or what they are made of, from a row for each example."""
    # Where the longest row sets the scale of all positions, rows of other lengths are read apart. Half of the border
    # leaves room for soft prompts, which lengthen rows.
    rescaled = net.scale_border is not None and 2 * batch.mask_BT.shape[1] > net.scale_border
    if rescaled and batch.together:
        what = f"in {net.spec.name} the longest text of a batch sets the scale of all: it needs several passes"
        raise ModelError(what, where="--shard", mend="leave --shard out: then ranks need not make equally many")
    parts = same_lengths(batch.mask_BT) if rescaled else like_lengths(batch.mask_BT, together=batch.together)
    found: list[Tensor] = []
    for rows_B, longest in parts:
        given = {"input_ids": batch.ids_BT[rows_B, :longest], "attention_mask": batch.mask_BT[rows_B, :longest]}
        found.append(_read(net, module, given, taught_BT[rows_B], states=states))
    if len(parts) == 1:
        return found[0]
    owner_N = taught_BT.nonzero()[:, 0]
    order_N = torch.cat([torch.isin(owner_N, rows).nonzero()[:, 0] for rows, _ in parts])
    return torch.cat(found)[order_N.argsort()]


def _packed(net: Causal, module: nn.Module, batch: Batch, rows: tuple[Tensor, list[Tensor]], *, states: bool) -> Tensor:
    """Return what `_apart` does, from rows that examples share: of each part, which slots of the batch stand in it."""
    taught_BT, shared = rows
    taught_X = functional.pad(taught_BT, (0, 1)).flatten()  # of each slot of the batch
    found: list[Tensor] = []
    slots: list[Tensor] = []
    for slots_RL in shared:
        taught_RL = taught_X[slots_RL.clamp(min=0)] & (slots_RL != PADDING)
        found.append(_read(net, module, inputs_of(batch.ids_BT, slots_RL), taught_RL, states=states))
        slots.append(slots_RL[taught_RL])
    return torch.cat(found)[torch.cat(slots).argsort()]


def _read(net: Causal, module: nn.Module, given: dict[str, Tensor], taught_BT: Tensor, *, states: bool) -> Tensor:
    """Return the logits of some rows at the positions with loss, or what they are made of, in their order."""
    positions_K = taught_BT.any(0).nonzero()[:, 0]
    asked: dict[str, Any] = {**given, "use_cache": False, "logits_to_keep": positions_K}
    if states:
        model: Any = net.module
        with headless(model.get_output_embeddings()) as seen:
            module(**asked)
        found = seen[0]
    else:
        found = module(**asked).logits
    return found[taught_BT[:, positions_K]]
