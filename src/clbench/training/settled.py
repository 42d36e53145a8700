"""What a later lesson leaves alone stands in files of its own, which each further state takes over by a link.

So a state costs what the lesson changed, however many lessons came before. Settled are

    weights that learnt in an earlier lesson and do not learn now (in the net, or parked beside it): what settles in
        one lesson is one file, listed in `answers/settled.json`;
    of a method's state, each mapping of tensors whose name ends in a number, such as "part.3": it belongs to a lesson.

A file lies in the state's `parts/` under its sha256, so the digest of a state still covers all that it holds. Tensors
that are mostly zeros (the changes that TIES keeps) are packed: a bit for each number, and those that are not zero.
Whether something is as it was is told by the tensors themselves: the same objects, which nobody has written to since.
A method from outside may write past that (`weight.data`), so there contents are compared.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from clbench.core.keys import canonical, file_digest
from clbench.store.shared import PARTS
from clbench.training.method import Method

LIST = Path("answers") / "settled.json"
OF_A_LESSON = re.compile(r".*\d")
BITS: dict[torch.dtype, torch.dtype] = {torch.float32: torch.int32, torch.bfloat16: torch.int16}
LEAST, MOST_FULL = 1024, 0.5  # numbers of a tensor that is packed, and share of them that is not zero
MASK, VALUES, SHAPE = "#mask", "#values", "#shape"

Writer = Callable[[Path, Mapping[str, Tensor]], None]
Reader = Callable[[Path, torch.device], dict[str, Tensor]]
Mark = tuple[weakref.ref[Tensor], int, int]


class Group(NamedTuple):
    """Weights that settled in one lesson.

    Attributes:
        names: Their names.
        file: Name of their file in `parts/`: its sha256.
    """

    names: tuple[str, ...]
    file: str


class Settled:
    """What a learner knows of the files of its last state.

    Attributes:
        groups: Weights that are settled, oldest first.
        loose: Weights that do not learn and changed all the same: they are written with those that learn.
    """

    def __init__(self, method: Method, write: Writer, read: Reader) -> None:
        self._trusted = _ships(method)
        self._write, self._read = write, read
        self._known: dict[str, tuple[str, list[Mark]]] = {}
        self.groups: list[Group] = []
        self.loose: set[str] = set()

    def keep(self, label: str, tensors: Mapping[str, Tensor], state: Path, earlier: Sequence[Path]) -> str:
        """Write tensors into a state, or link the file of an earlier one that holds them; return the file's name.

        Args:
            label: What they are; the same in every state.
            tensors: Name -> tensor.
            state: Folder of the state that is being written.
            earlier: Folders of states that may hold the file already.
        """
        known = self._known.get(label)
        if known is not None and self._trusted and _same(tensors, known[1]) and _linked(known[0], state, earlier):
            return known[0]
        parts = state / PARTS
        parts.mkdir(parents=True, exist_ok=True)
        draft = parts / "new"
        self._write(draft, packed(tensors))
        name = file_digest(draft)
        draft.unlink() if _linked(name, state, earlier) else draft.rename(parts / name)
        self.note(label, tensors, name)
        return name

    def note(self, label: str, tensors: Mapping[str, Tensor], file: str) -> None:
        """Remember which file holds tensors that were just written or read."""
        self._known[label] = file, _marks(tensors)

    # --- weights --------------------------------------------------------------------------------------------

    def close(self, weights: Mapping[str, Tensor], learning: Collection[str]) -> None:
        """End a lesson: what learnt before and not in it settles, and what has changed all the same comes loose.

        So what is settled depends on the lessons, and not on when a state is written or read.

        Args:
            weights: All that differ from the base.
            learning: Names of what learnt in the lesson.
        """
        still: list[Group] = []
        for group in self.groups:
            own = {name: weights[name] for name in group.names if name in weights and name not in learning}
            if len(own) == len(group.names) and self._as_it_was(group, own):
                still.append(group)
            else:
                self.loose |= set(group.names)
        settled = {name for group in still for name in group.names}
        if names := tuple(sorted(weights.keys() - settled - self.loose - set(learning))):
            own = {name: weights[name] for name in names}
            still.append(Group(names, _file_of(own)))
            self.note(_label(names), own, still[-1].file)
        self.groups = still

    def _as_it_was(self, group: Group, own: Mapping[str, Tensor]) -> bool:
        known = self._known[_label(group.names)]
        if self._trusted and _same(own, known[1]):
            return True
        if _file_of(own) != group.file:
            return False
        self.note(_label(group.names), own, group.file)
        return True

    def split(self, weights: Mapping[str, Tensor], state: Path, earlier: Sequence[Path]) -> dict[str, Tensor]:
        """Put the weights that are settled into a state, with their list; return the others, which belong in one file.

        Args:
            weights: All that differ from the base.
            state: See `keep`.
            earlier: See `keep`.
        """
        owned = [{name: weights[name] for name in group.names} for group in self.groups]
        files = [self.keep(_label(tuple(sorted(own))), own, state, earlier) for own in owned]
        if files:
            (state / LIST).parent.mkdir(parents=True, exist_ok=True)
            (state / LIST).write_text(canonical(files), encoding="utf-8")
        settled = {name for group in self.groups for name in group.names}
        return {name: weight for name, weight in weights.items() if name not in settled}

    def read(self, state: Path, device: torch.device) -> dict[str, Tensor]:
        """Return the settled weights of a state, and remember their files; `note_weights` follows."""
        self.groups, found = [], {}
        for file in json.loads((state / LIST).read_text(encoding="utf-8")) if (state / LIST).is_file() else []:
            own = unpacked(self._read(state / PARTS / file, device))
            self.groups.append(Group(tuple(sorted(own)), file))
            found |= own
        return found

    def note_weights(self, weights: Mapping[str, Tensor], loose: Collection[str]) -> None:
        """Remember the weights of a net that has been loaded, and those that are written with what learns."""
        self.loose = set(loose)
        for group in self.groups:
            self.note(_label(group.names), {name: weights[name] for name in group.names}, group.file)


def of_a_lesson(name: str, value: object) -> bool:
    """Return whether a part of a method's state belongs to one lesson: a mapping of tensors under a numbered name."""
    tensors = isinstance(value, Mapping) and bool(value) and all(isinstance(v, Tensor) for v in value.values())
    return tensors and OF_A_LESSON.fullmatch(name) is not None


def _file_of(tensors: Mapping[str, Tensor]) -> str:
    """Return the name of the file that `Settled.keep` would write: its sha256."""
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(packed(tensors).items())}
    return hashlib.sha256(save(flat)).hexdigest()


def _label(names: tuple[str, ...]) -> str:
    return f"weights {names[0]} {len(names)}"


def _ships(method: Method) -> bool:
    """Return whether a method, with the methods that it may be made of, comes with clbench."""
    parts: Any = vars(method).get("parts")
    own = [part for part in parts if isinstance(part, Method)] if isinstance(parts, list | tuple) else []
    return type(method).__module__.startswith("clbench.") and all(map(_ships, own))


def _marks(tensors: Mapping[str, Tensor]) -> list[Mark]:
    return [(weakref.ref(tensor), _version(tensor), tensor.data_ptr()) for _, tensor in sorted(tensors.items())]


def _version(tensor: Tensor) -> int:
    """Return how often a tensor has been written to; -1 where torch does not count it."""
    return -1 if tensor.is_inference() else tensor._version  # pyright: ignore[reportPrivateUsage]  # torch has no other word for it


def _same(tensors: Mapping[str, Tensor], marks: Sequence[Mark]) -> bool:
    """Return whether tensors are those that were marked, with nothing written to them since."""
    if len(tensors) != len(marks):
        return False
    each = zip((tensors[name] for name in sorted(tensors)), marks, strict=True)
    return all(
        seen() is t and _version(t) == version >= 0 and t.data_ptr() == place for t, (seen, version, place) in each
    )


def _linked(file: str, state: Path, earlier: Sequence[Path]) -> bool:
    """Return whether a state has a file, linked from an earlier one if it had not."""
    target = state / PARTS / file
    if target.exists():
        return True
    for folder in earlier:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(folder / PARTS / file, target)
        except OSError:  # it is not there, or files cannot have two names here
            continue
        return True
    return False


# --- tensors that are mostly zeros ------------------------------------------------------------------------------


def packed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors as they are written: those that are mostly zeros as a mask, their other values, and their shape.

    Example:
        >>> sorted(packed({"a": torch.zeros(2048), "b": torch.ones(2048)}))
        ['a#mask', 'a#shape', 'a#values', 'b']
    """
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        bits = BITS.get(tensor.dtype)
        filled = None if bits is None or flat.numel() < LEAST else flat.view(bits) != 0  # -0.0 is not nothing
        if filled is None or int(filled.sum()) > MOST_FULL * flat.numel():
            found[name] = tensor
            continue
        found[name + MASK] = torch.from_numpy(np.packbits(filled.numpy()))
        found[name + VALUES] = flat[filled]
        found[name + SHAPE] = torch.tensor(tensor.shape, dtype=torch.int64)
    return found


def unpacked(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of which `packed` was made, to the bit."""
    tensors: dict[str, Tensor] = {}
    for name, value in found.items():
        if not name.endswith((MASK, VALUES, SHAPE)):
            tensors[name] = value
        elif name.endswith(MASK):
            own: Any = name.removesuffix(MASK)
            shape = [int(n) for n in found[own + SHAPE]]
            filled = torch.from_numpy(np.unpackbits(value.cpu().numpy(), count=int(np.prod(shape)))).bool()
            values = found[own + VALUES]
            flat = torch.zeros(filled.numel(), dtype=values.dtype, device=values.device)
            flat[filled.to(values.device)] = values
            tensors[own] = flat.reshape(shape)
    return tensors
