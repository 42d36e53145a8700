"""How likely continuations are after their prompts; the continuations of one prompt share one reading of it.

If positions are rotary and every layer keeps all it has read, continuations stand in one row after their prompt, each
blind to the others: the keys and values of a prompt stand once. Else each has a row of its own on a copy of the cache.
A model without such a cache reads every row from its start. Parts have a bounded size, in rows and in bytes
(`MOST_CACHE`, `MOST_LOGITS`): memory and time are linear in the number of continuations. `prefix` scores questions that
share a beginning.

Shapes: B prompts of P tokens, R continuations of L tokens, S nodes of a tree, K nodes whose scores are needed, V
vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from clbench.models.backoff import within_memory
from clbench.models.batching import MOST_CACHE, MOST_ROWS, MOST_TOKENS, by_length

if TYPE_CHECKING:
    from clbench.models.causal import Causal

Scores = list[tuple[float, bool]]
MOST_NODES = 512  # tokens of one row after its prompt: the mask grows with their square
MOST_LOGITS = 1 << 27  # scores of one pass, as float32 half a GiB; twice as many of one continuation of each prompt


class Rows(NamedTuple):
    """Continuations as rows: the prompt of each (R,), their tokens (R, L), and which tokens are not padding (R, L)."""

    owner: Tensor
    ids: Tensor
    real: Tensor


class Tree(NamedTuple):
    """Tokens that are read after a cache in one row per prompt; branches do not see each other.

    Attributes:
        ids: Token of each node, (B, S).
        offset: How far each node stands behind what the cache holds, (S,).
        question, branch: The question and the continuation of each node, (S,); branch -1 is the question itself.
        before: The node that predicts each token of a continuation, (R, L); -1 is the end of what the cache holds.
    """

    ids: Tensor
    offset: Tensor
    question: Tensor
    branch: Tensor
    before: Tensor


class Seen(NamedTuple):
    """What was read after a cache.

    Attributes:
        logp: Log-probabilities of the next token after the nodes that are needed, (N, K, V) in N rows.
        row: Which of the N rows each continuation stands in, (R,).
        before: Which of the K nodes predicts each of its tokens, (R, L); -1 is the end of what the cache holds.
    """

    logp: Tensor
    row: Tensor
    before: Tensor


def in_batches(
    net: Causal, prompts: Sequence[list[int]], continuations: Sequence[list[list[int]]]
) -> Iterator[list[int]]:
    """Yield batches of prompts of similar length, as indices.

    If continuations have rows of their own, the longest prompt and the longest continuation of a batch stand side by
    side. Together they then have at most as many tokens as the model has positions.
    """
    steps = max((len(c) - 1 for group in continuations for c in group), default=0)
    most = max(map(len, continuations), default=0) if net.packs else 1
    after = max(min(most * steps, MOST_NODES), steps)  # tokens that stand in one row after a prompt
    cache = [net.token_bytes * (len(p) + after) for p in prompts]
    batch = min(net.exam_batch, 2 * MOST_LOGITS // max((net.rows or 0) * steps, 1))
    for rows in by_length([len(p) for p in prompts], [len(c) for c in continuations], max(batch, 1), cache):
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
    for start, end in _parts(net, counts, longest - 1, (ids_BT.shape[1], first_BV.shape[-1])):
        rows = as_rows(net, [group[start:end] for group in continuations])
        seen = None
        if rows.ids.shape[1] > 1 and net.packs:
            seen = follow(net, out.past_key_values, mask_BT, _packed(net, len(prompts), rows), rows)
        elif rows.ids.shape[1] > 1:
            seen = _spread(net, out.past_key_values, mask_BT, rows)
        for owner, value in zip(rows.owner.tolist(), sums(first_BV, rows, seen), strict=True):
            found[owner].append(value)
    return found


def positions(mask_BT: Tensor) -> Tensor:
    """Return positions counted from the first real token, so that left padding changes nothing."""
    return (mask_BT.cumsum(1) - 1).clamp(min=0)


def _parts(net: Causal, counts: Sequence[int], steps: int, sizes: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of parts of the continuations; each prompt has at most `end - start` of them in one part.

    Args:
        net: The model.
        counts: Continuations of each prompt.
        steps: Tokens of the longest continuation that are read.
        sizes: Tokens of the longest prompt, and scores of a position.
    """
    most, (prompt, vocabulary) = max(counts), sizes
    room = max(MOST_LOGITS // (vocabulary * len(counts) * max(steps, 1)), 1)
    if net.packs:
        fits = MOST_NODES // max(steps, 1)
    else:  # each has a copy of its prompt's keys and values
        fits = min(MOST_ROWS, MOST_CACHE // max(net.token_bytes * (prompt + steps), 1)) // len(counts)
    size = most if steps == 0 else max(min(room, fits), 1)
    for start in range(0, most, size):
        yield start, min(start + size, most)


def as_rows(net: Causal, continuations: Sequence[list[list[int]]]) -> Rows:
    """Return the continuations of prompts as rows, prompt by prompt."""
    flat = [c for group in continuations for c in group]
    longest = max(map(len, flat))
    pad = net.tokenizer.pad_token_id
    return Rows(
        torch.tensor([b for b, c in enumerate(continuations) for _ in c], device=net.device),
        torch.tensor([c + [pad] * (longest - len(c)) for c in flat], device=net.device),
        torch.tensor([[1] * len(c) + [0] * (longest - len(c)) for c in flat], device=net.device),
    )


def sums(first_BV: Tensor, rows: Rows, seen: Seen | None) -> Scores:
    """Return for each continuation (nats summed over its tokens, whether greedy decoding writes it).

    Args:
        first_BV: Log-probabilities of the token that follows what the cache holds.
        rows: The continuations.
        seen: What was read after the cache; None if all have one token that follows the cache.
    """
    owner_R1 = rows.owner[:, None]
    nats_RL, best_RL = first_BV[owner_R1, rows.ids], first_BV.argmax(-1)[owner_R1].expand_as(rows.ids)
    if seen is not None:
        row_R1, node_RL, at_end_RL = seen.row[:, None], seen.before.clamp(min=0), seen.before < 0
        nats_RL = nats_RL.where(at_end_RL, seen.logp[row_R1, node_RL, rows.ids])
        best_RL = best_RL.where(at_end_RL, seen.logp.argmax(-1)[row_R1, node_RL])
    real_RL = rows.real.bool()
    sums_R = nats_RL.where(real_RL, 0.0).sum(1)
    greedy_R = ((best_RL == rows.ids) | ~real_RL).all(1)
    return list(zip(sums_R.tolist(), greedy_R.tolist(), strict=True))


def follow(net: Causal, cache: Any, mask_BP: Tensor, tree: Tree, rows: Rows) -> Seen:
    """Read a tree after a cache, which afterwards holds what it held before."""
    needed_K = tree.before[tree.before >= 0].unique()
    logits_BKV = net.module(
        input_ids=tree.ids,
        attention_mask=tree_mask(net, mask_BP.bool(), tree.question, tree.branch),
        position_ids=mask_BP.sum(1)[:, None] + tree.offset,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=needed_K,
    ).logits
    cache.crop(-tree.ids.shape[1])
    before_RL = torch.searchsorted(needed_K, tree.before).where(tree.before >= 0, -1)
    return Seen(logits_BKV.float().log_softmax(-1), rows.owner, before_RL)


def _packed(net: Causal, num: int, rows: Rows) -> Tree:
    """Return the continuations of each of `num` prompts as one row after it, each blind to the others."""
    ids_RL, device = rows.ids[:, :-1], net.device
    steps = ids_RL.shape[1]
    counts_B = torch.bincount(rows.owner, minlength=num)
    most = int(counts_B.max())
    slot_R = torch.arange(len(ids_RL), device=device) - (counts_B.cumsum(0) - counts_B)[rows.owner]
    ids_BKL = ids_RL.new_full((num, most, steps), net.tokenizer.pad_token_id)
    ids_BKL[rows.owner, slot_R] = ids_RL
    step_L, end_R1 = torch.arange(steps, device=device), ids_RL.new_full((len(ids_RL), 1), -1)
    return Tree(
        ids=ids_BKL.flatten(1),
        offset=step_L.repeat(most),
        question=step_L.new_zeros(most * steps),
        branch=torch.arange(most, device=device).repeat_interleave(steps),
        before=torch.cat([end_R1, slot_R[:, None] * steps + step_L], dim=1),
    )


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


def _spread(net: Causal, cache: Any, mask_BT: Tensor, rows: Rows) -> Seen:
    """Read every continuation as a row on a copy of its prompt's cache: slower, for any cache."""
    ids_RL, real_RL = rows.ids[:, :-1], rows.real[:, 1:]  # a token that predicts none needs no position
    mine = copy.copy(cache)
    mine.layers = [copy.copy(layer) for layer in cache.layers]  # they take up new tensors, and leave the prompts' alone
    mine.batch_select_indices(rows.owner)
    logits_RLV = net.module(
        input_ids=ids_RL,
        attention_mask=torch.cat([mask_BT[rows.owner], real_RL], dim=1),
        position_ids=mask_BT.sum(1)[rows.owner, None] - 1 + real_RL.cumsum(1),
        past_key_values=mine,
        use_cache=True,
    ).logits
    row_R, step_L = (torch.arange(num, device=net.device) for num in rows.ids.shape)
    return Seen(logits_RLV.float().log_softmax(-1), row_R, (step_L - 1).expand_as(rows.ids))


def _uncached(net: Causal, prompts: list[list[int]], continuations: Sequence[list[list[int]]]) -> list[Scores]:
    """Return the scores with every prompt read anew for each continuation, in batches of one length, not padded."""
    rows = [(b, prompts[b], c) for b, group in enumerate(continuations) for c in group]
    found: dict[int, tuple[float, bool]] = {}

    def read(members: list[int]) -> Tensor:
        # The last token is not read: nothing is asked about what follows it, and it could exceed a full window.
        ids_RT = torch.tensor([(rows[r][1] + rows[r][2])[:-1] for r in members], device=net.device)
        return net.module(input_ids=ids_RT, use_cache=False).logits.float().log_softmax(-1)

    batches = alike([len(p) + len(c) for _, p, c in rows], net.exam_batch, net.rows or 0)
    for members, logp_RTV in within_memory(net.spec, batches, read):
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


def alike(lengths: Sequence[int], batch: int, scores: int = 0) -> Iterator[list[int]]:
    """Yield batches of indices of exactly one length each; with `scores` of each token, at most `MOST_LOGITS` of them.

    Example:
        >>> list(alike([3, 5, 3, 3], 2))
        [[0, 2], [3], [1]]
    """
    members: dict[int, list[int]] = {}
    for i, length in enumerate(lengths):
        members.setdefault(length, []).append(i)
    for length in sorted(members):
        size = min(batch, MOST_TOKENS // max(length, 1), MOST_LOGITS // max(length * scores, 1))
        for start in range(0, len(members[length]), max(size, 1)):
            yield members[length][start : start + max(size, 1)]
