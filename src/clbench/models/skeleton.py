"""A checkpoint's model built without its weights, on the device `meta`: what its files say is checked before loading.

The names, shapes and types of the weights are read from the beginnings of their files, so that seven billion of them
cost a second. What depends on their values (NaN, whether the model looks ahead) is checked when they are loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clbench.core.errors import ModelError
from clbench.core.events import notice
from clbench.core.keys import canonical
from clbench.core.spec import ModelSpec
from clbench.core.types import Message
from clbench.models import source
from clbench.models.adapter import base_alone, check_fits
from clbench.models.files import identity_files
from clbench.models.four_bits import layers_for
from clbench.models.loaded import check_keys, check_vocabulary, tell_keys
from clbench.models.net import seeded
from clbench.models.pickles import of_pickle
from clbench.models.pretrained import how_to_build, load_tokenizer, output_name, pretrained, tried
from clbench.models.probe import check_known, known_rows
from clbench.models.reader import Reader
from clbench.models.shape import without_weights
from clbench.models.weight_files import header, weight_files

KINDS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
ASKED = Message(role="user", content="Which colour is the sea?")
_passed: set[str] = set()  # what has been checked in this process: a checkpoint's files are not read twice


def check_checkpoint(spec: ModelSpec, *, tell: bool = False) -> None:
    """Refuse a checkpoint that its files show not to work, before its weights are read.

    Args:
        spec: The model.
        tell: Whether weights that are drawn at random, or not used, are told of; loading tells of them too.

    Raises:
        ModelError: It is of an unsupported kind; its weights are damaged, of another model or of other shapes; its
            tokenizer is missing, or belongs to another model; its template is broken; or its code is not trusted.
        ExtraError: A package that its tokenizer needs is not installed.
    """
    source.check_architecture(spec)
    folder, spec = source.locate(spec), source.settled(spec)
    family = source.family_of(spec, list(source.configuration(spec).get("architectures") or []))
    done = canonical([spec, [] if folder is None else _stamps(spec, folder)])
    if done in _passed and not tell:
        return
    tokenizer = load_tokenizer(spec, folder)
    if folder is not None:
        with base_alone(folder) as base:
            _check_built(spec, base or folder, tokenizer, family == "causal", tell)
    _passed.add(done)


def _stamps(spec: ModelSpec, folder: Path) -> list[tuple[str, int, int]]:
    adapter = source.adapter_of(spec)
    files = [place / name for place in {folder, adapter or folder} for name in identity_files(place)]
    stats = [(str(file), file.stat()) for file in sorted(files)]
    return [(name, s.st_size, s.st_mtime_ns) for name, s in stats]


def _check_built(spec: ModelSpec, base: Path, tokenizer: Any, causal: bool, tell: bool) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

    auto = AutoModelForCausalLM if causal else AutoModelForSequenceClassification
    folder = source.locate(spec) or base
    weights = _weights(folder, source.configuration(spec).get("transformers_weights"))
    config = pretrained(AutoConfig, spec, base)
    module: Any = tried(lambda: without_weights(auto, config, spec), spec, folder)
    info = _fitted(module, weights, spec)
    if info is None:
        if tell:
            notice(f"{spec.name}: whether the weights fit config.json is seen when they are loaded")
    else:
        check_keys(spec.name, info, weights)
        if tell:
            tell_keys(spec.name, info, module)
    _check_attention(module, spec)
    check_vocabulary(spec.name, tokenizer, module)
    if causal:
        reader, rows = Reader(tokenizer, spec), known_rows(module)
        check_known(list(reader.ends[:1]), rows, tokenizer, spec.name)  # reads generation_config.json too
        check_known(reader.ids((ASKED,)), rows, tokenizer, spec.name)
    if spec.quantised:
        layers_for(module, output_name(module))
    if (adapter := source.adapter_of(spec)) is not None:
        check_fits(module, adapter)


def _fitted(module: Any, weights: dict[str, Tensor], spec: ModelSpec) -> dict[str, Any] | None:
    """Return what the library says of weights that are put into a model: lost, strange and misshapen ones.

    Returns:
        Keys "missing_keys", "unexpected_keys", "mismatched_keys"; None if only loading tells.
    """
    options = {"device_map": {"": "meta"}, "ignore_mismatched_sizes": True, "output_loading_info": True}
    try:
        with seeded(0, torch.device("cpu")):
            _, info = type(module).from_pretrained(
                None, config=module.config, state_dict=weights, dtype=how_to_build(spec)["dtype"], **options
            )
    except Exception:  # where weights are converted by their values
        return None
    return dict(info)


def _weights(folder: Path, named: Any) -> dict[str, Tensor]:
    """Return the weights of a checkpoint by name, as tensors without values."""
    found: dict[str, Tensor] = {}
    for path in weight_files(folder, named):
        if path.suffix == ".bin":
            found |= of_pickle(path)
            continue
        for name, entry in header(path).items():
            found[name] = torch.empty(entry.shape, dtype=KINDS.get(entry.kind, torch.float8_e4m3fn), device="meta")
    return found


def _check_attention(module: Any, spec: ModelSpec) -> None:
    """Refuse a model that computes attention otherwise than the spec asks.

    Raises:
        ModelError: Says how it does.
    """
    found = module.config._attn_implementation
    if spec.attention is not None and found != spec.attention:
        what = f"{type(module).__name__} computes attention by {found!r}, not {spec.attention!r}"
        raise ModelError(what, where="model.attention", mend="leave `attention` out")
