"""What states have in common stands on the disk once: in files of several names (hard links).

A new state is compared with the state that it was learnt from. A tensor file of equal bytes becomes one more name of
the file that is there. One of which a part is there already is taken apart:

    <state>/answers/weights.safetensors.parts   where each of its tensors lies, and the digest of the whole file
    <state>/parts/<sha256>                      a tensor file: a new one, or one more name of an earlier state's

So every state's folder is complete: it can be copied alone, other states can be dropped, and the digests in its
stage.json cover all of it. A copy of a store keeps the sharing with `cp -a` or `rsync -aH`, and is larger without.
Nothing here needs torch: a tensor file is in the format of safetensors, whose header says where each tensor lies.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from clbench.core.events import notice
from clbench.core.keys import canonical, digest, file_digest

PARTS, LAYOUT, TENSORS = "parts", ".parts", ".safetensors"
WORTH = 65_536  # bytes that taking a file apart must save
LEAST_USED = 0.5  # share of an earlier file that must be in use, so that what is dropped is not kept for a small rest
PIECE = 1 << 20  # bytes that are read at a time
EDGE = 32  # bytes at both ends of a tensor by which its equals are looked for


@dataclass(frozen=True)
class Layout:
    """What a tensor file held that was taken apart.

    Attributes:
        sha256: Digest of the whole file.
        tensors: Tensor name -> (file in which it lies, its name there), in the order of the whole file.
    """

    sha256: str
    tensors: dict[str, tuple[Path, str]]


def layout_of(path: Path) -> Layout | None:
    """Return where the tensors of a file lie; None if it was not taken apart.

    Raises:
        ValueError, LookupError, TypeError: The layout is damaged.
    """
    described = path.with_name(path.name + LAYOUT)
    if not described.is_file():
        return None
    found = json.loads(described.read_text(encoding="utf-8"))
    parts = [path.parent.parent / PARTS / name for name in found["parts"]]
    named = {name: (place, name) if isinstance(place, int) else place for name, place in found["tensors"].items()}
    return Layout(found["sha256"], {name: (parts[i], there) for name, (i, there) in named.items()})


def has_tensors(path: Path) -> bool:
    """Return whether there is a tensor file, whole or taken apart."""
    return path.is_file() or path.with_name(path.name + LAYOUT).is_file()


def whole_digest(folder: Path) -> str:
    """Return the digest of a state, or of a folder of it, as it was before files were taken apart.

    It is what `core.keys.folder_digest` gives of files that are whole.
    """
    found: dict[str, str] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        layout = layout_of(path.with_name(path.name.removesuffix(LAYOUT))) if name.endswith(LAYOUT) else None
        if layout is not None:
            found[name.removesuffix(LAYOUT)] = layout.sha256
        elif not name.startswith(f"{PARTS}/"):
            found[name] = file_digest(path)
    return digest(found)


def stated_digest(path: Path) -> str:
    """Return the sha256 of a stage's file; that of a shared part is its name, so it need not be read once more."""
    return path.name if is_linked(path) else file_digest(path)


def is_linked(path: Path) -> bool:
    """Return whether a file of a stage is one more name of another: of an earlier stage's, or of its own."""
    return path.parent.name == PARTS and path.stat().st_nlink > 1


def disk_bytes(folders: Iterable[Path]) -> int:
    """Return the bytes that dropping some folders frees: a file that has names elsewhere stays."""
    sizes: dict[tuple[int, int], tuple[int, int]] = {}
    here: Counter[tuple[int, int]] = Counter()
    for path in (path for folder in folders for path in folder.rglob("*")):
        try:
            if path.is_file():
                seen = path.stat()
                sizes[seen.st_dev, seen.st_ino] = (seen.st_size, seen.st_nlink)
                here[seen.st_dev, seen.st_ino] += 1
        except FileNotFoundError:
            continue  # removed by its own process meanwhile
    return sum(size for file, (size, links) in sizes.items() if here[file] >= links)


# --- taking apart -----------------------------------------------------------------------------------------------


class _TensorFile:
    """An open tensor file. It is read piece by piece: mapped into memory, it would count as a lesson's memory.

    Attributes:
        tensors: Tensor name -> (first byte, end), in their order.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY)
        try:
            self.size = os.fstat(self._descriptor).st_size
            start = 8 + int.from_bytes(os.pread(self._descriptor, 8, 0), "little")
            if start > self.size:
                raise ValueError("its header is longer than the file")
            self.header: dict[str, Any] = json.loads(os.pread(self._descriptor, start - 8, 8))
            self.header.pop("__metadata__", None)
            order = sorted(self.header, key=lambda name: self.header[name]["data_offsets"])
            held = {name: self.header[name]["data_offsets"] for name in order}
            self.tensors = {name: (start + int(a), start + int(b)) for name, (a, b) in held.items()}
            self.kinds = {name: (self.header[name]["dtype"], *self.header[name]["shape"]) for name in order}
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def length(self, name: str) -> int:
        """Return the bytes of a tensor."""
        start, end = self.tensors[name]
        return end - start

    def pieces(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from `start` to `end`, a piece at a time."""
        for place in range(start, end, PIECE):
            yield self._read(place, min(place + PIECE, end))

    def _read(self, start: int, end: int) -> bytes:
        return os.pread(self._descriptor, end - start, start)

    def edges(self, name: str) -> tuple[object, ...]:
        """Return what equal tensors have in common and most others do not."""
        start, end = self.tensors[name]
        ends = [os.pread(self._descriptor, EDGE, place) for place in (start, max(end - EDGE, start))]
        return *self.kinds[name], *ends

    def holds(self, name: str, other: _TensorFile, there: str) -> bool:
        """Return whether a tensor is that of another file, to the byte."""
        if self.kinds[name] != other.kinds[there] or self.length(name) != other.length(there):
            return False
        if self.length(name) <= PIECE:
            return self._read(*self.tensors[name]) == other._read(*other.tensors[there])
        own, its = self.pieces(*self.tensors[name]), other.pieces(*other.tensors[there])
        return all(a == b for a, b in zip(own, its, strict=True))

    def equals(self, other: _TensorFile) -> bool:
        """Return whether all its bytes are those of another file."""
        if self.size != other.size:
            return False
        return all(a == b for a, b in zip(self.pieces(0, self.size), other.pieces(0, other.size), strict=True))


Place = tuple[_TensorFile, str]  # a file, and a tensor's name there


def share(state: Path, earlier: Sequence[Path]) -> None:
    """Let a state that is being written share with earlier ones what is equal to the byte.

    Args:
        state: A folder with `answers/` and `keeps/`, whole, that nobody reads yet; perhaps with `parts/` that its
            learner put there under their sha256.
        earlier: Folders of finished states. What is damaged in them is equal to nothing.
    """
    with ExitStack() as opened:
        placed = sorted(state.glob(f"{PARTS}/*"))
        known = [file for folder in earlier for file in _opened(folder, {p.name for p in placed}, opened)]
        own_files = [p for p in placed if not is_linked(p)] + sorted(state.glob(f"*/*{TENSORS}"))
        for path in (p for p in own_files if p.stat().st_size >= WORTH):
            own = _open(path, opened)
            twin = next((file for file in known if own.equals(file)), None)
            if twin is not None:
                _link(twin.path, path)
            elif path.parent.name == PARTS:
                known.append(own)
            elif (found := _worth_sharing(own, known)) and (new := _take_apart(state, own, found)) is not None:
                known += [_open(new, opened)] if new.exists() else []
            else:
                known.append(own)


def _open(path: Path, opened: ExitStack) -> _TensorFile:
    file = _TensorFile(path)
    opened.callback(file.close)
    return file


def _opened(folder: Path, placed: Collection[str], opened: ExitStack) -> list[_TensorFile]:
    """Open the tensor files of a state, but for parts that the new one has (`placed`).

    What cannot be read is left out, since there is nothing to share in it.
    """
    files: list[_TensorFile] = []
    parts = (p for p in folder.glob(f"{PARTS}/*") if p.name not in placed)
    for path in sorted([*folder.glob(f"*/*{TENSORS}"), *parts]):
        try:
            files.append(_open(path, opened))
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            continue
    return files


def _worth_sharing(own: _TensorFile, known: Sequence[_TensorFile]) -> dict[str, Place]:
    """Return which tensors of a file lie in known ones; empty if sharing them would save too little."""
    named = {name: file for file in known for name in file.tensors}
    found = {n: (named[n], n) for n in own.tensors if n in named and own.length(n) and own.holds(n, named[n], n)}
    if rest := {n for n in own.tensors if n not in found and own.length(n)}:
        wanted = {own.kinds[name] for name in rest}
        places: dict[tuple[object, ...], list[Place]] = {}
        for file in known:
            for name in (n for n in file.tensors if file.kinds[n] in wanted and (file, n) != found.get(n)):
                places.setdefault(file.edges(name), []).append((file, name))
        for name in rest:
            equal = (place for place in places.get(own.edges(name), ()) if own.holds(name, *place))
            if (place := next(equal, None)) is not None:
                found[name] = place
    used: Counter[Path] = Counter()
    for name, (file, _) in found.items():
        used[file.path] += own.length(name)
    kept = {n: place for n, place in found.items() if used[place[0].path] >= LEAST_USED * place[0].size}
    return kept if sum(map(own.length, kept)) >= WORTH else {}


def _take_apart(state: Path, own: _TensorFile, found: Mapping[str, Place]) -> Path | None:
    """Replace a tensor file by a layout, and by files for its tensors.

    Returns:
        The file of the tensors that are new, which does not exist if none is; None if files cannot have two names here.
    """
    parts = state / PARTS
    files = dict.fromkeys(file.path for file, _ in found.values())
    linked = {path: path.name if path.parent.name == PARTS else file_digest(path) for path in files}
    if not _link_all({path: parts / name for path, name in linked.items()}):
        return None
    new = _write_new(parts, own, [name for name in own.tensors if name not in found])
    names = sorted({*linked.values(), *([new] if new else [])})
    places: dict[str, int | list[int | str]] = {}
    for name in own.tensors:
        file, there = found.get(name, (None, name))
        at = names.index(new if file is None else linked[file.path])
        places[name] = at if there == name else [at, there]
    # The order of the whole file is kept: canonical JSON would sort it.
    value = {"sha256": file_digest(own.path), "parts": names, "tensors": places}
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    own.path.with_name(own.path.name + LAYOUT).write_text(text, encoding="utf-8")
    own.path.unlink()
    return parts / (new or "none")


def _write_new(parts: Path, own: _TensorFile, names: Sequence[str]) -> str:
    """Write tensors of a file into one of their own, under its digest, and return that; "" for no tensors."""
    if not names:
        return ""
    header: dict[str, Any] = {}
    end = 0
    for name in names:
        start, end = end, end + own.length(name)
        header[name] = own.header[name] | {"data_offsets": [start, end]}
    text = canonical(header).encode()
    text += b" " * (-len(text) % 8)
    draft = parts / "new"
    with draft.open("wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            f.writelines(own.pieces(*own.tensors[name]))
    found = file_digest(draft)
    draft.rename(parts / found)
    return found


def _link_all(targets: Mapping[Path, Path]) -> bool:
    """Link files to their targets, all or none."""
    made: list[Path] = []
    for file, target in targets.items():
        target.parent.mkdir(exist_ok=True)
        if target.exists():
            continue
        if not _link(file, target):
            for each in made:
                each.unlink()
            return False
        made.append(target)
    return True


def _link(file: Path, target: Path) -> bool:
    """Add a name to a file, in place of what stands there; say once if the file system cannot."""
    draft = target.with_name(f"{target.name}.link")
    try:
        os.link(file, draft)
    except OSError as error:
        _tell(str(error.strerror))
        return False
    draft.replace(target)
    return True


@cache
def _tell(why: str) -> None:
    notice(f"states cannot share files here ({why}): each is written whole, which takes more disk")
