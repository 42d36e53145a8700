"""Kinds of checkpoints that are supported, by their configuration alone; no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal

from clbench.core.errors import ModelError
from clbench.core.extras import need
from clbench.core.spec import ModelSpec
from clbench.models.lengths import OFFSET

MOST = {"num_hidden_layers": 1000, "n_layer": 1000, "n_layers": 1000, "num_layers": 1000, "vocab_size": 1 << 24}
# How `adapter: qlora` writes a base: blocks of weights have a scale each, blocks of scales are rounded in turn. The
# version is raised when the same base becomes other weights.
NF4 = {"type": "nf4", "block": 64, "scales": 256, "version": 1}
LAST_PLACE = frozenset({"xlnet"})
# Read with an encoder and write with a decoder by default, so that their files need not say so.
TWO_PARTS = frozenset("t5 mt5 umt5 longt5 switch_transformers m2m_100 nllb-moe fsmt t5gemma t5gemma2 udop".split())


def check_supported(config: Mapping[str, Any], name: str, *, causal: bool) -> None:
    """Refuse checkpoints that this package cannot ask or train correctly.

    Args:
        config: The checkpoint's config.json.
        name: The model, as the user names it.
        causal: Whether it is used as a causal model.

    Raises:
        ModelError: Its sizes are impossible, or it does not say what it is; it is quantised; it reads with an encoder
            and writes with a decoder; two rows of its label head have one name; it reads its answer at the last
            position of a row, padding or not; or it is a decoder of RoBERTa's kin.
    """
    _check_sizes(config, name)
    kind = config.get("model_type")
    if not kind:
        what = "config.json does not say what the model is (model_type)"
        raise ModelError(what, where=name, mend="bring the config.json of these weights back")
    if (method := _quantised(config)) is not None:
        raise ModelError(
            f"{name!r} holds weights that are quantised ({method}), which are not supported",
            where="model.name",
            mend="use the checkpoint that they were made from, in float32, bfloat16 or float16",
        )
    if not causal:
        _check_labels(config, name)
    why = ""
    if config.get("is_encoder_decoder", kind in TWO_PARTS):
        why = "reads with an encoder and writes with a decoder"
    elif str(kind) in LAST_PLACE:
        why = "takes its answer from the last place of a row, where padding stands"
    elif kind in OFFSET and causal:
        why = "counts its positions from the padding token on, which generation does not"
    if why:
        raise ModelError(
            f"{name!r} ({kind}) {why}, which is not supported",
            where="model.name",
            mend="use a causal language model, or an encoder such as BERT, RoBERTa or DeBERTa",
        )


def check_four_bits(spec: ModelSpec, *, causal: bool) -> None:
    """Refuse a base in four bits where it cannot be had.

    Raises:
        ModelError: The model is an encoder, whose label head learns beside adapters, or it is to be read in float16.
        ExtraError: bitsandbytes is not installed.
    """
    if not causal:
        what = f"{spec.name!r} is an encoder, whose label head learns too, and `adapter: qlora` is for adapters alone"
        raise ModelError(what, where="model.adapter", mend="leave `adapter` out, or take a causal model")
    if spec.dtype == "float16":
        what = "a base in four bits computes in float32 or bfloat16, and `dtype` is float16"
        raise ModelError(what, where="model.dtype", mend="write `dtype: bfloat16`")
    need("qlora", "bitsandbytes", "`adapter: qlora`")


def _check_sizes(config: Mapping[str, Any], name: str) -> None:
    """Refuse a number of layers or words that no checkpoint has: building such a model would take hours."""
    for field, most in MOST.items():
        if isinstance(value := config.get(field), int) and not 0 < value <= most:
            raise ModelError(
                f"config.json says {field}: {value}", where=name, mend=f"bring the right one back: 1 to {most:,}"
            )


def _check_labels(config: Mapping[str, Any], name: str) -> None:
    """Refuse a label head with two rows of one name: nobody could tell which of them is the label's."""
    named: Any = config.get("id2label")
    labels = [str(label) for label in named.values()] if isinstance(named, Mapping) else []
    twice = next((label for place, label in enumerate(labels) if label in labels[:place]), None)
    if twice is not None:
        what = f"config.json gives the label {twice!r} to several rows of the label head (id2label)"
        raise ModelError(what, where=name, mend="give each row a name of its own")


def _quantised(config: Mapping[str, Any]) -> str | None:
    """Return how the weights are quantised (awq, gptq, bitsandbytes, fp8, ...); None if they are not."""
    for part in _parts(config):
        for field in ("quantization_config", "compression_config", "quantization"):
            if isinstance(found := part.get(field), Mapping) and found:
                return str(found.get("quant_method") or _bits(found) or field)
    return None


def _bits(found: Mapping[str, Any]) -> str:
    return next((f"bitsandbytes, {field}" for field in ("load_in_4bit", "load_in_8bit") if found.get(field)), "")


def _parts(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield config
    yield from (part for part in config.values() if isinstance(part, Mapping))


@lru_cache(maxsize=64)
def family_of_type(kind: Any) -> Literal["causal", "encoder"] | None:
    """Return the family of a model type, for a configuration that names no architecture; None if it is unknown.

    Types that are trained to fill in masked words are encoders, though some can also be built as decoders.
    """
    if not isinstance(kind, str) or not kind:
        return None
    from transformers.models.auto import modeling_auto as known

    if kind in known.MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return "encoder"
    if kind in known.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return "causal"
    return "encoder" if kind in known.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES else None
