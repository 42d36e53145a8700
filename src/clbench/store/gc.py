"""Drop what can be made again: states and leftovers. Answers, grades and what is remembered of states stay."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from clbench.store.store import STAGE, Store

STALE_S = 86_400.0


@dataclass(frozen=True)
class GcReport:
    """What was dropped (or would be): folders and their bytes, and how many states were kept."""

    dropped: tuple[Path, ...]
    bytes: int
    kept_states: int


def collect(store: Store, keep: Collection[Literal["last", "branch"]], *, dry_run: bool = False) -> GcReport:
    """Drop states and the leftovers of dead processes.

    Args:
        store: The store.
        keep: "last" keeps states that no other was learnt from, "branch" those that several were learnt from.
        dry_run: Only tell.
    """
    states = {key: folder for kind, key, folder in store.stages() if kind == "state"}
    children: dict[str, int] = {}
    for folder in states.values():
        parent = json.loads((folder / STAGE).read_text(encoding="utf-8"))["why"].get("parent")
        children[parent] = children.get(parent, 0) + 1
    kept = {
        key
        for key in states
        if ("last" in keep and children.get(key, 0) == 0) or ("branch" in keep and children.get(key, 0) > 1)
    }
    dropped = [folder for key, folder in states.items() if key not in kept] + _leftovers(store)
    size = sum(p.stat().st_size for folder in dropped for p in folder.rglob("*") if p.is_file())
    if not dry_run:
        for folder in dropped:
            shutil.rmtree(folder, ignore_errors=True)
    return GcReport(tuple(dropped), size, len(kept))


def _leftovers(store: Store) -> list[Path]:
    drafts = [d for d in store.folder.glob("drafts/*") if not _alive(d)]
    done = {f"{kind}-{key}" for kind, key, _ in store.stages()}
    return drafts + [p for p in store.folder.glob("progress/*") if p.name in done]


def _alive(draft: Path) -> bool:
    """Tell whether the process that makes a draft lives; on another machine it is taken to, for a day."""
    pid = draft.name.split("-")[-2]
    if time.time() - draft.stat().st_mtime > STALE_S:
        return False
    try:
        os.kill(int(pid), 0)
    except (OSError, ValueError):
        return False
    return True
