"""Checks that a checkpoint is complete: every weight of the model is in it, fits, and is a number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from clbench.core.errors import ModelError
from clbench.core.events import notice

# The label head grows with the labels that are taught, and its rows are ours: a checkpoint need not have one.
OWN_HEAD = re.compile(r"(?:^|\.)(?:pre_classifier|classifier|score|classification_head)\.")
# What a checkpoint may lack, with a notice: a pooler (masked pre-training has none), and what the configuration makes.
DRAWN = re.compile(r"(?:^|\.)(?:pooler|sequence_summary)\.|rotary_emb\.|(?:^|\.)position_ids$")
# What a checkpoint may hold beyond the model, with a notice: heads of other tasks, and buffers of older versions.
UNUSED = re.compile(
    r"(?:^|\.)(?:lm_head|cls|pooler|score|classifier|pre_classifier|classification_head|v_head|value_head|qa_outputs"
    r"|vocab_(?:transform|layer_norm|projector)|(?:mask|lm|discriminator|generator)(?:_lm)?_(?:predictions|head)\b.*"
    r"|predictions|embed_out|generator_predictions|logit_scale|mtp)(?:\.|$)"
    r"|^(?:decoder|head)\.|rotary_emb\.|(?:^|\.)(?:position_ids|token_type_ids|masked_bias|attn\.bias|attention\.bias|inv_freq)$"
)
SHOWN = 5
AGAIN = "download or write the checkpoint again"


def check_loaded(name: str, info: Mapping[str, Any], module: nn.Module) -> None:
    """Refuse a model with weights that are missing, do not fit, or belong to another; note what may be missing.

    A new label head is ours, a pooler may be drawn at random, and heads of other tasks go unused.

    Args:
        name: The model, as the user names it.
        info: What `from_pretrained(..., output_loading_info=True)` returns beside the model.
        module: The model.

    Raises:
        ModelError: Names the weights.
    """
    new = [key for key in _keys(info, "missing_keys") if not OWN_HEAD.search(key)]
    unused = _keys(info, "unexpected_keys")
    if lost := [key for key in new if not DRAWN.search(key)]:
        mend = f"{AGAIN}; if config.json was changed (layers, tied weights), bring it back"
        raise ModelError(f"the checkpoint lacks {_listed(lost)}", where=name, mend=mend)
    if strange := [key for key in unused if not UNUSED.search(key)]:
        what = f"the checkpoint holds {_listed(strange)} that this model has no place for"
        mend = "bring the config.json of these weights back (layers, architecture), or write the checkpoint again"
        raise ModelError(what, where=name, mend=mend)
    if broken := not_finite(module):
        raise ModelError(
            f"NaN or infinite values in {_listed(broken)}, read as {next(module.parameters()).dtype}",
            where=name,
            mend="training has diverged or the file is damaged: use an earlier checkpoint; "
            "where its numbers are too large for 16 bits, read it as float32",
        )
    if new:
        notice(f"{name}: not in the checkpoint, so drawn at random, alike in every run: {_listed(new)}")
    if unused:
        notice(f"{name}: in the checkpoint, and no part of this model, so not used: {_listed(unused)}")


def check_shapes(auto: Any, name: str, folder: Path | None) -> None:
    """Refuse weights whose shapes differ from those of config.json, by the headers of the files.

    The library says only that something does not fit, and loading in spite of it would draw that at random.

    Args:
        auto: The class that loads it, for example `AutoModelForCausalLM`.
        name: The model, as the user names it.
        folder: Its checkpoint; without one, or without readable headers, nothing is checked.

    Raises:
        ModelError: Names the weights, their shapes, and those that are expected.
    """
    if folder is None:
        return
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        with torch.device("meta"):
            wanted = {key: tuple(v.shape) for key, v in auto.from_config(config).state_dict().items()}
        there = dict(_headers(folder))
    except Exception:  # the error that led here says what is wrong
        return
    changed = [key for key in sorted(wanted) if there.get(key, wanted[key]) != wanted[key]]
    wrong = [f"{key} {there[key]} where {wanted[key]} is expected" for key in changed]
    if wrong:
        mend = f"config.json is not the one of these weights: bring the right one back, or {AGAIN}"
        raise ModelError(f"weights do not fit config.json: {_listed(wrong)}", where=name, mend=mend)


def _headers(folder: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    from safetensors import safe_open

    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118  # no mapping: it has no other way
                yield key, tuple(file.get_slice(key).get_shape())


def not_finite(module: nn.Module) -> list[str]:
    """Return the names of the parameters that hold NaN or an infinite value; each is read once.

    A sum is finite only if all its terms are, so one number is checked for each tensor.
    """
    floats = ((name, p.detach()) for name, p in module.named_parameters() if p.is_floating_point())
    return [name for name, p in floats if not _summed(p) and not bool(torch.isfinite(p).all())]


def _summed(values: Tensor) -> bool:
    return values.device.type != "meta" and bool(torch.isfinite(values.sum(dtype=torch.float32)))


def check_vocabulary(name: str, tokenizer: Any, module: nn.Module) -> None:
    """Refuse a tokenizer whose words have no row in the model; special tokens without a row are never written.

    Raises:
        ModelError: Names the first of them.
    """
    rows = cast("Any", module).get_input_embeddings().weight.shape[0]
    if len(tokenizer) <= rows:
        return
    added = set(tokenizer.get_added_vocab())
    beyond = sorted((i, word) for word, i in tokenizer.get_vocab().items() if i >= rows and word not in added)
    if beyond:
        raise ModelError(
            f"the tokenizer has {len(beyond)} words beyond the {rows} rows of the model, the first is {beyond[0][1]!r}",
            where=name,
            mend="put the tokenizer's files of this checkpoint beside its weights",
        )


def _keys(info: Mapping[str, Any], kind: str) -> list[str]:
    return sorted(map(str, info.get(kind) or ()))


def _listed(keys: Iterable[str]) -> str:
    """Return the number of weights and some of their names.

    Example:
        >>> _listed(["a", "b", "c", "d", "e", "f"])
        '6 weights (a, b, c, d, e, ...)'
    """
    names = list(keys)
    first = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    return f"{len(names)} weight{'s' if len(names) > 1 else ''} ({first})"
