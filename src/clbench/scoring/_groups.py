"""Control groups that bound what the two cells of one trial use together, kernel memory and memory disks included.

Version 2 and version 1 of Linux's control groups, wherever this process may make groups below or beside its own. They
are a second bound: the first, at every level, is that a cell is one process with a limit of its own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PREFIX = "clbench-cell-"
MOST_PROCESSES = 64  # of both cells, threads included
PATIENCE_S = 1.0


def make(number: int, memory_bytes: int) -> tuple[Path, ...]:
    """Return fresh groups, bounded by memory and processes; none where this process may not make any."""
    groups: list[Path] = []
    for parent, files in _parent_groups():
        group = parent / f"{PREFIX}{os.getpid()}-{number}"
        try:
            _sweep(parent)
            group.mkdir()
            groups.append(group)
            for name, value in files.items():
                (group / name).write_text(value.format(memory=memory_bytes, tasks=MOST_PROCESSES), encoding="ascii")
        except OSError:
            drop(groups[-1:] if groups and groups[-1] == group else ())
            groups = [other for other in groups if other != group]
            continue
        if "memory.max" in files or len(groups) == 2:  # version 2 bounds both in one group
            break
    return tuple(groups)


def drop(groups: tuple[Path, ...] | list[Path]) -> None:
    """Remove groups whose processes have ended."""
    for group in groups:
        deadline = time.monotonic() + PATIENCE_S
        while group.is_dir():
            with suppress(OSError):
                group.rmdir()
            if time.monotonic() > deadline:  # a later trial sweeps it
                break
            time.sleep(0.002)


def _parent_groups() -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield folders in which a group may be made, the best first, and what to write into the group's files."""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, own = line.split(":", 2)
            if not controllers:
                files = {"memory.max": "{memory}", "pids.max": "{tasks}"}
                for mounted in (ROOT, ROOT / "unified"):
                    here = mounted / own.lstrip("/")
                    yield from ((place, files) for place in (here, here.parent) if (place / "cgroup.procs").exists())
            elif controllers in ("memory", "pids"):
                name, value = (
                    ("memory.limit_in_bytes", "{memory}") if controllers == "memory" else ("pids.max", "{tasks}")
                )
                here = ROOT / controllers / own.lstrip("/")
                yield here if here.is_dir() else ROOT / controllers, {name: value}


def _sweep(parent: Path) -> None:
    """Remove groups whose processes have ended."""
    for left in parent.glob(f"{PREFIX}*"):
        process = left.name.removeprefix(PREFIX).partition("-")[0]
        if not Path("/proc", process).exists():
            with suppress(OSError):
                left.rmdir()
