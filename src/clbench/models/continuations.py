"""How likely continuations are after their prompts; the continuations of one prompt share one reading of it.

If positions are rotary and every layer keeps all it has read, continuations stand in one row after their prompt, each
blind to the others. Else each has a row of its own on a copy of the cache. A model without such a cache reads every row
from its start. Parts have a bounded size: memory and time are linear in the number of continuations. `prefix` scores
questions that share a beginning.

Shapes: B prompts, R rows (one per prompt and continuation), L tokens of a continuation, K continuations of a prompt,
S = K L, V vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from clbench.models.batching import MOST_ROWS, MOST_TOKENS, by_length

if TYPE_CHECKING:
    from clbench.models.causal import Causal

Scores = list[tuple[float, bool]]
MOST_NODES = 512  # tokens of one row after its prompt: the mask grows with their square
MOST_LOGITS = 1 << 27  # scores of one pass over the vocabulary, as float32 half a GiB


class Rows(NamedTuple):
    """Continuations as rows: the prompt of each (R,), their tokens (R, L), and which tokens are not padding (R, L)."""

    owner: Tensor
    ids: Tensor
    real: Tensor


def in_batches(
    net: Causal, prompts: Sequence[list[int]], continuations: Sequence[list[list[int]]]
) -> Iterator[list[int]]:
    """Yield batches of prompts of similar length, as indices.

    If continuations have rows of their own, the longest prompt and the longest continuation of a batch stand side by
    side. Together they then have at most as many tokens as the model has positions.
    """
    for rows in by_length([len(p) for p in prompts], [len(c) for c in continuations], net.exam_batch):
        yield from fitting(rows, prompts, continuations, net.spec.longest) if net.way == "spread" else (rows,)


def fitting(
    rows: Sequence[int], prompts: Sequence[list[int]], continuations: Sequence[list[list[int]]], most: int
) -> Iterator[list[int]]:
    """Yield the parts of a batch, none wider than `most` tokens; a continuation's last token is never read.

    Example:
        >>> list(fitting([0, 1], [[1], [1, 2, 3]], [[[4, 5, 6]], [[4]]], 4))
        [[0], [1]]
    """
    part: list[int] = []
    before = after = 0
    for row in rows:
        prompt, longest = len(prompts[row]), max(map(len, continuations[row]), default=0)
        if part and max(before, prompt) + max(after, longest) - 1 > most:
            yield part
            part, before, after = [], 0, 0
        part.append(row)
        before, after = max(before, prompt), max(after, longest)
    if part:
        yield part


def score_batch(net: Causal, prompts: list[list[int]], continuations: Sequence[list[list[int]]]) -> list[Scores]:
    """Return for each continuation (nats summed over its tokens, whether greedy decoding writes it)."""
    if not net.caches:
        return _uncached(net, prompts, continuations)
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
    """Return positions counted from the first real token, so that left padding changes nothing."""
    return (mask_BT.cumsum(1) - 1).clamp(min=0)


def _parts(net: Causal, counts: Sequence[int], steps: int, vocabulary: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of parts of the continuations; each prompt has at most `end - start` of them in one part."""
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
    """Return the logits of the continuations of a prompt as one row after it, each blind to the others."""
    ids_RL, device = rows.ids[:, :-1], net.device
    steps = ids_RL.shape[1]
    counts_B = torch.bincount(rows.owner, minlength=len(mask_BT))
    most = int(counts_B.max())
    slot_R = torch.arange(len(ids_RL), device=device) - (counts_B.cumsum(0) - counts_B)[rows.owner]
    ids_BKL = ids_RL.new_full((len(mask_BT), most, steps), net.tokenizer.pad_token_id)
    ids_BKL[rows.owner, slot_R] = ids_RL
    branch_S = torch.arange(most, device=device).repeat_interleave(steps)
    offset_S = torch.arange(steps, device=device).repeat(most)
    logits_BSV = net.module(
        input_ids=ids_BKL.flatten(1),
        attention_mask=tree_mask(net, mask_BT.bool(), torch.zeros_like(branch_S), branch_S),
        position_ids=mask_BT.sum(1)[:, None] + offset_S,
        past_key_values=cache,
        use_cache=True,
    ).logits
    cache.crop(-most * steps)
    return logits_BSV.unflatten(1, (most, steps))[rows.owner, slot_R]


def tree_mask(net: Causal, seen_BP: Tensor, question_S: Tensor, branch_S: Tensor) -> Tensor:
    """Return the attention mask of a row that goes on after P tokens that are read already, (B, 1, S, P + S).

    Each of the S tokens sees the tokens before the row where `seen_BP` is true. In the row it sees what stands before
    it of its own question (branch -1) and of its own branch.
    """
    same_SS = question_S[:, None] == question_S
    same_SS = (same_SS & ((branch_S == -1) | (branch_S[:, None] == branch_S))).tril()
    num, length = len(seen_BP), len(branch_S)
    seen_BSX = torch.cat([seen_BP[:, None].expand(-1, length, -1), same_SS.expand(num, -1, -1)], dim=2)
    dtype: Any = net.module.dtype
    bias_BSX = torch.zeros(seen_BSX.shape, dtype=dtype, device=seen_BSX.device)
    return bias_BSX.masked_fill(~seen_BSX, torch.finfo(dtype).min)[:, None]


def _spread(net: Causal, cache: Any, mask_BT: Tensor, rows: Rows) -> Tensor:
    """Return the logits of every continuation as a row on a copy of its prompt's cache: slower, for any cache."""
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


def _uncached(net: Causal, prompts: list[list[int]], continuations: Sequence[list[list[int]]]) -> list[Scores]:
    """Return the scores with every prompt read anew for each continuation, in batches of one length, not padded."""
    rows = [(b, prompts[b], c) for b, group in enumerate(continuations) for c in group]
    found: dict[int, tuple[float, bool]] = {}
    for members in alike([len(p) + len(c) for _, p, c in rows], net.exam_batch):
        # The last token is not read: nothing is asked about what follows it, and it could exceed a full window.
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
    """Yield batches of indices of exactly one length each.

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
