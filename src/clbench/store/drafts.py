"""Drafts of stages: who makes what just now, by a folder that its process touches as long as it lives."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clbench.core.process import is_alive
from clbench.store.stage import here

BEAT_S = 10.0  # between two touches of a draft
QUIET_S = 60.0  # after which one that is not touched counts as left behind by a dead process


@contextmanager
def beating(draft: Path) -> Generator[None]:
    """Touch a draft now and then inside of the block, so that others, also on other machines, see that it is made."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(BEAT_S):
            with suppress(OSError):
                os.utime(draft)

    threading.Thread(target=beat, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def drafts_of(folder: Path, kind: str, key: str) -> Iterator[Path]:
    """Yield the drafts of a stage that other processes make, as far as these seem to live, by name.

    Args:
        folder: The folder of all drafts.
        kind: Of the stage.
        key: Of the stage.
    """
    yield from (draft for draft in sorted(folder.glob(f"{kind}-{key}-*")) if _is_made_by_others(draft))


def _is_made_by_others(draft: Path) -> bool:
    """Return whether a draft was touched lately, and its process is another one that is not known to be dead.

    A process id may be used again, and another machine's cannot be asked for; so a draft that is not touched is dead.
    """
    try:
        if time.time() - draft.stat().st_mtime > QUIET_S:
            return False
    except OSError:  # it has just been finished
        return False
    where, pid = owner_of(draft)
    return where != here() or (pid != os.getpid() and is_alive(pid))


def owner_of(draft: Path) -> tuple[str, int]:
    """Return the machine and the process that make a draft, ("", 0) where its name does not say."""
    where, pid, _ = (["", "", *draft.name.rsplit("-", 3)])[-3:]
    return (where, int(pid)) if pid.isdecimal() else ("", 0)
