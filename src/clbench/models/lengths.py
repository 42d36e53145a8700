"""How long an input a model takes, by its own files; no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

# Where a configuration states its positions. HARD: a table or a trained range, which ends.
HARD = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length")
SOFT = ("seq_length", "context_length", "model_max_length")
NESTED = ("text_config", "language_config", "llm_config", "decoder", "text_encoder")
# Encoders that count positions from the padding token's id on: the first rows of their tables are never used.
OFFSET = frozenset(
    "camembert data2vec-text esm ibert layoutlmv3 longformer luke mpnet roberta roberta-prelayernorm xlm-roberta "
    "xlm-roberta-xl xmod".split()
)
UNSTATED = 2048  # tokens, for a model that states no length: the default of lm-evaluation-harness
CACHE_BYTES = 4 << 30  # of the keys and values of one input: a default length never costs more than this
SANE = 1 << 24  # tokens; a larger number means that no length is stated
LEAST = 8  # tokens that any input may have
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


class Length(NamedTuple):
    """How long an input may be.

    Attributes:
        default: Tokens, unless the user sets another length.
        most: Positions of the model; None if they are unlimited or not stated.
        bound: Whether memory, not the model, bounds the default.
    """

    default: int
    most: int | None
    bound: bool = False


def length_of(config: Mapping[str, Any], tokenizer: Mapping[str, Any], dtype: str, *, encoder: bool) -> Length:
    """Return how long an input may be, by the checkpoint's config.json and tokenizer_config.json.

    Args:
        config: The configuration.
        tokenizer: The tokenizer's configuration; {} without one.
        dtype: Precision of the weights, for the bound by memory.
        encoder: Whether it is an encoder: its tokenizer may then state less than the table of positions holds.

    Example:
        >>> length_of({"n_positions": 1024}, {}, "float32", encoder=False)
        Length(default=1024, most=1024, bound=False)
        >>> roberta = {"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}
        >>> length_of(roberta, {"model_max_length": 256}, "float32", encoder=True)
        Length(default=256, most=512, bound=False)
        >>> length_of({"text_config": {"max_position_embeddings": 131072}}, {}, "float32", encoder=False).default
        131072
    """
    part = _text_part(config)
    most = _stated(part, HARD)
    if most is not None and config.get("model_type") in OFFSET:
        pad = part.get("pad_token_id")
        most = max(most - (1 if pad is None else int(pad)) - 1, LEAST)
    limit = _sane(tokenizer.get("model_max_length"))
    if most is None:
        default = _stated(part, SOFT) or limit or UNSTATED
    else:
        default = min(most, limit) if encoder and limit is not None else most
    default = max(default, LEAST)
    affordable = max(CACHE_BYTES // cache_bytes(part, dtype) // 1024 * 1024, UNSTATED)
    return Length(min(default, affordable), most, default > affordable)


def _text_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part of a composite configuration that is about text."""
    for name in NESTED:
        part = config.get(name)
        if isinstance(part, Mapping) and _stated(part, HARD + SOFT) is not None:
            return part
    return config


def _stated(config: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    return next((found for name in names if (found := _sane(config.get(name))) is not None), None)


def _sane(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= SANE:
        return None
    return int(value)


def cache_bytes(config: Mapping[str, Any], dtype: str) -> int:
    """Return the bytes that one token's keys and values take over all layers; 1 where the configuration hides it."""
    layers = _first(config, "num_hidden_layers", "n_layer", "n_layers", "num_layers")
    heads = _first(config, "num_attention_heads", "n_head", "n_heads")
    hidden = _first(config, "hidden_size", "n_embd", "d_model")
    width = _first(config, "head_dim") or (hidden // heads if heads else 0)
    groups = _first(config, "num_key_value_heads", "num_kv_heads") or heads
    return max(2 * layers * groups * width * BYTES[dtype], 1)


def _first(config: Mapping[str, Any], *names: str) -> int:
    return next((int(config[n]) for n in names if isinstance(config.get(n), int) and config[n] > 0), 0)
