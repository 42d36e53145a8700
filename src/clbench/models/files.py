"""The files of a checkpoint folder that its answers depend on: those that loaders read, also in subfolders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from clbench.core.errors import ModelError

# Logs and optimiser files beside them do not change the model's identity.
PATTERNS = ("*.json", "*.safetensors", "*.bin", "*.model", "*.txt", "*.jinja")
VOCABULARIES = ("*.spm", "*.codes", "*.tiktoken", "*.tokenizer", "*.vocab", "*.v3")  # of older and rarer tokenizers
BELOW = "additional_chat_templates/*.jinja"
NOT_IDENTITY = frozenset({"pretraining.json", "trainer_state.json", "training_args.bin", "generation_config.json"})
# Files of a tokenizer that are read without it, and those that hold its words.
TOKENIZER = frozenset(
    {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", "chat_template.json"}
)
WORDS = ("tokenizer.json", "vocab.json", "vocab.txt", "*.model", *VOCABULARIES)
# Files with an ending of weights that hold none of the base: they lie in folders of trainers, and beside adapters.
NO_WEIGHTS = frozenset(
    {"adapter_model.safetensors", "adapter_model.bin", "training_args.bin", "optimizer.bin", "scheduler.bin"}
)
POINTER = b"version https://git-lfs.github.com/spec/"
INDEXES = ("*.safetensors.index.json", "*.bin.index.json")


def identity_files(folder: Path) -> set[str]:
    """Return the files that answers depend on, by their paths from the folder: weights, tokenizer, templates.

    Raises:
        ModelError: One of them is a link that leads nowhere; or see `shards`.
    """
    found = {p.name for pattern in (*PATTERNS, *VOCABULARIES) for p in folder.glob(pattern)} - NOT_IDENTITY
    below = {p.relative_to(folder).as_posix() for p in folder.glob(BELOW)}
    if lost := sorted(name for name in found if not (folder / name).exists()):
        raise ModelError(f"{lost[0]} is a link that leads nowhere", where=str(folder), mend="finish the download")
    return found | below | {name for name in shards(folder) if (folder / name).is_file()}


def shards(folder: Path) -> frozenset[str]:
    """Return the files of weights that a checkpoint's indexes name.

    Raises:
        ModelError: An index cannot be read, or names a file outside the folder.
    """
    indexes = [path for pattern in INDEXES for path in sorted(folder.glob(pattern)) if path.is_file()]
    stats = [(path, path.stat()) for path in indexes]
    return frozenset(name for path, s in stats for name in _named(path, (s.st_size, s.st_mtime_ns)))


@lru_cache(maxsize=64)
def _named(path: Path, _stamp: tuple[int, int]) -> frozenset[str]:
    where, mend = str(path.parent), "write the checkpoint again"
    try:
        stated: Any = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise ModelError(f"{path.name} cannot be read: {error}", where=where, mend=mend) from error
    named: Any = stated.get("weight_map") if isinstance(stated, dict) else None
    if not isinstance(named, Mapping) or not all(isinstance(file, str) and file for file in named.values()):
        raise ModelError(f"{path.name} does not say which file holds which weights", where=where, mend=mend)
    for file in set(named.values()):
        if "\\" in file or PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts:
            what = f"{path.name} names {file!r}, which leads out of the checkpoint"
            raise ModelError(what, where=where, mend="put all files of weights into the folder, and name them there")
    return frozenset(PurePosixPath(file).as_posix() for file in named.values())


def has_tokenizer(folder: Path) -> bool:
    """Return whether the words of a tokenizer lie in a folder."""
    return any(path.is_file() for pattern in WORDS for path in folder.glob(pattern))


def named_as_weights(folder: Path) -> list[str]:
    """Return the files in a folder whose names are those of weights, in any form that is read; sorted."""
    found = {path.name for pattern in ("*.safetensors", "*.bin") for path in folder.glob(pattern)}
    return sorted(found - NO_WEIGHTS)


def check_pointer(path: Path) -> None:
    """Refuse a file that was not downloaded: git LFS leaves a few lines in its place, some servers a web page.

    Raises:
        ModelError: Says which it is. A file that cannot be read is left to its reader.
    """
    try:
        with path.open("rb") as file:
            start = file.read(64).lstrip().lower()
    except OSError:
        return
    where, name = str(path.parent), path.name
    if start.startswith(POINTER):
        what, mend = f"{name} is a pointer of git LFS, not the file itself", "run `git lfs pull` in that folder"
        raise ModelError(what, where=where, mend=mend)
    if start.startswith((b"<!doctype", b"<html")):
        raise ModelError(f"{name} is a web page, not the file itself", where=where, mend="download it again")
