"""Predictions of the taught tokens of a batch and their cross-entropy; logits of a large vocabulary never stand whole.

Shapes: B examples, T tokens, K positions with loss in some row, N positions with loss, H hidden, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from clbench.core.errors import ModelError
from clbench.core.events import notice
from clbench.models.batching import like_lengths, same_lengths
from clbench.models.net import Batch, Forward
from clbench.models.pretrained import DTYPES
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
    in_pieces = module is net.module and len(labels_N) * (net.rows or 0) > MOST_LOGITS and net.splits
    # Where the longest row sets the scale of all positions, rows of other lengths are read apart. Half of the border
    # leaves room for soft prompts, which lengthen rows.
    rescaled = net.scale_border is not None and 2 * batch.mask_BT.shape[1] > net.scale_border
    if rescaled and batch.together:
        what = f"in {net.spec.name} the longest text of a batch sets the scale of all: it needs several passes"
        raise ModelError(what, where="--shard", mend="leave --shard out: then ranks need not make equally many")
    parts = same_lengths(batch.mask_BT) if rescaled else like_lengths(batch.mask_BT, together=batch.together)
    found = [_of_rows(net, module, batch, taught_BT, part, states=in_pieces) for part in parts]
    joined = found[0]
    if len(parts) > 1:
        owner_N = taught_BT.nonzero()[:, 0]
        order_N = torch.cat([torch.isin(owner_N, rows).nonzero()[:, 0] for rows, _ in parts])
        joined = torch.cat(found)[order_N.argsort()]
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

    What follows the layer is known by the names that transformers gives it in a configuration.
    """
    model: Any = module
    head, known = model.get_output_embeddings(), model.config.to_dict()
    cap, times, over = (known.get(name) for name in ("final_logit_softcapping", "logit_scale", "logits_scaling"))

    def words(states: Tensor) -> Tensor:
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
        right = model(input_ids=ids, use_cache=False).logits.float()
        with headless(model.get_output_embeddings()) as seen:
            model(input_ids=ids, use_cache=False)
        found = words_of(model)(seen[0])
    allowed = SHARE.get(DTYPES[net.spec.dtype], SHARE_16) * float(right.std())
    if found.shape == right.shape and float((found - right).abs().max()) <= allowed:
        return True
    notice(f"{type(model).__name__}: what its output layer does is not known, so a lesson keeps all logits of a batch")
    return False


@contextmanager
def headless(head: nn.Module) -> Generator[list[Tensor]]:
    """Let an output layer note what it reads instead of making logits of it, for the length of a block."""
    seen: list[Tensor] = []
    patched = vars(head).get("forward")

    def forward(states: Tensor) -> Tensor:
        seen.append(states)
        return states[..., :1].clone()  # a view would look to FSDP as if it could be written to

    head.forward = forward
    try:
        yield seen
    finally:
        if patched is None:
            del head.forward
        else:
            head.forward = patched


def _of_rows(
    net: Causal, module: nn.Module, batch: Batch, taught_BT: Tensor, part: tuple[Tensor, int], *, states: bool
) -> Tensor:
    """Return the logits of a part's rows at the positions with loss, or what they are made of, in their order."""
    rows_B, longest = part
    taught_BT = taught_BT[rows_B]
    positions_K = taught_BT.any(0).nonzero()[:, 0]
    asked: dict[str, Any] = {
        "input_ids": batch.ids_BT[rows_B, :longest],
        "attention_mask": batch.mask_BT[rows_B, :longest],
        "use_cache": False,
        "logits_to_keep": positions_K,
    }
    if states:
        model: Any = net.module
        with headless(model.get_output_embeddings()) as seen:
            module(**asked)
        found = seen[0]
    else:
        found = module(**asked).logits
    return found[taught_BT[:, positions_K]]
