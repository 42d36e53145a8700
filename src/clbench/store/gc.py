"""Drop what can be made again: states and leftovers. Answers, grades and what is remembered of states stay."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from clbench.store.stage import here, read_stage
from clbench.store.store import Store

STALE_S = 86_400.0


@dataclass(frozen=True)
class GcReport:
    """What was dropped (or would be).

    Attributes:
        dropped: Folders.
        bytes: What they held.
        kept_states: Learner states that stay.
    """

    dropped: tuple[Path, ...]
    bytes: int
    kept_states: int


def collect(
    store: Store,
    keep: Collection[Literal["last", "branch"]],
    in_use: Collection[str] = (),
    *,
    dry_run: bool = False,
) -> GcReport:
    """Drop states, drafts of dead processes, and checkpoints of finished stages; nothing else, ever.

    Args:
        store: The store.
        keep: "last" keeps states that no other was learnt from, "branch" those that several were learnt from.
        in_use: Keys of states to keep besides.
        dry_run: Only tell.

    Raises:
        StoreError: Something cannot be removed.
    """
    states = {key: folder for kind, key, folder in store.stages() if kind == "state"}
    whys = {key: stage["why"] for key, folder in states.items() if (stage := read_stage(folder)) is not None}
    children = Counter(why.get("parent") for why in whys.values())
    # A state whose stage.json is damaged is left for `find`, which sets it aside and says so.
    dropped = [states[key] for key in whys if not _kept(children[key], keep) and key not in in_use]
    num_states = len(states) - len(dropped)
    dropped += _leftovers(store)
    size = sum(_bytes(folder) for folder in dropped)
    if not dry_run:
        for folder in dropped:
            store.drop(folder)
    return GcReport(tuple(dropped), size, num_states)


def _kept(num_children: int, keep: Collection[str]) -> bool:
    return ("last" in keep and num_children == 0) or ("branch" in keep and num_children > 1)


def _leftovers(store: Store) -> list[Path]:
    drafts = [d for d in sorted(store.folder.glob("drafts/*")) if not _alive(d)]
    done = {f"{kind}-{key}" for kind, key, _ in store.stages()}
    return drafts + [p for p in sorted(store.folder.glob("progress/*")) if p.name in done]


def _alive(draft: Path) -> bool:
    """Tell whether the process that makes a draft lives; one of another machine is taken to, for a day."""
    where, pid, _ = (["", "", *draft.name.rsplit("-", 3)])[-3:]
    if where != here() or not pid.isdecimal():
        try:
            return time.time() - draft.stat().st_mtime < STALE_S
        except FileNotFoundError:
            return True  # its process has just finished with it
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # it lives, and is another user's
    return True


def _bytes(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        try:
            size += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue  # removed by its own process meanwhile
    return size
