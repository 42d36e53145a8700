"""Continuations of questions that share a beginning, scored after one reading of it.

The rest of each question and all its continuations stand in one row after the beginning. A mask lets every token see
the beginning, its own question and its own continuation alone: a tree, run in one forward pass. Exact for models with
rotary positions and plain caches, up to rounding. `continuations` scores prompts that share nothing: a batch of B rows,
one tree of continuations each, padded on the left. Both use its mask; they add up in different orders, so that one
cannot replace the other without changing the last digits of recorded scores.

Shapes: P tokens of the beginning, S nodes of the row, K nodes whose scores are needed, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from clbench.models.continuations import Scores, tree_mask

if TYPE_CHECKING:
    from clbench.models.causal import Causal

MOST_NODES = 1024  # of one row: the mask grows with their square
LEAST_SHARED = 16  # tokens that a beginning must have to be worth reading apart


class Row(NamedTuple):
    """Nodes of one forward pass.

    Attributes:
        ids, positions: Token and position of each node, (S,).
        question, branch: The question and the continuation of each node, (S,); branch -1 is the question itself.
        before: For each continuation of each question, the nodes that predict its tokens.
    """

    ids: list[int]
    positions: list[int]
    question: list[int]
    branch: list[int]
    before: list[list[list[int]]]


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
    cache = net.module(input_ids=ids_1P, use_cache=True, logits_to_keep=1).past_key_values
    owners, parts = _parts(tails, continuations)
    found: list[Scores] = [[] for _ in tails]
    for start, end in _chunks([tails[i] for i in owners], parts):
        row = _row(len(beginning), [tails[i] for i in owners[start:end]], parts[start:end])
        for i, values in zip(owners[start:end], _run(net, row, parts[start:end], cache, len(beginning)), strict=True):
            found[i] += values
        cache.crop(-len(row.ids))
    return found


def _parts(
    tails: Sequence[list[int]], continuations: Sequence[list[list[int]]]
) -> tuple[list[int], list[list[list[int]]]]:
    """Return parts of the continuations of each question that fit into a row each: (question of each part, parts)."""
    owners: list[int] = []
    parts: list[list[list[int]]] = []
    for i, (tail, conts) in enumerate(zip(tails, continuations, strict=True)):
        nodes = MOST_NODES + 1
        for cont in conts:
            nodes += len(cont) - 1
            if nodes > MOST_NODES:
                owners.append(i)
                parts.append([])
                nodes = len(tail) + len(cont) - 1
            parts[-1].append(cont)
    return owners, parts


def _chunks(tails: Sequence[list[int]], continuations: Sequence[list[list[int]]]) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of the questions of each row, at most MOST_NODES in a row."""
    start = nodes = 0
    for i, (tail, conts) in enumerate(zip(tails, continuations, strict=True)):
        own = len(tail) + sum(len(c) - 1 for c in conts)
        if i > start and nodes + own > MOST_NODES:
            yield start, i
            start, nodes = i, 0
        nodes += own
    if start < len(tails):
        yield start, len(tails)


def _row(shared: int, tails: Sequence[list[int]], continuations: Sequence[list[list[int]]]) -> Row:
    row = Row([], [], [], [], [])
    for q, (tail, conts) in enumerate(zip(tails, continuations, strict=True)):
        _extend(row, tail, shared, q, -1)
        last = len(row.ids) - 1
        row.before.append([])
        for b, cont in enumerate(conts):
            row.before[q].append([last, *range(len(row.ids), len(row.ids) + len(cont) - 1)])
            _extend(row, cont[:-1], shared + len(tail), q, b)
    return row


def _extend(row: Row, ids: list[int], place: int, question: int, branch: int) -> None:
    row.ids.extend(ids)
    row.positions.extend(range(place, place + len(ids)))
    row.question.extend([question] * len(ids))
    row.branch.extend([branch] * len(ids))


def _run(net: Causal, row: Row, continuations: Sequence[list[list[int]]], cache: object, shared: int) -> list[Scores]:
    device = net.device
    question_S = torch.tensor(row.question, device=device)
    branch_S = torch.tensor(row.branch, device=device)
    seen_1P = torch.ones((1, shared), dtype=torch.bool, device=device)
    needed = sorted({node for conts in row.before for nodes in conts for node in nodes})
    logits_KV = net.module(
        input_ids=torch.tensor([row.ids], device=device),
        position_ids=torch.tensor([row.positions], device=device),
        attention_mask=tree_mask(net, seen_1P, question_S, branch_S),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=torch.tensor(needed, device=device),
    ).logits[0]
    place = {node: k for k, node in enumerate(needed)}
    nodes_N = [place[node] for conts in row.before for nodes in conts for node in nodes]
    ids_N = torch.tensor([token for conts in continuations for cont in conts for token in cont], device=device)
    logp_KV = torch.log_softmax(logits_KV.float(), dim=-1)
    values = logp_KV[nodes_N, ids_N].tolist()
    greedy = (logp_KV.argmax(-1)[nodes_N] == ids_N).tolist()
    return _gathered(continuations, values, greedy)


def _gathered(continuations: Sequence[list[list[int]]], values: list[float], greedy: list[bool]) -> list[Scores]:
    found: list[Scores] = []
    at = 0
    for conts in continuations:
        own: Scores = []
        for cont in conts:
            own.append((sum(values[at : at + len(cont)]), all(greedy[at : at + len(cont)])))
            at += len(cont)
        found.append(own)
    return found


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
