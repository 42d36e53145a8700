"""Packed rows for the length of a lesson, where the model reads them right."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from clbench.core.events import notice
from clbench.models.causal import Causal
from clbench.models.net import Net
from clbench.models.packing import Packing
from clbench.models.probe import FAULTS, SHARE, SHARE_16, few_ids
from clbench.training.passes import Passes

# Rounding errors of the largest score by which another neighbour may change an example's.
LEAKED = {torch.float32: 16, torch.float64: 16}
LEAKED_16 = 2


@contextmanager
def packed(net: Net, packing: Packing | None, passes: Passes) -> Generator[None]:
    """Let the examples of a lesson share rows for the length of a block; say so where the model cannot read such rows.

    Args:
        net: The model, with all that the method has hooked into it.
        packing: Counts what it saves; None keeps examples apart.
        passes: Counts the tokens of the lesson, without those of the look at the model.
    """
    if packing is None:
        yield
        return
    before = passes.tokens, passes.forward_tokens
    able = isinstance(net, Causal) and reads_packed(net)
    if not able or not isinstance(net, Causal):
        passes.start_from(*before)
        notice(f"{type(net.module).__name__} cannot read examples that share a row here: they are not packed")
        yield
        return
    _ = net.splits  # measured now, so that it is not counted as a part of the lesson
    passes.start_from(*before)
    net.packing = packing
    try:
        yield
    finally:
        net.packing = None


def reads_packed(net: Causal) -> bool:
    """Return whether the model reads examples that share a row as it reads them apart, by a look at three of them."""
    if net.scale_border is not None:  # the longest row of a pass sets the scale of all positions
        return False
    ids = few_ids(net)
    first, second, third = ids[:3], ids[3:], ids[1:] + ids[:1]
    other = [(i + 1) % (net.rows or i + 2) for i in first]
    try:
        with torch.inference_mode():
            apart = [_logits(net, [[each]]) for each in (first, second, third)]
            packed, beside = (_logits(net, [[each, second], [third]]) for each in (first, other))
    except FAULTS:
        return False
    found = (packed[:1, :3], packed[:1, 3:], packed[1:])
    if any(a.shape != b.shape for a, b in zip(apart, found, strict=True)):
        return False
    # Of its own type: a lesson may compute in fewer bits than the model has.
    allowed = SHARE.get(packed.dtype, SHARE_16) * float(apart[2].float().std())
    leak = LEAKED.get(packed.dtype, LEAKED_16) * torch.finfo(packed.dtype).eps * _most(packed)
    same = all(_most(a - b) <= allowed for a, b in zip(apart, found, strict=True))
    return same and _most(packed[:1, 3:] - beside[:1, 3:]) <= leak


def _most(values: Tensor) -> float:
    return float(values.float().abs().max())


def _logits(net: Causal, rows: Sequence[Sequence[list[int]]]) -> Tensor:
    """Return the logits of rows of seven slots or fewer, (R, L, V)."""
    ids = [[i for example in row for i in example] for row in rows]
    places = [[place for example in row for place in range(len(example))] for row in rows]
    given = {"input_ids": ids, "position_ids": places}
    return net.module(**{k: torch.tensor(v, device=net.device) for k, v in given.items()}, use_cache=False).logits
