"""Questions that share a beginning: their continuations are scored after one reading of it.

The rest of each question and all its continuations stand in one tree after the beginning, read in one forward pass: the
mask of `continuations` lets every token see the beginning, its own question and its own continuation alone.

Shapes: P tokens of the beginning, S nodes of a tree, R continuations of L tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from clbench.models.continuations import MOST_LOGITS, Rows, Scores, Tree, as_rows, follow, sums

if TYPE_CHECKING:
    from clbench.models.causal import Causal

MOST_NODES = 1024  # of one row, and as many as make MOST_LOGITS scores: the mask grows with their square
LEAST_SHARED = 16  # tokens that a beginning must have to be worth reading apart


def score_after(
    net: Causal, beginning: list[int], tails: Sequence[list[int]], continuations: Sequence[list[list[int]]]
) -> list[Scores]:
    """Return the scores of the continuations of questions that share a beginning.

    Args:
        net: The model.
        beginning: Tokens that all questions share, P >= 1.
        tails: The rest of each question, at least one token.
        continuations: Of each question, none empty.

    Returns:
        For each continuation nats summed over its tokens, and whether greedy decoding would write it.
    """
    ids_1P = torch.tensor([beginning], device=net.device)
    out = net.module(input_ids=ids_1P, use_cache=True, logits_to_keep=1)
    first_1V = out.logits[:, -1].float().log_softmax(-1)
    most = min(MOST_NODES, MOST_LOGITS // first_1V.shape[-1])
    owners, parts = _parts(tails, continuations, most)
    found: list[Scores] = [[] for _ in tails]
    for start, end in _chunks([tails[i] for i in owners], parts, most):
        rows = as_rows(net, [[cont for part in parts[start:end] for cont in part]])
        tree = _tree([tails[i] for i in owners[start:end]], parts[start:end], rows)
        values = iter(sums(first_1V, rows, follow(net, out.past_key_values, torch.ones_like(ids_1P), tree, rows)))
        for i, part in zip(owners[start:end], parts[start:end], strict=True):
            found[i] += [next(values) for _ in part]
    return found


def _parts(
    tails: Sequence[list[int]], continuations: Sequence[list[list[int]]], most: int
) -> tuple[list[int], list[list[list[int]]]]:
    """Return parts of the continuations of each question, of at most `most` nodes: (question of each part, parts)."""
    owners: list[int] = []
    parts: list[list[list[int]]] = []
    for i, (tail, conts) in enumerate(zip(tails, continuations, strict=True)):
        nodes = most + 1
        for cont in conts:
            nodes += len(cont) - 1
            if nodes > most:
                owners.append(i)
                parts.append([])
                nodes = len(tail) + len(cont) - 1
            parts[-1].append(cont)
    return owners, parts


def _chunks(
    tails: Sequence[list[int]], continuations: Sequence[list[list[int]]], most: int
) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of the questions of each row, at most `most` nodes in a row."""
    start = nodes = 0
    for i, (tail, conts) in enumerate(zip(tails, continuations, strict=True)):
        own = len(tail) + sum(len(c) - 1 for c in conts)
        if i > start and nodes + own > most:
            yield start, i
            start, nodes = i, 0
        nodes += own
    if start < len(tails):
        yield start, len(tails)


def _tree(tails: Sequence[list[int]], continuations: Sequence[list[list[int]]], rows: Rows) -> Tree:
    """Return questions and their continuations as one row; of a continuation all tokens but the last are read."""
    nodes: list[tuple[int, int, int, int]] = []  # token, offset, question, branch
    before_RL = torch.full_like(rows.ids, -1)
    row = 0
    for q, (tail, conts) in enumerate(zip(tails, continuations, strict=True)):
        nodes += [(token, place, q, -1) for place, token in enumerate(tail)]
        last = len(nodes) - 1
        for branch, cont in enumerate(conts):
            places = [last, *range(len(nodes), len(nodes) + len(cont) - 1)]
            before_RL[row, : len(cont)] = torch.tensor(places, device=rows.ids.device)
            nodes += [(token, place, q, branch) for place, token in enumerate(cont[:-1], start=len(tail))]
            row += 1
    ids_S, offset_S, question_S, branch_S = torch.tensor(nodes, device=rows.ids.device).T
    return Tree(ids_S[None], offset_S, question_S, branch_S, before_RL)


def shared_beginnings(contexts: Sequence[list[int]]) -> Iterator[tuple[int, list[int]]]:
    """Yield groups of contexts by their beginning: (tokens in common, indices).

    Sorted, contexts with a long common beginning stand together. A beginning is read apart (else 0) if that saves
    at least half of what its group would read.

    Example:
        >>> few_shot = list(range(40))
        >>> list(shared_beginnings([few_shot + [90, 91], [7, 8], few_shot + [92, 93], few_shot + [94]]))
        [(40, [0, 2, 3]), (0, [1])]
    """
    group: list[int] = []
    common = 0
    for i in sorted(range(len(contexts)), key=lambda i: contexts[i]):
        kept = min(common, _alike(contexts[group[-1]], contexts[i]), len(contexts[i]) - 1) if group else 0
        if kept >= LEAST_SHARED and 2 * kept >= common:
            group.append(i)
            common = kept
            continue
        if group:
            yield _worth(contexts, group, common)
        group, common = [i], len(contexts[i]) - 1
    if group:
        yield _worth(contexts, group, common)


def _worth(contexts: Sequence[list[int]], group: list[int], common: int) -> tuple[int, list[int]]:
    total = sum(len(contexts[i]) for i in group)
    return (common if 2 * common * (len(group) - 1) >= total else 0), group


def _alike(a: Sequence[int], b: Sequence[int]) -> int:
    return next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
