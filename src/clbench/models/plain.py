"""Plain questions to a causal model: text without a chat template, as lm_eval exams put them.

Tokens, limits and stops are those of lm-evaluation-harness's `hf` model, so that both give the same figures. Speed
comes from sharing: a beginning that many questions have in common (few-shot examples) is read once, and so is a
question with several choices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from clbench.core.keys import seed_of
from clbench.core.types import Answer, Decode, Example, Reply, Request
from clbench.models.finite import check_finite
from clbench.models.prefix import score_after, shared_beginnings
from clbench.models.stops import before_end, before_stop
from clbench.models.writing import Question

if TYPE_CHECKING:
    from clbench.models.causal import Causal


class Pair(NamedTuple):
    """A continuation to be scored: tokens before it, its own, and how many of both were left out."""

    context: list[int]
    continuation: list[int]
    lost: int = 0


class ReadTokens(NamedTuple):
    """A context as it is read: its tokens, how many of them were left out, and how many examples were dropped."""

    ids: list[int]
    lost: int = 0
    dropped: int = 0


class Place(NamedTuple):
    """The place of a request: index of the example, and of the request in it."""

    example: int
    request: int


def answer_raw(net: Causal, examples: Sequence[Example], decode: Decode) -> list[Answer]:
    """Return answers to the requests of every example, in order."""
    asked = {Place(i, j): request for i, e in enumerate(examples) for j, request in enumerate(e.requests)}
    replies: dict[Place, Reply] = {}
    read: dict[int, tuple[int, int, int]] = dict.fromkeys(
        range(len(examples)), (0, 0, 0)
    )  # tokens read, tokens left out, examples left out

    def count(place: Place, *more: int) -> None:
        tokens, lost, dropped = (a + b for a, b in zip(read[place.example], more, strict=True))
        read[place.example] = (tokens, lost, dropped)

    with torch.inference_mode():
        pairs = {place: _pairs(net, r) for place, r in asked.items() if r.kind != "text"}
        for place, found in _scored(net, pairs).items():
            check_finite([nats for nats, _ in found], net.spec.name, f"example {examples[place.example].id}")
            replies[place] = Reply(loglik=sum(nats for nats, _ in found), greedy=all(greedy for _, greedy in found))
            own = pairs[place]
            count(place, sum(len(p.context) + len(p.continuation) for p in own), sum(p.lost for p in own), 0)
        texts = {place: r for place, r in asked.items() if r.kind == "text"}
        for place, (text, one) in _written(net, texts, examples, decode).items():
            replies[place] = Reply(text=text)
            count(place, len(one.ids), one.lost, one.dropped)
    return [
        Answer(
            example_id=e.id,
            text=next((r.text for r in found if r.text), ""),
            tokens_in=read[i][0],
            tokens_cut=read[i][1],
            shots_cut=read[i][2],
            replies=tuple(found),
        )
        for i, e in enumerate(examples)
        for found in [[replies[Place(i, j)] for j in range(len(e.requests))]]
    ]


# --- tokens -------------------------------------------------------------------------------------------------


def encode(net: Causal, text: str) -> list[int]:
    """Return the tokens of plain text, with special tokens, but without a second one if the text begins with it."""
    first = net.tokenizer.decode(_prefix(net))
    if first and text.startswith(first):
        return net.tokenizer.encode(text, add_special_tokens=False, verbose=False)
    return net.tokenizer.encode(text, verbose=False)


def _prefix(net: Causal) -> int:
    """Return the token before a text that is scored from its first token on."""
    bos = net.tokenizer.bos_token_id
    return net.tokenizer.eos_token_id if bos is None else bos


def _pairs(net: Causal, request: Request) -> list[Pair]:
    """Return the pairs to score for a request: one, or the windows of a long text."""
    if request.kind == "rolling":
        return list(windows(net.known(encode(net, request.continuation)), _prefix(net), net.spec.longest))
    if not request.context:
        ids = net.tokenizer.encode(request.continuation, add_special_tokens=False, verbose=False)
        own = Pair(ids[:1], ids[1:]) if ids[:1] == [_prefix(net)] else Pair([_prefix(net)], ids)
    else:
        blanks = len(request.context) - len(request.context.rstrip())
        context = request.context[: len(request.context) - blanks]
        ids = encode(net, request.context + request.continuation)
        start = len(encode(net, context))
        own = Pair(ids[:start], ids[start:])
    net.known(own.context + own.continuation)
    kept = max(net.spec.longest + 1 - len(own.continuation), 1)
    context, continuation = own.context[-kept:], own.continuation[-net.spec.longest :]
    lost = len(own.context) - len(context) + len(own.continuation) - len(continuation)
    return [Pair(context, continuation, lost)]


def windows(ids: Sequence[int], prefix: int, most: int) -> Iterator[Pair]:
    """Yield windows of a text that score every token once, with as much context as `most` tokens leave room for.

    Source: the rolling windows of lm-evaluation-harness (context_len 1).

    Example:
        >>> [(context, continuation) for context, continuation, _ in windows([1, 2, 3, 4, 5], 0, 3)]
        [([0], [1, 2, 3]), ([2, 3], [4, 5])]
    """
    done = 0
    while done < len(ids):
        num = min(most, len(ids) - done)
        end = done + num
        before = [prefix, *ids][: done + 1] if done == 0 else list(ids[max(end - most - 1, 0) : done])
        yield Pair(before, list(ids[done:end]))
        done = end


# --- scoring ------------------------------------------------------------------------------------------------


def _scored(net: Causal, pairs: dict[Place, list[Pair]]) -> dict[Place, list[tuple[float, bool]]]:
    """Return (log-likelihood, is greedy) of every pair."""
    groups: dict[tuple[int, ...], list[tuple[Place, int]]] = {}
    for place, parts in pairs.items():
        for part, pair in enumerate(parts):
            if not pair.continuation:  # its tokens merged into the context's: there is nothing to score
                continue
            groups.setdefault(tuple(pair.context), []).append((place, part))
    contexts = [list(c) for c in groups]
    conts = [[pairs[place][part].continuation for place, part in members] for members in groups.values()]
    found: dict[Place, list[tuple[float, bool]]] = {place: [(0.0, True)] * len(parts) for place, parts in pairs.items()}
    for members, scores in zip(groups.values(), score(net, contexts, conts), strict=True):
        for (place, part), value in zip(members, scores, strict=True):
            found[place][part] = value
    return found


def score(
    net: Causal, contexts: Sequence[list[int]], continuations: Sequence[list[list[int]]]
) -> list[list[tuple[float, bool]]]:
    """Return (nats summed over its tokens, whether greedy decoding writes it) of each continuation of each context."""
    scores: list[list[tuple[float, bool]]] = [[] for _ in contexts]
    for beginning, members in shared_beginnings(contexts) if net.packs else [(0, [*range(len(contexts))])]:
        asked, answered = [contexts[i] for i in members], [continuations[i] for i in members]
        if beginning:
            found = score_after(net, asked[0][:beginning], [c[beginning:] for c in asked], answered)
        else:
            found = net.score(asked, answered)
        for i, values in zip(members, found, strict=True):
            scores[i] = values
    return scores


# --- writing ------------------------------------------------------------------------------------------------


def _written(
    net: Causal, texts: dict[Place, Request], examples: Sequence[Example], decode: Decode
) -> dict[Place, tuple[str, ReadTokens]]:
    """Return the text that answers every request, and its context as it was read."""
    found: dict[Place, tuple[str, ReadTokens]] = {}
    kinds: dict[tuple[int, tuple[str, ...], float], list[Place]] = {}
    for place, r in texts.items():
        kinds.setdefault((r.max_tokens, r.stop, r.temperature), []).append(place)
    ends = net.reader.plain_ends or net.reader.ends
    for (wanted, stop, temperature), places in kinds.items():
        most = net.answer_room(wanted)
        read = [asked_in(net, texts[place], net.spec.longest - most) for place in places]
        asked = [examples[place.example].id for place in places]
        seeds = [
            seed_of(decode.seed, place.request, f"sample {name}") for place, name in zip(places, asked, strict=True)
        ]
        questions = [Question(f"example {name}", seed) for name, seed in zip(asked, seeds, strict=True)]
        written = net.write([r.ids for r in read], most, stop, temperature, ends, questions)
        for place, one, tokens in zip(places, read, written, strict=True):
            text = net.tokenizer.decode(before_end(tokens, ends), skip_special_tokens=True)
            found[place] = (before_stop(text, stop), one)
    return found


def asked_in(net: Causal, request: Request, limit: int) -> ReadTokens:
    """Return a context in at most `limit` tokens: without its oldest examples, then without what comes first."""
    ids = net.known(encode(net, request.context))
    if len(ids) <= limit:
        return ReadTokens(ids)
    num, dropped = len(ids), 0
    lead = request.context[: request.starts[0]] if request.starts else ""
    for start in request.starts[1:]:
        if len(ids) <= limit:
            break
        ids, dropped = encode(net, lead + request.context[start:]), dropped + 1
    kept = ids[-limit:]
    return ReadTokens(kept, num - len(kept), dropped)
