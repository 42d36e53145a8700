"""Checks that a checkpoint is complete: every weight of the model is in it, fits, and is a number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
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
# What wraps a model while it is trained, and then stands before the names of its weights.
WRAPPERS = {
    "module.": "DistributedDataParallel",
    "_orig_mod.": "torch.compile",
    "_fsdp_wrapped_module.": "FSDP",
    "_forward_module.": "Lightning",
    "base_model.model.": "peft",
}
UNWRAP = (
    "take it off: load the file, write {{key.removeprefix({prefix!r}): weight for each}} back; or save the unwrapped "
    "model (`model.module.save_pretrained`, `merge_and_unload` for peft)"
)
SHOWN = 5
AGAIN = "download or write the checkpoint again"


def check_loaded(name: str, info: Mapping[str, Any], module: nn.Module) -> None:
    """Refuse a model with weights that are missing, do not fit, or are not numbers; tell what may be missing.

    Args:
        name: The model, as the user names it.
        info: What `from_pretrained(..., output_loading_info=True)` returns beside the model.
        module: The model.

    Raises:
        ModelError: Names the weights.
    """
    check_keys(name, info)
    if broken := not_finite(module):
        raise ModelError(
            f"NaN or infinite values in {_listed(broken)}, read as {next(module.parameters()).dtype}",
            where=name,
            mend="training has diverged or the file is damaged: use an earlier checkpoint; "
            "where its numbers are too large for 16 bits, read it as float32",
        )
    tell_keys(name, info, module)


def check_keys(name: str, info: Mapping[str, Any], there: Iterable[str] = ()) -> None:
    """Refuse weights that are missing, of other shapes, or of another model; see `check_loaded`.

    A new label head is ours, a pooler may be drawn at random, and heads of other tasks go unused.

    Args:
        name: The model, as the user names it.
        info: As of `check_loaded`.
        there: The names of the weights in the checkpoint's files, where they are known.

    Raises:
        ModelError: Names the weights.
    """
    lost = [k for k in _keys(info, "missing_keys") if not OWN_HEAD.search(k) and not DRAWN.search(k)]
    _check_wrapped(name, list(there) if lost else [])
    misshapen: Any = info.get("mismatched_keys") or ()
    changed = sorted((str(key), tuple(has), tuple(wanted)) for key, has, wanted in misshapen)
    if wrong := [f"{key} {has} where {wanted} is expected" for key, has, wanted in changed]:
        mend = f"config.json is not the one of these weights: bring the right one back, or {AGAIN}"
        raise ModelError(f"weights do not fit config.json: {_listed(wrong)}", where=name, mend=mend)
    if lost:
        mend = f"{AGAIN}; if config.json was changed (layers, tied weights), bring it back"
        raise ModelError(f"the checkpoint lacks {_listed(lost)}", where=name, mend=mend)
    if strange := [key for key in _keys(info, "unexpected_keys") if not UNUSED.search(key)]:
        what = f"the checkpoint holds {_listed(strange)} that this model has no place for"
        mend = "bring the config.json of these weights back (layers, architecture), or write the checkpoint again"
        raise ModelError(what, where=name, mend=mend)


def _check_wrapped(name: str, there: list[str]) -> None:
    for prefix, wrapper in WRAPPERS.items():
        if there and all(key.startswith(prefix) for key in there):
            what = f"the names of all weights begin with {prefix!r}, as {wrapper} writes them ({there[0]}, ...)"
            raise ModelError(what, where=name, mend=UNWRAP.format(prefix=prefix))


def tell_keys(name: str, info: Mapping[str, Any], module: nn.Module) -> None:
    """Tell which weights are drawn at random, and which are not used; see `check_loaded`."""
    if nameless := _nameless_labels(info, module):
        rows = f"{nameless} row{'s' if nameless > 1 else ''} without names (LABEL_0, ...), which are not used"
        notice(f"{name}: its label head has {rows}; `id2label` in its config.json names them")
    if new := [key for key in _keys(info, "missing_keys") if not OWN_HEAD.search(key)]:
        notice(f"{name}: not in the checkpoint, so drawn at random, alike in every run: {_listed(new)}")
    if unused := _keys(info, "unexpected_keys"):
        notice(f"{name}: in the checkpoint, and no part of this model, so not used: {_listed(unused)}")


def _nameless_labels(info: Mapping[str, Any], module: nn.Module) -> int:
    """Return the rows of a label head that was trained, and whose labels nobody named; 0 without one."""
    if not type(module).__name__.endswith("ForSequenceClassification"):
        return 0
    drawn = any(OWN_HEAD.search(key) for key in _keys(info, "missing_keys"))
    labels: dict[int, str] = cast("Any", module).config.id2label
    return 0 if drawn or any(label != f"LABEL_{row}" for row, label in labels.items()) else len(labels)


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
