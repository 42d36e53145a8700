"""One stage's folder: what stage.json says, whether the files agree with it, and how both reach the disk."""

from __future__ import annotations

import errno
import json
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from clbench.core.errors import StoreError
from clbench.core.keys import canonical, digest, file_digest
from clbench.store.origin import origin
from clbench.store.shared import is_linked, stated_digest

FORMAT = 4
# What the check of each format covers; None is everything but the check itself.
CHECKED: dict[int, tuple[str, ...] | None] = {1: ("format", "kind", "key", "files"), 2: None, 3: None, 4: None}
LOST = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP})  # a file that should exist does not
STAGE = "stage.json"

Stamps = dict[str, tuple[int, int]]
"""File name -> (bytes, time of change in ns): what is known without reading the file."""


@dataclass(frozen=True)
class Verdict:
    """The result of checking a stage's folder.

    Attributes:
        problem: What is wrong, empty if nothing is.
        inode: Which folder was looked at; another may take its place at any time.
        stamps: Its files, as they were just before they were read.
    """

    problem: str
    inode: int
    stamps: Stamps


@cache
def here() -> str:
    """Return 8 hex digits that tell one machine's (or container's) process ids from another's, and name no host."""
    space = Path("/proc/self/ns/pid")
    return digest([platform.node(), str(space.readlink()) if space.is_symlink() else ""])[:8]


def write_stage(folder: Path, kind: str, key: str, why: Mapping[str, object], cost: Mapping[str, float]) -> Stamps:
    """Write stage.json over the files of a draft; return what `stamps_of` will return for the finished stage."""
    files = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
    assert STAGE not in files, f"{STAGE} is the store's own"
    stage = {
        "format": FORMAT,
        "kind": kind,
        "key": key,
        "why": dict(why),
        "files": {n: {"bytes": p.stat().st_size, "sha256": stated_digest(p)} for n, p in files.items()},
        "meter": dict(cost),
        "origin": origin(),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    text = canonical({**stage, "check": _check(stage)})
    (folder / STAGE).write_text(text, encoding="utf-8", newline="\n")
    return stamps_of(folder, [STAGE, *files])


def read_stage(folder: Path) -> dict[str, Any] | None:
    """Return a stage.json, without looking at the stage's files; None if it is missing or damaged.

    A newer format is returned unchecked, since this clbench does not know how to check it.
    """
    try:
        stage = json.loads((folder / STAGE).read_bytes())
        return stage if is_newer(stage) or stage["check"] == _check(stage) else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    except OSError as error:
        if error.errno in LOST:
            return None
        raise


def is_newer(stage: Mapping[str, Any]) -> bool:
    """Return whether a stage was written by a newer clbench."""
    return isinstance(stage["format"], int) and stage["format"] > FORMAT


def stamps_of(folder: Path, names: Iterable[str]) -> Stamps:
    """Return size and time of change of some files; one that is missing is left out."""
    stamps: Stamps = {}
    for name in names:
        try:
            seen = (folder / name).stat()
        except OSError as error:
            if error.errno in LOST:
                continue
            raise
        stamps[name] = (seen.st_size, seen.st_mtime_ns)
    return stamps


def verify(folder: Path, kind: str, key: str) -> Verdict | None:
    """Compare a stage's files with its stage.json; None if there is no such folder.

    Raises:
        StoreError: A newer clbench wrote it.
    """
    try:
        inode = folder.lstat().st_ino  # of the entry itself: a dangling link is set aside, not its target
    except OSError as error:
        if error.errno in LOST:  # it is not there, or something above it is not a folder
            return None
        raise
    if not is_folder(folder):
        return Verdict("something that is not a folder stands in its place", inode, {})
    stage = read_stage(folder)
    if stage is None:
        state = "cannot be read or has been changed" if (folder / STAGE).exists() else "is missing"
        return Verdict(f"{STAGE} {state}", inode, {})
    if is_newer(stage):
        raise StoreError(
            f"the stage has format {stage['format']}, this clbench reads {FORMAT}",
            where=str(folder),
            mend="use the clbench that wrote this store, or name another store with --store",
        )
    if (stage["kind"], stage["key"]) != (kind, key):
        return Verdict(f"it holds {stage['kind']} {stage['key'][:12]}", inode, {})
    stamps = stamps_of(folder, [STAGE, *stage["files"]])
    problems = (_problem(folder / name, expected) for name, expected in stage["files"].items())
    return Verdict(next((p for p in problems if p), ""), inode, stamps)


def _problem(path: Path, expected: Mapping[str, Any]) -> str:
    try:
        size = path.stat().st_size
        if size != expected["bytes"]:
            return f"{path.name} has {size} bytes instead of {expected['bytes']}"
        return "" if file_digest(path) == expected["sha256"] else f"{path.name} does not match its digest"
    except OSError as error:
        if error.errno in LOST:
            return f"{path.name} is missing"
        raise


def is_folder(path: Path) -> bool:
    """Return whether there is a folder at a path, or a link that leads to one."""
    try:
        return path.is_dir()
    except OSError as error:  # a loop of links
        if error.errno in LOST:
            return False
        raise


def _check(stage: Mapping[str, Any]) -> str:
    """Return the digest of all that a stage.json says, so that neither files nor costs can be changed unseen."""
    names = CHECKED[stage["format"]]
    return digest({k: stage[k] for k in names or stage.keys() - {"check"}})


def sync(folder: Path) -> None:
    """Force files and folders onto the disk, so that a rename never points at what was not written."""
    for path in folder.rglob("*"):
        if path.is_dir():
            _sync_folder(path)
        elif not is_linked(path):  # else it was forced onto the disk under its first name
            with path.open("rb") as f:
                os.fsync(f.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    """Force a folder's list of names onto the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
