"""How likely continuations are after their prompts; the continuations of one prompt share its reading.

Where positions are rotary and every layer keeps all it has read, continuations stand in one row after their prompt,
each blind to the others; else each has a row of its own on a copy of the cache; a model that keeps no such cache reads
every row whole. Continuations go through in parts of bounded size: memory and time are linear in their number.

Shapes: B prompts, R rows (one per prompt and continuation), L tokens of a continuation, K continuations of a prompt,
S = K L, V vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from clbench.models.net import MOST_ROWS, MOST_TOKENS, by_length

if TYPE_CHECKING:
    from clbench.models.causal import Causal

Scores = list[tuple[float, bool]]
MOST_NODES = 512  # places of one row after its prompt: the mask grows with their square
MOST_LOGITS = 1 << 27  # scores of one pass over the vocabulary, as float32 half a GiB


class Rows(NamedTuple):
    """Continuations as rows: whose they are (R,), their tokens (R, L) and where these are real (R, L)."""

    owner: Tensor
    ids: Tensor
    real: Tensor


def in_batches(
    net: Causal, prompts: Sequence[list[int]], continuations: Sequence[list[list[int]]]
) -> Iterator[list[int]]:
    """Cut prompts into batches of like length.

    Where continuations have rows of their own, the widest prompt and the widest continuation of a batch, which stand
    side by side, also have no more places than the model: some have tables or masks of just so many.
    """
    for rows in by_length([len(p) for p in prompts], [len(c) for c in continuations], net.exam_batch):
        yield from fitting(rows, prompts, continuations, net.spec.longest) if net.way == "spread" else (rows,)


def fitting(
    rows: Sequence[int], prompts: Sequence[list[int]], continuations: Sequence[list[list[int]]], most: int
) -> Iterator[list[int]]:
    """Cut a batch so that no part is wider than `most`; a continuation's last token is never read.

    Example:
        >>> list(fitting([0, 1], [[1], [1, 2, 3]], [[[4, 5, 6]], [[4]]], 4))
        [[0], [1]]
    """
    taken: list[int] = []
    before = after = 0
    for row in rows:
        prompt, longest = len(prompts[row]), max(map(len, continuations[row]), default=0)
        if taken and max(before, prompt) + max(after, longest) - 1 > most:
            yield taken
            taken, before, after = [], 0, 0
        taken.append(row)
        before, after = max(before, prompt), max(after, longest)
    if taken:
        yield taken


def score_batch(net: Causal, prompts: list[list[int]], continuations: Sequence[list[list[int]]]) -> list[Scores]:
    """Return for each continuation nats summed over its tokens, and whether greedy decoding writes it."""
    if not net.caches:
        return _whole(net, prompts, continuations)
    ids_BT, mask_BT = net.left_pad(prompts)
    out = net.module(
        input_ids=ids_BT, attention_mask=mask_BT, position_ids=positions(mask_BT), use_cache=True, logits_to_keep=1
    )
    first_BV = out.logits[:, -1].float().log_softmax(-1)
    counts = [len(c) for c in continuations]
    longest = max((len(c) for group in continuations for c in group), default=1)
    found: list[Scores] = [[] for _ in prompts]
    for start, end in _parts(net, counts, longest - 1, first_BV.shape[-1]):
        chosen = [group[start:end] for group in continuations]
        rows = _rows(net, chosen)
        for i, values in enumerate(_scored(net, out.past_key_values, mask_BT, first_BV, rows, chosen)):
            found[i] += values
    return found


def positions(mask_BT: Tensor) -> Tensor:
    """Count positions from the first real token, so that left padding moves nothing."""
    return (mask_BT.cumsum(1) - 1).clamp(min=0)


def _parts(net: Causal, counts: Sequence[int], steps: int, vocabulary: int) -> Iterator[tuple[int, int]]:
    """Cut the continuations of all prompts into parts; each prompt has at most `end - start` of them in one."""
    most = max(counts)
    room = max(MOST_LOGITS // (vocabulary * len(counts) * max(steps, 1)), 1)
    fits = MOST_NODES // max(steps, 1) if net.packs else MOST_ROWS // len(counts)
    size = most if steps == 0 else max(min(room, fits), 1)
    for start in range(0, most, size):
        yield start, min(start + size, most)


def _rows(net: Causal, continuations: Sequence[list[list[int]]]) -> Rows:
    flat = [c for group in continuations for c in group]
    longest = max(map(len, flat))
    pad = net.tokenizer.pad_token_id
    return Rows(
        torch.tensor([b for b, c in enumerate(continuations) for _ in c], device=net.device),
        torch.tensor([c + [pad] * (longest - len(c)) for c in flat], device=net.device),
        torch.tensor([[1] * len(c) + [0] * (longest - len(c)) for c in flat], device=net.device),
    )


def _scored(
    net: Causal,
    cache: Any,
    mask_BT: Tensor,
    first_BV: Tensor,
    rows: Rows,
    continuations: Sequence[list[list[int]]],
) -> list[Scores]:
    nats_RL, best_RL = first_BV[rows.owner, rows.ids[:, 0]][:, None], first_BV.argmax(-1)[rows.owner][:, None]
    if rows.ids.shape[1] > 1:
        follow = _packed if net.packs else _spread
        logp_RLV = follow(net, cache, mask_BT, rows).float().log_softmax(-1)
        nats_RL = torch.cat([nats_RL, logp_RLV.gather(-1, rows.ids[:, 1:, None])[..., 0]], dim=1)
        best_RL = torch.cat([best_RL, logp_RLV.argmax(-1)], dim=1)
    sums_R = (nats_RL * rows.real).sum(1)
    greedy_R = ((best_RL == rows.ids) | (rows.real == 0)).all(1)
    values = iter(zip(sums_R.tolist(), greedy_R.tolist(), strict=True))
    return [[next(values) for _ in group] for group in continuations]


def _packed(net: Causal, cache: Any, mask_BT: Tensor, rows: Rows) -> Tensor:
    """Run the continuations of a prompt as one row after it, each blind to the others: the cache stays as it is."""
    ids_RL, device = rows.ids[:, :-1], net.device
    steps = ids_RL.shape[1]
    counts_B = torch.bincount(rows.owner, minlength=len(mask_BT))
    most = int(counts_B.max())
    slot_R = torch.arange(len(ids_RL), device=device) - (counts_B.cumsum(0) - counts_B)[rows.owner]
    ids_BKL = ids_RL.new_full((len(mask_BT), most, steps), net.tokenizer.pad_token_id)
    ids_BKL[rows.owner, slot_R] = ids_RL
    own_SS = torch.eye(most, dtype=torch.bool, device=device).repeat_interleave(steps, 0)
    own_SS = own_SS.repeat_interleave(steps, 1).tril()
    seen_BST = torch.cat(
        [mask_BT.bool()[:, None, :].expand(-1, most * steps, -1), own_SS.expand(len(mask_BT), -1, -1)], dim=2
    )
    dtype: Any = net.module.dtype
    bias = torch.zeros(seen_BST.shape, dtype=dtype, device=device)
    places_L = torch.arange(steps, device=device).repeat(most)
    logits_BSV = net.module(
        input_ids=ids_BKL.flatten(1),
        attention_mask=bias.masked_fill(~seen_BST, torch.finfo(dtype).min)[:, None],
        position_ids=mask_BT.sum(1)[:, None] + places_L,
        past_key_values=cache,
        use_cache=True,
    ).logits
    cache.crop(-most * steps)
    return logits_BSV.unflatten(1, (most, steps))[rows.owner, slot_R]


def _spread(net: Causal, cache: Any, mask_BT: Tensor, rows: Rows) -> Tensor:
    """Run every continuation as its own row on a copy of its prompt's cache: slower, and right for any cache."""
    ids_RL, real_RL = rows.ids[:, :-1], rows.real[:, 1:]  # a token that predicts none needs no position
    mine = copy.deepcopy(cache)
    mine.batch_select_indices(rows.owner)
    return net.module(
        input_ids=ids_RL,
        attention_mask=torch.cat([mask_BT[rows.owner], real_RL], dim=1),
        position_ids=mask_BT.sum(1)[rows.owner, None] - 1 + real_RL.cumsum(1),
        past_key_values=mine,
        use_cache=True,
    ).logits


def _whole(net: Causal, prompts: list[list[int]], continuations: Sequence[list[list[int]]]) -> list[Scores]:
    """Read every prompt with each of its continuations, rows of one length together: nothing is padded."""
    rows = [(b, prompts[b], c) for b, group in enumerate(continuations) for c in group]
    found: dict[int, tuple[float, bool]] = {}
    for members in alike([len(p) + len(c) for _, p, c in rows], net.exam_batch):
        # What follows the last token is not asked for: read, it would stand one place beyond a full window.
        ids_RT = torch.tensor([(rows[r][1] + rows[r][2])[:-1] for r in members], device=net.device)
        logp_RTV = net.module(input_ids=ids_RT, use_cache=False).logits.float().log_softmax(-1)
        for r, logp_TV in zip(members, logp_RTV, strict=True):
            _, prompt, own = rows[r]
            logp_LV = logp_TV[len(prompt) - 1 : len(prompt) + len(own) - 1]
            ids_L = torch.tensor(own, device=net.device)
            nats = float(logp_LV.gather(-1, ids_L[:, None]).sum())
            found[r] = (nats, bool((logp_LV.argmax(-1) == ids_L).all()))
    scores: list[Scores] = [[] for _ in prompts]
    for r, (b, _, _) in enumerate(rows):
        scores[b].append(found[r])
    return scores


def alike(lengths: Sequence[int], batch: int) -> Iterator[list[int]]:
    """Cut indices into batches of exactly one length each.

    Example:
        >>> list(alike([3, 5, 3, 3], 2))
        [[0, 2], [3], [1]]
    """
    members: dict[int, list[int]] = {}
    for i, length in enumerate(lengths):
        members.setdefault(length, []).append(i)
    for length in sorted(members):
        size = max(min(batch, MOST_TOKENS // max(length, 1)), 1)
        for start in range(0, len(members[length]), size):
            yield members[length][start : start + size]
