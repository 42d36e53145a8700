"""Write answers token by token; an answer that has ended leaves the batch, and its memory with it.

A model whose cache can be narrowed reads each token once, and no row that has ended. Any other is left to `generate` of
transformers, which carries every row along until the last one has ended.

Shapes: B prompts, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch
from torch import Tensor

from clbench.models.backoff import within_memory
from clbench.models.batching import by_length
from clbench.models.continuations import alike, positions
from clbench.models.finite import Watched
from clbench.models.net import seeded
from clbench.models.stops import stopped, stops_at

if TYPE_CHECKING:
    from clbench.models.causal import Causal


class How(NamedTuple):
    """How answers are written.

    Attributes:
        max_tokens: Most tokens of one.
        stop: It ends at the first of these texts.
        temperature: 0 is greedy.
        ends: It ends at the first of these tokens.
    """

    max_tokens: int
    stop: tuple[str, ...]
    temperature: float
    ends: tuple[int, ...]


class Question(NamedTuple):
    """The question of a row: as an error names it, and the seed of its sample, which depends on nothing else."""

    where: str
    seed: int


class Writer(Protocol):
    """Whatever writes what follows prompts, as `write` does."""

    def write(self, prompts: Sequence[list[int]], how: How, questions: Sequence[Question]) -> list[list[int]]:
        """Return the tokens that follow each prompt, in order."""
        ...


def write(net: Causal, prompts: Sequence[list[int]], how: How, questions: Sequence[Question]) -> list[list[int]]:
    """Return the tokens that follow each prompt, little further than the first of the stops, in order.

    Rows that ended before the longest of their batch are filled up with the first of the ends: the checkpoint's own
    padding may be a word.

    Args:
        net: The model.
        prompts: Tokens of each prompt.
        how: How they are answered.
        questions: Of each prompt.

    Raises:
        ModelError: A score is not a number, and names the question; or memory ran out in 16 bits.
    """
    make = _narrowing if net.caches else _by_generate

    def ask(rows: list[int]) -> list[list[int]]:
        found = make(net, [prompts[i] for i in rows], how, [questions[i] for i in rows])
        longest = max(map(len, found))
        return [row + [how.ends[0]] * (longest - len(row)) for row in found]

    written: dict[int, list[int]] = {}
    for rows, found in within_memory(net.spec, _batches(net, [len(p) for p in prompts], how), ask):
        written |= zip(rows, found, strict=True)
    return [written[i] for i in range(len(prompts))]


def _batches(net: Causal, lengths: Sequence[int], how: How) -> Iterable[list[int]]:
    """Return batches of prompts that are answered together, as indices.

    If the model cannot tell padding from text, they are of one length each, and a sample is drawn by itself.
    """
    if net.caches:
        cache = [net.token_bytes * (length + how.max_tokens) for length in lengths]
        return by_length(lengths, [1] * len(lengths), net.exam_batch, cache)
    return alike(lengths, net.exam_batch if how.temperature == 0 else 1)


def _narrowing(net: Causal, prompts: Sequence[list[int]], how: How, questions: Sequence[Question]) -> list[list[int]]:
    ids_BT, mask_BT = net.left_pad(prompts)
    at_BT = positions(mask_BT)
    written: list[list[int]] = [[] for _ in prompts]
    live = [*range(len(prompts))]  # which prompt each row of the batch answers
    draws = [torch.Generator(net.device).manual_seed(q.seed) for q in questions] if how.temperature else []
    cached: dict[str, Any] = {}
    for _ in range(how.max_tokens):
        options = {"use_cache": True, "logits_to_keep": 1, **cached}
        out = net.module(input_ids=ids_BT, attention_mask=mask_BT, position_ids=at_BT, **options)
        scores_BV = Watched(net.spec.name, [questions[i].where for i in live])(ids_BT, out.logits[:, -1].float())
        tokens = _next(scores_BV, how.temperature, [draws[i] for i in live] if draws else [])
        for i, token in zip(live, tokens, strict=True):
            written[i].append(token)
        goes_on = _going(net, [written[i] for i in live], how)
        if not goes_on:
            break
        cached = {"past_key_values": out.past_key_values}
        ids_BT = torch.tensor([[tokens[row]] for row in goes_on], device=net.device)
        if len(goes_on) < len(live):
            kept = torch.tensor(goes_on, device=net.device)
            out.past_key_values.batch_select_indices(kept)
            mask_BT, live = mask_BT[kept], [live[row] for row in goes_on]
        mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(live), 1)], dim=1)
        at_BT = positions(mask_BT)[:, -1:]
    return written


def _next(scores_BV: Tensor, temperature: float, draws: Sequence[torch.Generator]) -> list[int]:
    """Return the next token of each row: the best, or one that its own generator draws."""
    if not draws:
        return scores_BV.argmax(-1).tolist()
    shares_BV = (scores_BV / temperature).softmax(-1)
    drawn = [
        torch.multinomial(shares_1V, 1, generator=d) for shares_1V, d in zip(shares_BV.split(1), draws, strict=True)
    ]
    return torch.cat(drawn)[:, 0].tolist()


def _going(net: Causal, written: Sequence[list[int]], how: How) -> list[int]:
    """Return the rows that have not ended."""
    ended = stopped(net.tokenizer, written, how.stop) if how.stop else [False] * len(written)
    return [row for row, ids in enumerate(written) if ids[-1] not in how.ends and not ended[row]]


def _by_generate(net: Causal, prompts: Sequence[list[int]], how: How, questions: Sequence[Question]) -> list[list[int]]:
    ids_BT, mask_BT = net.left_pad(prompts)
    settings: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    if how.temperature:
        settings = {"do_sample": True, "temperature": how.temperature, "top_p": 1.0, "top_k": 0}
    if how.stop:
        settings["stopping_criteria"] = stops_at(net.tokenizer, how.stop, ids_BT.shape[1])
    module: Any = net.module
    with seeded(questions[0].seed, net.device):
        out_BT = module.generate(
            input_ids=ids_BT,
            attention_mask=mask_BT,
            max_new_tokens=how.max_tokens,
            pad_token_id=how.ends[0],
            eos_token_id=list(how.ends),
            logits_processor=[Watched(net.spec.name, [q.where for q in questions])],
            **settings,
        )
    return out_BT[:, ids_BT.shape[1] :].tolist()
