"""What a model does with tokens, measured on a few of them when it is loaded, since its files do not say it.

It decides how the model may be asked. One with absolute positions that does not see padding gives other answers in a
batch than alone; one that reads what follows a token has seen the answer that it is scored on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import torch

from clbench.core.errors import ModelError
from clbench.models import continuations as score
from clbench.models.pretrained import DTYPES

if TYPE_CHECKING:
    from clbench.models.causal import Causal

Way = Literal["packed", "spread", "whole"]
TEXT = "The first question, which is the longer one of the two."
NATS = {torch.float32: 2e-3, torch.float64: 2e-3}  # tolerance of sums over three tokens; far larger in 16 bits
NATS_16 = 0.5
SHARE = {torch.float32: 1e-3, torch.float64: 1e-3}  # tolerance, as a share of the spread of the scores
SHARE_16 = 0.5
RESCALED = frozenset({"dynamic", "longrope"})  # rotary positions whose scale depends on the longest row
FAULTS = (RuntimeError, ValueError, TypeError, AttributeError, AssertionError, IndexError)


def known_rows(module: Any) -> int | None:
    """Return the number of tokens that a model has embeddings for; None if it keeps them in another form."""
    try:
        return int(module.get_input_embeddings().weight.shape[0])
    except (RuntimeError, AttributeError, IndexError):  # the library refuses where it finds no table
        return None


def check_known(ids: list[int], rows: int | None, tokenizer: Any, where: str) -> list[int]:
    """Return tokens as they are.

    Raises:
        ModelError: One of them has no embedding: the tokenizer belongs to another model, or has added tokens.
    """
    if rows is None or not ids or max(ids) < rows:
        return ids
    token = tokenizer.convert_ids_to_tokens(max(ids))
    raise ModelError(
        f"the tokenizer writes {token!r} as {max(ids)}, and the model has {rows} embeddings",
        where=where,
        mend="call resize_token_embeddings on the model and save it, or use the tokenizer that belongs to it",
    )


def few_ids(net: Causal) -> list[int]:
    """Return seven tokens that the model knows."""
    found = [i for i in net.reader.text_ids(TEXT) if net.rows is None or i < net.rows] or [0]
    return (found * 7)[:7]


def check_causal(net: Causal) -> None:
    """Refuse a model that reads what follows a token, or cannot read or write at all.

    Raises:
        ModelError: Its parts do not fit each other, or not this version of transformers; or it is an encoder whose file
            does not say `is_decoder`, or a decoder without its mask.
    """
    ids = few_ids(net)
    try:
        with torch.inference_mode():
            alone_V, before_V = (
                net.module(input_ids=torch.tensor([part], device=net.device), use_cache=False).logits[0, 2].float()
                for part in (ids[:3], ids)
            )
    except FAULTS as error:
        raise ModelError(
            f"{type(net.module).__name__} does not read seven tokens: {str(error).splitlines()[0]}",
            where=net.spec.name,
            mend="correct its config.json (numbers of heads, sizes); or its code does not suit this transformers",
        ) from error
    allowed = SHARE.get(DTYPES[net.spec.dtype], SHARE_16) * float(alone_V.std())
    if float((alone_V - before_V).abs().max()) > allowed:
        raise ModelError(
            f"{type(net.module).__name__} reads what follows a token, so it has seen the answers that it would score",
            where=net.spec.name,
            mend="say `family: encoder`, or `is_decoder: true` in config.json if it was trained as a decoder",
        )
    try:
        with torch.inference_mode():
            net.write([ids[:3]], 2, (), 0.0, net.reader.ends)
    except FAULTS as error:
        raise ModelError(
            f"{type(net.module).__name__} reads, and cannot write two tokens: {str(error).splitlines()[0]}",
            where=net.spec.name,
            mend="take the version of transformers that its config.json names, or another model",
        ) from error


def way_of(net: Causal) -> Way:
    """Return the fastest way that scores continuations as the uncached way does."""
    ids = few_ids(net)
    prompts = [ids[:4], ids[4:6]]
    continuations = [[ids[:1], ids[1:4]], [ids[2:5], ids[6:]]]
    allowed = NATS.get(DTYPES[net.spec.dtype], NATS_16)
    with torch.inference_mode():
        net.way = "whole"
        right = [nats for scores in score.score_batch(net, prompts, continuations) for nats, _ in scores]
        for way in _ways(net):
            net.way = way
            try:
                found = [nats for scores in score.score_batch(net, prompts, continuations) for nats, _ in scores]
            except FAULTS:
                continue
            if all(abs(a - b) <= allowed for a, b in zip(found, right, strict=True)):
                return way
    return "whole"


def _ways(net: Causal) -> tuple[Way, ...]:
    """Return the cached ways that the model's cache and configuration allow, the fastest first.

    A model can go on from a cache of keys and values, layer by layer. Continuations can share a row if positions are
    rotary and attention reaches over the whole row. If the longest row of a pass sets the scale of all its positions,
    no cached way is right.
    """
    config: Any = net.module.config
    settings = config.to_dict()
    if net.scale_border is not None:
        return ()
    layers = _layers(net)
    kinds = {type(layer).__name__ for layer in layers}
    if not kinds or not kinds <= {"DynamicLayer", "DynamicSlidingWindowLayer"}:
        return ()
    rotary = ("rope_parameters" in settings or "rope_theta" in settings) and not settings.get("alibi")
    return ("packed", "spread") if rotary and kinds == {"DynamicLayer"} else ("spread",)


def _layers(net: Causal) -> list[Any]:
    """Return the layers of the model's cache after one token; none if it keeps a state of another form, or no state."""
    start = torch.tensor([[net.reader.end]], device=net.device)
    try:
        return list(net.module(input_ids=start, use_cache=True).past_key_values.layers)
    except (AttributeError, TypeError, ValueError):
        return []


def cache_bytes(net: Causal) -> int:
    """Return the bytes of keys and values that a token leaves in the cache; 0 for a model that goes on from none."""
    if not net.caches:
        return 0
    with torch.inference_mode():
        held = [each for layer in _layers(net) for each in (layer.keys, layer.values)]
    return sum(each.numel() * each.element_size() for each in held)


def scale_border(module: Any, longest: int) -> int | None:
    """Return the tokens beyond which a row changes the scale of all positions of its pass (longrope, dynamic).

    None if rows of up to `longest` tokens never do.
    """
    config: Mapping[str, Any] = module.config.to_dict()
    stated: Any = config.get("rope_parameters") or {}
    parts = [part for part in (stated, *stated.values()) if isinstance(part, Mapping)]
    found = [
        part.get("original_max_position_embeddings") or config.get("max_position_embeddings")
        for part in parts
        if part.get("rope_type") in RESCALED
    ]
    return min((first for first in found if isinstance(first, int) and longest > first), default=None)
