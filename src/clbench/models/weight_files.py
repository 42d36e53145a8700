"""The files of a checkpoint that hold its weights, and what their beginnings say; no weight is read, and no torch."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from clbench.core.errors import ModelError
from clbench.models.files import check_pointer, named_as_weights, shards

# As transformers looks for them, the first that is there.
ORDER = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
META = "these are weights in Meta's or Mistral's own form: name the repository in Hugging Face format"
AGAIN = "download or write the checkpoint again"
LENGTH = 8  # bytes in front of a safetensors header that say how long it is
MOST_HEADER = 100_000_000  # bytes; the library's own limit


class Entry(NamedTuple):
    """A weight as its file states it: the type (F32, BF16, ...) and the shape."""

    kind: str
    shape: tuple[int, ...]


def weight_files(folder: Path, named: Any = None) -> list[Path]:
    """Return the files that loaders read the weights from.

    Args:
        folder: The checkpoint.
        named: What its configuration says under `transformers_weights`, if anything.

    Raises:
        ModelError: There are none under the names that loaders know; a file that an index names is missing, empty,
            or was not downloaded.
    """
    found = [name for name in ([named] if isinstance(named, str) else ORDER) if (folder / name).is_file()]
    if not found:
        raise _none(folder)
    names = [found[0]]
    if found[0].endswith(".index.json"):
        names = sorted(name for name in shards(folder) if name.endswith(_ending(found[0])))
        lacking = [name for name in names if not (folder / name).is_file()]
        if lacking or not names:
            what = f"{found[0]} names {len(lacking)} of {len(names)} files that are not there: {', '.join(lacking[:3])}"
            raise ModelError(what, where=str(folder), mend="finish the download")
    for name in names:
        check_pointer(folder / name)
        if (folder / name).stat().st_size == 0:
            raise ModelError(f"{name} is empty", where=str(folder), mend=AGAIN)
    return [folder / name for name in names]


def _ending(index: str) -> str:
    return index.removesuffix(".index.json").partition(".")[2]


def _none(folder: Path) -> ModelError:
    here = named_as_weights(folder)
    parts = [name for name in here if "-of-" in name]
    if parts:
        index = f"{'pytorch_model.bin' if parts[0].endswith('.bin') else 'model.safetensors'}.index.json"
        what = f"the weights lie in parts ({parts[0]}, ...), and {index}, which names them, is not there"
        return ModelError(what, where=str(folder), mend="finish the download")
    what = f"there are no weights under a name that is looked for: {', '.join(here[:3])}"
    own_form = any(name.startswith("consolidated") for name in here)
    mend = META if own_form else "rename the file to model.safetensors (or pytorch_model.bin)"
    return ModelError(what, where=str(folder), mend=mend)


def header(path: Path) -> dict[str, Entry]:
    """Return the weights that a safetensors file says it holds, by name.

    Raises:
        ModelError: The file is cut off, or is not a safetensors file.
    """
    where, size = str(path.parent), path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH), "little")
        if not 2 <= length <= MOST_HEADER:
            raise ModelError(f"{path.name} is not a safetensors file", where=where, mend=AGAIN)
        text = file.read(length)
    if len(text) < length:
        raise _cut_off(path, length + LENGTH, size)
    try:
        stated: Any = json.loads(text)
        end, found = _read(stated)
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"the beginning of {path.name} cannot be read: {error}", where=where, mend=AGAIN) from error
    if size < LENGTH + length + end:
        raise _cut_off(path, LENGTH + length + end, size)
    return found


def _cut_off(path: Path, stated: int, size: int) -> ModelError:
    what = f"{path.name} is cut off: it says that it has {stated:,} bytes, and has {size:,}"
    return ModelError(what, where=str(path.parent), mend="finish the download")


def _read(stated: Any) -> tuple[int, dict[str, Entry]]:
    """Return where the last weight ends, in bytes behind the header, and all weights."""
    end, found = 0, dict[str, Entry]()
    for name, about in stated.items():
        if name == "__metadata__":
            continue
        kind, shape = str(about["dtype"]), tuple(int(n) for n in about["shape"])
        first, last = (int(place) for place in about["data_offsets"])
        if min(shape, default=1) < 0 or last - first != _bytes(kind, shape):
            raise ValueError(f"{name} has {last - first} bytes, which is not its shape {shape} in {kind}")
        end = max(end, last)
        found[str(name)] = Entry(kind, shape)
    return end, found


def _bytes(kind: str, shape: tuple[int, ...]) -> int:
    digits = "".join(c for c in kind.partition("_")[0] if c.isdigit())  # BF16, F8_E4M3; BOOL says none
    return math.prod(shape) * int(digits or 8) // 8
