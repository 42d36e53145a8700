"""Folders for the time of one piece of work, in the system's temporary folder; what killed processes left is swept."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

NAMED = re.compile(r"clbench-[a-z]+-(?P<space>\d+)-(?P<pid>\d+)-.*")


def new_scratch(what: str) -> Path:
    """Make an empty folder that only its owner can read; who makes it removes it.

    Its name tells the process that made it, so that another one can sweep it when that is gone.

    Args:
        what: What it is for, a to z.
    """
    _swept(os.getpid())
    return Path(tempfile.mkdtemp(prefix=f"clbench-{what}-{_space()}-{os.getpid()}-"))


@contextmanager
def scratch(what: str) -> Generator[Path]:
    """Give an empty folder inside the block, see `new_scratch`."""
    folder = new_scratch(what)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep() -> int:
    """Remove the folders of processes that are gone, this user's and of this machine alone; return how many."""
    num = 0
    for folder in Path(tempfile.gettempdir()).glob("clbench-*"):
        found = NAMED.fullmatch(folder.name)
        if found is None or int(found["space"]) != _space() or _lives(int(found["pid"])):
            continue
        with suppress(OSError):
            if folder.lstat().st_uid == os.getuid() and not folder.is_symlink():
                shutil.rmtree(folder, ignore_errors=True)
                num += not folder.exists()
    return num


@lru_cache(maxsize=1)
def _swept(_process: int) -> int:
    return sweep()


@lru_cache(maxsize=1)
def _space() -> int:
    """Number of the space in which process ids count; containers may share a temporary folder, but not this."""
    with suppress(OSError):
        return Path("/proc/self/ns/pid").stat().st_ino
    return 0


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
