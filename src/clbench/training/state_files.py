"""Write and read states: tensors as safetensors, the rest as canonical JSON; the same state gives the same bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from clbench.core.errors import StoreError
from clbench.core.keys import canonical
from clbench.core.types import Example
from clbench.models.four_bits import count
from clbench.store.shared import PARTS, has_tensors, layout_of
from clbench.training.settled import of_a_lesson, unpacked

LABELS = Path("answers") / "labels.json"
PLAIN = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}
TYPES = PLAIN | {torch.float64: "F64", torch.int64: "I64", torch.int32: "I32", torch.bool: "BOOL", torch.uint8: "U8"}
Keeper = Callable[[str, Mapping[str, Tensor]], str]
Noter = Callable[[str, Mapping[str, Tensor], str], None]


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors in sorted order, contiguous and on the CPU."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flat = {k: tensors[k].detach().cpu().contiguous() for k in sorted(tensors)}
    kinds = {tensor.dtype for tensor in flat.values()}
    if len(kinds) == 1 and kinds <= PLAIN.keys():
        _write_plain(path, flat, PLAIN[kinds.pop()])
    else:
        save_file(flat, str(path))


def _write_plain(path: Path, tensors: Mapping[str, Tensor], kind: str) -> None:
    """Write sorted tensors of one type as `save_file` would, to the byte: its checks take longer than small tensors."""
    header: dict[str, Any] = {}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            f.write(tensor.reshape(-1).view(torch.uint8).numpy().data)


def load_tensors(path: Path, device: torch.device) -> dict[str, Tensor]:
    """Read tensors, from one file or from those that the store has taken it apart into.

    Raises:
        StoreError: A file is broken.
    """
    try:
        layout = layout_of(path)
        if layout is None:
            return load_file(str(path), device=str(device))
        return _gathered(layout.tensors, device)
    except (SafetensorError, OSError, ValueError, LookupError, TypeError) as error:
        raise StoreError(
            f"cannot be read: {error}", where=str(path), mend="delete the stage; it is made again"
        ) from error


def _gathered(places: Mapping[str, tuple[Path, str]], device: torch.device) -> dict[str, Tensor]:
    """Read tensors from where they lie, each file once; they come in the order of `places`."""
    by_file: dict[Path, list[str]] = {}
    for name, (path, _) in places.items():
        by_file.setdefault(path, []).append(name)
    found: dict[str, Tensor] = {}
    for path, names in by_file.items():
        with safe_open(str(path), framework="pt", device=str(device)) as f:
            found |= {name: f.get_tensor(places[name][1]) for name in names}
    return {name: found[name] for name in places}


def save_state(folder: Path, state: Mapping[str, Any], keep: Keeper | None = None) -> int:
    """Write a method's state: tensors, examples, JSON values, one level deep.

    Args:
        folder: `keeps/` or `answers/` of a state.
        state: What the method keeps.
        keep: Writes what belongs to one lesson into a file of its own (`training.settled`) and returns that file's
            name; None writes it with the rest.

    Returns:
        The bytes that all of it takes in one tensor file and one JSON file, wherever it has been put.
    """
    tensors: dict[str, Tensor] = {}
    apart: dict[str, Tensor] = {}
    plain: dict[str, Any] = {}
    files: dict[str, str] = {}
    for name, value in state.items():
        if isinstance(value, Tensor):
            tensors[name] = value
        elif isinstance(value, Mapping) and value and all(isinstance(v, Tensor) for v in value.values()):
            plain[name] = {"tensors": sorted(value)}
            of_lesson = keep is not None and of_a_lesson(name, value)
            (apart if of_lesson else tensors).update({f"{name}/{k}": v for k, v in value.items()})
            if keep is not None and of_lesson:
                files[name] = keep(name, value)
        elif isinstance(value, (list, tuple)) and value and all(isinstance(v, Example) for v in value):
            plain[name] = {"examples": list(value)}
        else:
            plain[name] = {"value": value}
    if not tensors and not plain:
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    if tensors:
        save_tensors(folder / "method.safetensors", tensors)
    text = canonical(plain)
    described = {name: {**value, "file": files[name]} if name in files else value for name, value in plain.items()}
    (folder / "method.json").write_text(canonical(described) if files else text, encoding="utf-8")
    if apart:
        return whole_bytes({**tensors, **apart}) + len(text.encode())
    return sum(p.stat().st_size for p in folder.iterdir() if p.name.startswith("method."))


def whole_bytes(tensors: Mapping[str, Tensor]) -> int:
    """Return the bytes of the file that `save_tensors` would make, to within a few where types are mixed."""
    end, header = 0, 1
    for name in sorted(tensors):
        one = tensors[name]
        start, end = end, end + one.numel() * one.element_size()
        shape = ",".join(map(str, one.shape))
        kind = TYPES.get(one.dtype, "F32")
        said = f':{{"dtype":"{kind}","shape":[{shape}],"data_offsets":[{start},{end}]}},'
        header += len(json.dumps(name, ensure_ascii=False).encode()) + len(said)
    header += not tensors
    return 8 + header + -header % 8 + end


def size_of(weights: Iterable[Tensor]) -> tuple[int, int]:
    """Return the number of parameters, and their bytes."""
    params = list(weights)
    return sum(count(p) for p in params), sum(p.numel() * p.element_size() for p in params)


def load_state(folder: Path, device: torch.device, note: Noter | None = None) -> dict[str, Any]:
    """Read what `save_state` wrote; empty if it wrote nothing. `note` is told of files of their own."""
    described = folder / "method.json"
    if not described.is_file():
        return {}
    plain = json.loads(described.read_text(encoding="utf-8"))
    path = folder / "method.safetensors"
    tensors = load_tensors(path, device) if has_tensors(path) else {}
    state: dict[str, Any] = {}
    for name, value in plain.items():
        if "file" in value:
            state[name] = unpacked(load_tensors(folder.parent / PARTS / value["file"], device))
            if note is not None:
                note(name, state[name], value["file"])
        elif "tensors" in value:
            state[name] = {k: tensors.pop(f"{name}/{k}") for k in value["tensors"]}
        elif "examples" in value:
            state[name] = [Example.model_validate(e) for e in value["examples"]]
        else:
            state[name] = value["value"]
    return {**state, **tensors}


def save_labels(state: Path, labels: Sequence[str]) -> None:
    """Write the labels of an encoder's head into a state, in the order of their rows; nothing for none."""
    if labels:
        (state / LABELS).parent.mkdir(parents=True, exist_ok=True)
        (state / LABELS).write_text(canonical(labels), encoding="utf-8")


def load_labels(state: Path) -> list[str]:
    """Return what `save_labels` wrote; empty if it wrote nothing."""
    return json.loads((state / LABELS).read_text(encoding="utf-8")) if (state / LABELS).is_file() else []


def check_same_parts(params: Collection[str], found: Collection[str], changed: Collection[str], where: Path) -> None:
    """Refuse saved weights of a method that had other parts: the model would answer with parts that never learnt."""
    odd = [name for name in found if name not in params]
    odd += [name for name in changed if ".lora_" in name and name in params and name not in found]
    if odd:
        raise StoreError(
            f"the saved weights and the method have other parts, for example {min(odd)}",
            where=str(where),
            mend="another version of clbench, peft or transformers made them: learn them anew with --store",
        )
