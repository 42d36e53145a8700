"""Drop what can be made again: states and leftovers. Answers, grades and records of states stay."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from clbench.core.keys import canonical
from clbench.core.process import is_alive
from clbench.store.drafts import owner_of
from clbench.store.shared import disk_bytes
from clbench.store.stage import LOST, here, is_newer, read_stage
from clbench.store.store import Store

STALE_S = 86_400.0
PARENTS = "parents.json"


@dataclass(frozen=True)
class GcReport:
    """What `collect` dropped (or would drop).

    Attributes:
        dropped: Folders.
        bytes: The disk that they take; what other states share with them stays, and does not count.
        kept_states: Number of learner states that stay.
    """

    dropped: tuple[Path, ...]
    bytes: int
    kept_states: int


def collect(
    store: Store,
    keep: Collection[Literal["last", "branch"]],
    in_use: Collection[str] = (),
    *,
    among: Collection[str] | None = None,
    dry_run: bool = False,
) -> GcReport:
    """Drop states, drafts of dead processes, and checkpoints of finished stages; nothing else, ever.

    Args:
        store: The store.
        keep: "last" keeps states from which no other was learnt, "branch" those from which several were learnt.
        in_use: Keys of other states to keep.
        among: Keys of the only states that may be dropped, and nothing but states; None: all, and leftovers too.
        dry_run: Only report; drop nothing.

    Raises:
        StoreError: Something cannot be removed.
    """
    states = {key: folder for kind, key, folder in store.stages() if kind == "state"}
    # A state whose stage.json is damaged is left for `find`, which sets it aside and says so.
    stages = {key: stage for key, folder in states.items() if (stage := _readable(folder)) is not None}
    parents = {key: stage["why"].get("parent") for key, stage in stages.items()}
    # A branch point stays one when the first states of its branches have been dropped.
    ever = {**parents_of(store), **parents}
    children, ever_children = Counter(parents.values()), Counter(ever.values())
    kept = {key for key in parents if "last" in keep and not children[key]}
    kept |= {key for key in parents if "branch" in keep and ever_children[key] > 1}
    may_go = parents if among is None else parents.keys() & set(among)
    dropped = [states[key] for key in parents if key in may_go and key not in kept and key not in in_use]
    num_states = len(states) - len(dropped)
    dropped += _leftovers(store) if among is None else []
    size = disk_bytes(dropped)
    if not dry_run and dropped:
        store.write(PARENTS, canonical(ever))
        for folder in dropped:
            store.drop(folder)
    return GcReport(tuple(dropped), size, num_states)


def _readable(folder: Path) -> dict[str, Any] | None:
    """Return a state's stage.json; None for a damaged one, and for one of a newer clbench, which stays untouched."""
    stage = read_stage(folder)
    return None if stage is None or is_newer(stage) else stage


def parents_of(store: Store) -> dict[str, str | None]:
    """Return the parents of states that were there before; empty if they are unknown."""
    try:
        found = json.loads((store.folder / PARENTS).read_bytes())
    except (ValueError, RecursionError):
        return {}
    except OSError as error:
        if error.errno in LOST:
            return {}
        raise
    if not isinstance(found, dict):
        return {}
    return {state: parent for state, parent in found.items() if parent is None or isinstance(parent, str)}


def _leftovers(store: Store) -> list[Path]:
    drafts = [d for d in sorted(store.folder.glob("drafts/*")) if not _alive(d)]
    done = {f"{kind}-{key}" for kind, key, _ in store.stages()}
    return drafts + [p for p in sorted(store.folder.glob("progress/*")) if p.name in done]


def _alive(draft: Path) -> bool:
    """Return whether the process that makes a draft lives; for a day, one on another machine counts as alive."""
    where, pid = owner_of(draft)
    if where == here():
        return is_alive(pid)
    try:
        return time.time() - draft.stat().st_mtime < STALE_S
    except FileNotFoundError:
        return True  # its process has just finished with it
