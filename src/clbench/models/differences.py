"""What makes two checkpoints unlike beyond their weights: base, tokenizer, template. It reads files and no weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clbench.core.spec import ModelSpec
from clbench.models import source
from clbench.models.files import WORDS
from clbench.models.place import adapter_of, locate

# Of config.json: who wrote it and how it is run, not what the model is.
IDLE = frozenset(
    {"_name_or_path", "name_or_path", "transformers_version", "torch_dtype", "dtype", "use_cache", "architectures"}
    | {
        "_attn_implementation",
        "_attn_implementation_autoset",
        "return_dict",
        "output_attentions",
        "gradient_checkpointing",
    }
)
# Of tokenizer.json: how a batch was padded and cut when it was saved, which trainers leave behind.
OF_BATCHES = frozenset({"padding", "truncation"})
# Of tokenizer_config.json: what is written before and after a text.
AROUND = ("bos_token", "eos_token", "pad_token", "unk_token", "add_bos_token", "add_eos_token", "add_prefix_space")
SHOWN = 3


def differences(first: ModelSpec, other: ModelSpec) -> list[str]:
    """Return what differs in a second checkpoint, as parts of a sentence; none for what differs in weights alone.

    Raises:
        ModelError: A file of one of them cannot be read.
    """
    return [*_base(first, other), *_tokenizer(first, other), *_template(first, other)]


def _base(first: ModelSpec, other: ModelSpec) -> Iterator[str]:
    one, two = (_shape(spec) for spec in (first, other))
    if unlike := sorted(name for name in one.keys() | two.keys() if one.get(name) != two.get(name)):
        yield f"its config.json says otherwise: {_listed(unlike)}"
    places = locate(first), locate(other)
    if adapter_of(other) is None or None in places or places[0] == places[1]:
        return
    if _weights(first) != _weights(other):
        yield f"its adapter lies on other base weights, those of {places[1]}"


def _shape(spec: ModelSpec) -> Mapping[str, Any]:
    stated = source.configuration(spec)
    whole = {**source.as_read(stated), **stated} if stated.get("model_type") else stated
    return {name: value for name, value in whole.items() if name not in IDLE}


def _weights(spec: ModelSpec) -> str:
    return source.identity(spec.model_copy(update={"name": str(locate(spec)), "adapter": None}))


def _tokenizer(first: ModelSpec, other: ModelSpec) -> Iterator[str]:
    one, two = (source.stated(spec, "tokenizer.json") for spec in (first, other))
    if one and two:
        unlike = sorted(k for k in (one.keys() | two.keys()) - OF_BATCHES if one.get(k) != two.get(k))
        if unlike:
            yield f"its tokenizer.json says otherwise: {_listed(unlike)}"
    elif _words(first) != _words(other):
        yield "its tokenizer has other files of words"
    settings = [source.stated(spec, "tokenizer_config.json") for spec in (first, other)]
    if around := [
        name for name in AROUND if source.token(settings[0].get(name)) != source.token(settings[1].get(name))
    ]:
        yield f"its tokenizer_config.json says otherwise: {_listed(around)}"


def _words(spec: ModelSpec) -> dict[str, bytes]:
    folder = locate(spec)
    home: Path | None = None if folder is None else source.tokenizer_home(spec, folder)
    found = [] if home is None else [path for pattern in WORDS for path in home.glob(pattern) if path.is_file()]
    return {path.name: path.read_bytes() for path in found}


def _template(first: ModelSpec, other: ModelSpec) -> Iterator[str]:
    one, two = (source.template_of(spec) for spec in (first, other))
    if one != two:
        yield (
            "its chat template is another"
            if one and two
            else "it has a chat template"
            if two
            else "it has no chat template"
        )
    elif source.reading(first) != source.reading(other):
        yield "it states other tokens that end an answer, or other habits of writing"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
