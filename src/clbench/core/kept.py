"""What is kept between commands, so that nothing is made twice: opened tasks, streams, needs of learners.

It lies in `kept/` of the cache folder, and may be deleted at any time. A value is found by a digest of all that it was
made from, the code included, so it cannot be out of date; a file that is damaged is ignored and made again. Notices
that were sent while a value was made are sent again with it. Several processes may keep the same value at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Generic, TypeVar

from clbench.core.cache import cache_folder
from clbench.core.events import notice, notice_listener
from clbench.core.keys import canonical, digest

T = TypeVar("T")
KEPT = "kept"
MOST_BYTES = 4 << 30  # of all that is kept; what was not used for longest goes first
MOST_FILES = 20_000
LEFT = 0.8  # the share of both that stays once there is too much
DRAFT = "draft-"
DAY_S = 86_400
PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Form(Generic[T]):
    """How a kind of value is written.

    Attributes:
        kind: Its name: letters.
        write: Gives a value's bytes; None where it is not worth keeping.
        read: Makes the value again; raises ValueError, LookupError or TypeError for other bytes.
    """

    kind: str
    write: Callable[[T], bytes | None]
    read: Callable[[bytes], T]


def kept(form: Form[T], about: object, make: Callable[[], T], still: Callable[[], bool] = lambda: True) -> T:
    """Return a value that was kept, or make it and keep it; where nothing can be written, it is made each time.

    Args:
        form: How it is written.
        about: All that it is made from, as `canonical` takes it.
        make: Makes it.
        still: Tells after it was made whether `about` still holds; if not, it is not kept.
    """
    key = digest(about)
    path = cache_folder() / KEPT / form.kind / key[:32]
    if (found := _read(path, key)) is not None:
        notices, payload = found
        with suppress(ValueError, LookupError, TypeError):
            value = form.read(payload)
            for text in notices:
                notice(text)
            return value
    with _noted() as sent:
        value = make()
    with suppress(ValueError, TypeError):  # of what cannot be written
        payload = form.write(value)
        if payload is not None and len(payload) <= MOST_BYTES // 8 and still():
            _write(path, canonical({"key": key, "notices": sent}).encode() + b"\n" + payload)
    return value


def kept_digests(about: object, make: Callable[[], list[str]]) -> list[str]:
    """Return digests of what is told by `about` alone: they were kept, or are made and kept."""
    return kept(Form[list[str]]("digests", lambda found: canonical(found).encode(), json.loads), about, make)


@cache
def code_digest(*rooms: str) -> str:
    """Return the digest of the code and the tables of some rooms of the package, by their content."""
    files = [p for room in rooms for p in (PACKAGE / room).rglob("*") if p.suffix in (".py", ".yaml", ".json")]
    return digest(
        {p.relative_to(PACKAGE).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(files)}
    )


@contextmanager
def _noted() -> Generator[list[str]]:
    """Send the notices of a block on, and collect them."""
    tell, sent = notice_listener.get(), list[str]()

    def both(text: str) -> None:
        sent.append(text)
        tell(text)

    token = notice_listener.set(both)
    try:
        yield sent
    finally:
        notice_listener.reset(token)


def _read(path: Path, key: str) -> tuple[list[str], bytes] | None:
    """Return the notices and the bytes of a file; None if there is none, or it is damaged or of another key."""
    try:
        stated, _, rest = path.read_bytes().partition(b"\n")
        if hashlib.sha256(rest).hexdigest().encode() != stated:
            return None
        head, _, payload = rest.partition(b"\n")
        said = json.loads(head)
        if said["key"] != key:
            return None
        with suppress(OSError):  # a folder that is read alone
            os.utime(path)
        return [str(text) for text in said["notices"]], payload
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def _write(path: Path, rest: bytes) -> None:
    with suppress(OSError):  # no room, or no right to write: the next command makes it again
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=DRAFT)
        try:
            with os.fdopen(handle, "wb") as draft:
                draft.write(hashlib.sha256(rest).hexdigest().encode() + b"\n")
                draft.write(rest)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
        _tidy(path.parents[1])


def _tidy(folder: Path) -> None:
    """Delete drafts of killed commands, and what was not used for longest where too much is kept."""
    found: list[tuple[float, int, Path]] = []
    for path in folder.glob("*/*"):
        with suppress(OSError):
            seen = path.stat()
            if not path.name.startswith(DRAFT):
                found.append((seen.st_mtime, seen.st_size, path))
            elif time.time() - seen.st_mtime > DAY_S:
                path.unlink()
    size, num = sum(each for _, each, _ in found), len(found)
    if size <= MOST_BYTES and num <= MOST_FILES:
        return
    for _, each, path in sorted(found):
        if size <= MOST_BYTES * LEFT and num <= MOST_FILES * LEFT:
            return
        with suppress(OSError):
            path.unlink()
        size, num = size - each, num - 1
