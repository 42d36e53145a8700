"""Temporary folders for one piece of work; those that killed processes left are removed."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from clbench.core.process import is_alive

NAMED = re.compile(r"clbench-[a-z]+-(?P<space>\d+)-(?P<pid>\d+)-.*")


def new_scratch(what: str) -> Path:
    """Return a new, empty folder that only its owner can read; the caller removes it.

    Its name holds the process that made it, so that another process can remove it when that is gone.

    Args:
        what: What it is for, a to z.
    """
    _swept(os.getpid())
    return Path(tempfile.mkdtemp(prefix=f"clbench-{what}-{_space()}-{os.getpid()}-"))


@contextmanager
def scratch(what: str) -> Generator[Path]:
    """Yield an empty folder that exists inside the block; see `new_scratch`."""
    folder = new_scratch(what)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep() -> int:
    """Remove this user's folders of processes of this machine that are gone; return their number."""
    num = 0
    for folder in Path(tempfile.gettempdir()).glob("clbench-*"):
        found = NAMED.fullmatch(folder.name)
        if found is None or int(found["space"]) != _space() or is_alive(int(found["pid"])):
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
    """Return the number of the process id namespace; containers may share a temporary folder, but not this."""
    with suppress(OSError):
        return Path("/proc/self/ns/pid").stat().st_ino
    return 0
