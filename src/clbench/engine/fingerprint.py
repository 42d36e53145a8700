"""What decides how a checkpoint is asked, and where: compared before a drop is put down to the weights."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clbench.core.keys import digest, file_digest
from clbench.core.spec import Machine, ModelSpec
from clbench.models import source
from clbench.store.origin import cores, cpu_model, gpus, package_version

SHORT = 12  # digits of a digest that are kept and shown
VOCABULARIES = ("vocab.json", "vocab.txt", "merges.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
MARKS = ("bos_token", "eos_token", "pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
ADDED = ("add_bos_token", "add_eos_token", "add_prefix_space")
ENDS = ("bos_token_id", "eos_token_id", "pad_token_id")
# Settings of generation at which they do nothing; a file that writes them out says no more than one that does not.
# Those that are named here may also stand in config.json, where they were kept before generation_config.json.
IDLE: dict[str, Any] = {
    "do_sample": False,
    "temperature": 1.0,
    "top_k": 50,
    "top_p": 1.0,
    "typical_p": 1.0,
    "min_p": 0.0,
    "num_beams": 1,
    "num_beam_groups": 1,
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "diversity_penalty": 0.0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "length_penalty": 1.0,
    "early_stopping": False,
    "min_length": 0,
    "min_new_tokens": 0,
    "max_length": 20,
    "max_new_tokens": None,
    "num_return_sequences": 1,
    "bad_words_ids": None,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "remove_invalid_values": False,
}
# Fields of config.json that change what the same weights compute.
ROTARY = re.compile(r"rope|rotary|alibi|position_embedding_type|position_bucket")
COMPUTING = re.compile(
    r"_act$|_act_fn$|activation|_eps$|epsilon|sliding|window|scal|multiplier|softcap|tie_word|layer_types"
    r"|heads$|^n_head$|head_dim|layers$|^n_layer$|experts|topk|top_k_|quantization_config|is_decoder|bidirectional"
)
NOT_DECODING = frozenset({"transformers_version", "use_cache", "return_dict_in_generate", *ENDS})


def parts_of(model: ModelSpec) -> dict[str, str]:
    """Return what decides how a checkpoint's weights are asked, by its files: name -> value, or digest of a long one.

    Keys are "model class", "weights saved in", "read in", "longest input", "positions", "vocabulary", "rotary
    positions", "computing settings" (activation, norms, heads, windows), "chat template", "tokenizer", "special
    tokens", "end tokens" and "generation settings"; "none" is a part that the checkpoint has not.
    What a rewritten file changes without effect (order, versions, padding of the last use) is left out. Files of a Hub
    model are those of the local cache; what is not there is not given.

    Raises:
        ModelError: There is no such model.
    """
    folder = source.locate(model)
    config = _json(folder, model, "config.json")
    read_in = f"nf4, {model.dtype}" if model.quantised else model.dtype
    known = {"read in": read_in, "longest input": str(model.max_tokens)}
    if config is None:
        return known
    tokenizer = _json(folder, model, "tokenizer_config.json") or {}
    generation = _json(folder, model, "generation_config.json")
    return known | {
        "model class": ", ".join(map(str, config.get("architectures") or [])) or "none",
        "weights saved in": str(config.get("dtype") or config.get("torch_dtype") or "none"),
        "positions": str(config.get("max_position_embeddings", config.get("n_positions", "none"))),
        "vocabulary": str(config.get("vocab_size", "none")),
        "rotary positions": _said(_fields(config, ROTARY)),
        "computing settings": _said(_fields(config, COMPUTING)),
        "chat template": _template(folder, model, tokenizer),
        "tokenizer": _tokenizer(folder, model),
        "special tokens": _said(_marks(folder, model, tokenizer)),
        "end tokens": _said(_chosen(ENDS, config, generation or {})),
        "generation settings": _said(_decoding(config, generation or {})),
    }


def machine_of(machine: Machine, model: ModelSpec) -> dict[str, str]:
    """Return what of a machine may change an answer: device, its model, threads, precision, versions."""
    device = machine.device.partition(":")[0]
    if device == "auto":
        device = "cuda" if gpus() and "+cpu" not in (package_version("torch") or "") else "cpu"
    found = {"device": device, "precision": model.dtype}
    if device == "cpu":
        found |= {"cpu": cpu_model(), "threads": os.environ.get("OMP_NUM_THREADS") or str(cores())}
    else:
        found |= {"accelerator": ", ".join(sorted({name.partition(": ")[2] for name in gpus()}))}
    packages = ("torch", "transformers", "tokenizers", *(["bitsandbytes"] if model.quantised else []))
    versions = {name: package_version(name) or "none" for name in packages}
    batch = {} if model.dtype == "float32" else {"exam batch": str(machine.exam_batch)}
    if batch and machine.processes > 1:
        batch |= {"processes": str(machine.processes)}
    return found | batch | versions


def _file(folder: Path | None, model: ModelSpec, name: str) -> Path | None:
    """Return a file of a checkpoint, of a Hub model out of the local cache; None if it is not there."""
    if folder is not None:
        return folder / name if (folder / name).is_file() else None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model.name, name, revision=model.revision)
    return Path(found) if isinstance(found, str) else None


def _json(folder: Path | None, model: ModelSpec, name: str) -> dict[str, Any] | None:
    path = _file(folder, model, name)
    if path is None:
        return None
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError):
        return {"unreadable": file_digest(path)}  # that it differs is all there is to say
    return value if isinstance(value, dict) else {"unreadable": file_digest(path)}


def _template(folder: Path | None, model: ModelSpec, tokenizer: Mapping[str, Any]) -> str:
    """Digest the chat template, wherever it is kept; one of several names is digested with its name."""
    found: dict[str, str] = {}
    kept = tokenizer.get("chat_template")
    if isinstance(kept, str):
        found["default"] = kept
    elif isinstance(kept, Sequence):
        found |= {str(t.get("name")): str(t.get("template")) for t in kept if isinstance(t, Mapping)}
    if (path := _file(folder, model, "chat_template.jinja")) is not None:
        found["default"] = path.read_text(encoding="utf-8", errors="replace")
    elif isinstance(text := (_json(folder, model, "chat_template.json") or {}).get("chat_template"), str):
        found["default"] = text
    if folder is not None:
        more = sorted((folder / "additional_chat_templates").glob("*.jinja"))
        found |= {p.stem: p.read_text(encoding="utf-8", errors="replace") for p in more}
    return digest(found)[:SHORT] if found else "none"


def _tokenizer(folder: Path | None, model: ModelSpec) -> str:
    """Digest what turns text into ids: tokenizer.json without what its last use left in it, else the vocabulary."""
    whole = _json(folder, model, "tokenizer.json")
    if whole is not None:
        return digest({k: v for k, v in whole.items() if k not in ("padding", "truncation", "version")})[:SHORT]
    paths = [path for name in VOCABULARIES if (path := _file(folder, model, name)) is not None]
    return digest({p.name: file_digest(p) for p in paths})[:SHORT] if paths else "none"


def _marks(folder: Path | None, model: ModelSpec, tokenizer: Mapping[str, Any]) -> dict[str, Any]:
    named = {**(_json(folder, model, "special_tokens_map.json") or {}), **tokenizer}
    found = {n: named[n] for n in (*MARKS, *ADDED) if named.get(n) is not None}
    return {n: v.get("content") if isinstance(v, Mapping) else v for n, v in found.items()}


def _chosen(names: Sequence[str], *places: Mapping[str, Any]) -> dict[str, Any]:
    """Return the named settings; a later place goes before an earlier one."""
    return {n: place[n] for place in places for n in names if place.get(n) is not None}


def _fields(config: Mapping[str, Any], names: re.Pattern[str]) -> dict[str, Any]:
    """Return the fields of these names that say something, older names and defaults as transformers reads them."""
    whole = source.as_read(config)
    return {k: v for k, v in whole.items() if names.search(k) and v not in (None, False) and not k.startswith("_")}


def _decoding(config: Mapping[str, Any], generation: Mapping[str, Any]) -> dict[str, Any]:
    own = {k: v for k, v in generation.items() if k not in NOT_DECODING and not k.startswith(("output_", "_"))}
    found = _chosen(tuple(IDLE), config) | own
    return {k: v for k, v in found.items() if v is not None and v != IDLE.get(k)}


def _said(value: Mapping[str, Any]) -> str:
    """Write settings as one line; "none" for none, a digest in place of a long line."""
    text = ", ".join(f"{k} {json.dumps(v, sort_keys=True, ensure_ascii=False)}" for k, v in sorted(value.items()))
    if len(text) > 160:
        return digest(dict(value))[:SHORT]
    return text or "none"
