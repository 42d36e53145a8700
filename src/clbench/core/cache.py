"""The folder of files that are kept between commands outside any store; digests of large files are remembered there.

A digest is remembered with the file's path, size, times of modification and of change, and inode. The time of change
(ctime) cannot be set: a file that was changed and given its old size and modification time again is read anew. What
would pass unseen is a disk written past the file system, or a clock that is set back. `clbench store verify` reads all
remembered files again.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from clbench.core.atomic_write import write_atomically
from clbench.core.keys import canonical, digest, file_digest

CACHE = "CLBENCH_CACHE"
DIGESTS = "digests"
WORTH = 64_000_000  # bytes from which on reading a file takes longer than looking its digest up
SETTLED_NS = 2_000_000_000  # a file that changed within this time may change again without a new time: not remembered


class Stamp(NamedTuple):
    """What is known of a file without reading it."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


def cache_folder() -> Path:
    """Return `$CLBENCH_CACHE`, else `~/.cache/clbench`; it may not exist yet."""
    named = os.environ.get(CACHE)
    return Path(named) if named else Path.home() / ".cache" / "clbench"


def first_time(kind: str, name: str) -> bool:
    """Return whether something happens for the first time, and record it; always True if it cannot be recorded."""
    record = cache_folder() / kind / name
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        record.touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError:
        return True
    return True


def stamp(path: Path) -> Stamp:
    """Return the stamp of a file, of a link that of the file it leads to."""
    seen = path.stat()
    return Stamp(seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino)


def remembered_digest(path: Path) -> str:
    """Return the sha256 of a file's bytes; a large file is read once, until it changes.

    Where nothing can be remembered, it is read each time.
    """
    before = stamp(path)
    if before.size < WORTH:
        return file_digest(path)
    whole = path.resolve()
    record = cache_folder() / DIGESTS / f"{digest(str(whole))[:32]}.json"
    if (known := _recorded(record)) is not None and known[:2] == (whole, before):
        return known[2]
    now = time.time_ns()
    found = file_digest(path)
    if stamp(path) == before and max(before.mtime_ns, before.ctime_ns) < now - SETTLED_NS:
        with suppress(OSError):
            record.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(record, canonical({"path": str(whole), "stamp": list(before), "sha256": found}))
    return found


def wrong_digests() -> Iterator[tuple[Path, bool]]:
    """Read all files again whose digests are remembered; forget what no longer holds.

    Yields:
        Each file that has not changed by its stamp, and whether its bytes are others than those that were read.
    """
    for record in sorted((cache_folder() / DIGESTS).glob("*.json")):
        known = _recorded(record)
        try:
            wrong = None if known is None or stamp(known[0]) != known[1] else file_digest(known[0]) != known[2]
        except OSError:  # it is no longer there, or cannot be read
            wrong = None
        if wrong is not False:
            with suppress(OSError):
                record.unlink()
        if known is not None and wrong is not None:
            yield known[0], wrong


def _recorded(record: Path) -> tuple[Path, Stamp, str] | None:
    """Return what a record says: the file, its stamp and its digest; None if there is no readable one."""
    try:
        said = json.loads(record.read_text(encoding="utf-8"))
        return Path(said["path"]), Stamp(*map(int, said["stamp"])), str(said["sha256"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
