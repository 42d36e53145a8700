"""Load parts of a checkpoint with the transformers library, with clear errors."""

from __future__ import annotations

from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from clbench.core.errors import ModelError
from clbench.core.extras import explained, need
from clbench.core.spec import ModelSpec
from clbench.models import source
from clbench.models.custom_code import refused_code
from clbench.models.files import check_pointer, has_tokenizer, identity_files
from clbench.models.loaded import check_loaded

if TYPE_CHECKING:
    from transformers import PreTrainedModel

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
NEEDS_CODE = "trust_remote_code"  # what the library's errors name where a checkpoint brings code of its own
WORDS = "The sea is calm."


def pretrained(auto: Any, spec: ModelSpec, folder: Path | None, **settings: Any) -> Any:
    """Return what `auto.from_pretrained` loads from a folder or a pinned Hub id, or raise a clear error.

    Weights are read in the precision and with the attention that the spec names.

    Raises:
        ModelError: It does not load, or its weights are not those of the model (`check_loaded`).
    """
    has_weights = auto.__name__.startswith("AutoModel")
    if has_weights:
        settings |= {"output_loading_info": True, "weights_only": True}  # a pickle may hold tensors, and no code
        settings |= how_to_build(spec)
    place = str(folder) if folder is not None else spec.name
    revision: dict[str, Any] = {} if folder is not None else {"revision": spec.revision}
    found = tried(lambda: auto.from_pretrained(place, **trust(spec), **revision, **settings), spec, folder)
    if not has_weights:
        return found
    module, info = found
    check_loaded(spec.name, info, module)
    return module


def trust(spec: ModelSpec) -> dict[str, bool]:
    """Return whether code of the checkpoint runs; without this, transformers asks at the terminal."""
    return {"trust_remote_code": spec.trust_code is not None}


def how_to_build(spec: ModelSpec) -> dict[str, Any]:
    """Return the settings with which a model is built, from its weights or without."""
    attention = {} if spec.attention is None else {"attn_implementation": spec.attention}
    return {"dtype": DTYPES[spec.dtype], **attention}


def tried(load: Any, spec: ModelSpec, folder: Path | None) -> Any:
    """Return what a function of the library gives, or raise a clear error.

    Raises:
        ModelError: It raises an exception, whatever it met in a file that is not what it seems.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()  # ours stand on stderr already
    logging.set_verbosity_error()  # we report what matters
    # Where it is installed, peft imports it for any adapter, and it advises a kernel that is not used here.
    getLogger("bitsandbytes").setLevel("ERROR")
    try:
        return load()
    except ModelError:
        raise
    except Exception as error:
        if isinstance(error, ImportError) and explained(error) is not None:
            raise
        raise _clear(error, spec, folder) from error


def _clear(error: Exception, spec: ModelSpec, folder: Path | None) -> ModelError:
    text = str(error).strip()
    stated = (source.configuration(spec), source.stated(spec, "tokenizer_config.json"))
    if NEEDS_CODE in text and any("auto_map" in each for each in stated):
        return refused_code(folder, spec.name)
    lines = text.splitlines() or [type(error).__name__]
    first = f"{lines[0]} {lines[1].strip()}" if lines[0].endswith(":") and len(lines) > 1 else lines[0]
    if isinstance(error, KeyError):
        first = f"config.json names {first}, which transformers does not know"
    if type(error).__name__ == "UnpicklingError":
        first = f"{type(error).__name__}: a file of weights holds more than tensors (nothing of it was run)"
    if spec.attention is not None and any(word in text.lower() for word in ("attention", "attn")):
        mend = "leave `attention` out, or install what it needs; eager and sdpa come with transformers"
        return ModelError(f"{spec.name!r} does not load so: {first}", where="model.attention", mend=mend)
    if "does not recognize this architecture" in first:
        mend = "install a newer transformers, if it is a new model; else bring the right config.json back"
        return ModelError(f"{spec.name!r} does not load: {first}", where="model.name", mend=mend)
    return ModelError(
        f"{spec.name!r} does not load: {first}",
        where="model.name",
        mend="the folder must hold config.json, weights and tokenizer files in Hugging Face format",
    )


def load_tokenizer(spec: ModelSpec, folder: Path | None) -> Any:
    """Return the tokenizer of a checkpoint, from beside its adapter if that brings one.

    Raises:
        ModelError: There is none, it does not load, or it knows no words.
        ExtraError: Its words are those of sentencepiece, which is not installed.
    """
    from transformers import AutoTokenizer

    home = None if folder is None else source.tokenizer_home(spec, folder)
    if home is not None:
        for name in sorted(identity_files(home)):
            if not name.endswith((".safetensors", ".bin")):
                check_pointer(home / name)
        source.stated(spec, "tokenizer.json")  # what is wrong with it is told by its name
        _check_words(spec, home)
    tokenizer = pretrained(AutoTokenizer, spec, home)
    words = set(tokenizer.get_vocab()) - set(tokenizer.get_added_vocab()) - set(tokenizer.all_special_tokens)
    if not words or not tokenizer.encode(WORDS, add_special_tokens=False, verbose=False):
        what = f"the tokenizer knows no words ({type(tokenizer).__name__}, {len(tokenizer)} special tokens)"
        raise ModelError(what, where=spec.name, mend="bring the files with its words back: tokenizer.json")
    return tokenizer


def _check_words(spec: ModelSpec, home: Path) -> None:
    if not has_tokenizer(home) and not source.stated(spec, "tokenizer_config.json"):
        mend = "copy the tokenizer's files of the base model there (tokenizer.json, tokenizer_config.json, ...)"
        raise ModelError(f"{home} holds no tokenizer", where="model.name", mend=mend)
    models = sorted(path.name for path in home.glob("*.model"))
    if models and not any((home / name).is_file() for name in ("tokenizer.json", "vocab.json", "vocab.txt")):
        need("sentencepiece", "sentencepiece", f"the tokenizer of {spec.name!r}, which is in {models[0]} alone,")


def output_name(module: nn.Module) -> str:
    """Return the name of the vocabulary layer, which adapters leave alone."""
    output = cast("PreTrainedModel", module).get_output_embeddings()
    return next((name for name, part in module.named_modules() if part is output), "lm_head")
