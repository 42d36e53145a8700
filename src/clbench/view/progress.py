"""What a store is at: what is finished, and what is being made by processes that live."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from clbench.core.process import is_alive
from clbench.store.stage import here

KINDS = ("state", "ask", "mark")  # lessons learnt, exams asked, exams graded
DRAFT = re.compile(r"(?P<kind>[a-z]+)-[0-9a-f]+-(?P<where>[0-9a-f]{8})-(?P<process>\d+)-[0-9a-f]+")
AT_ONCE = 5.0  # seconds in which a stage counts as just finished


def is_store(folder: Path) -> bool:
    """Return whether stages lie in a folder."""
    return any((folder / name).is_dir() for name in (*KINDS, "drafts"))


def progress(store: Path) -> dict[str, Any]:
    """Return what a store is at, as JSON.

    Returns:
        "finished": kind -> stages; "last_s": seconds since the last one, None where there is none; "making": for each
        that is being made its kind, seconds, and process where that is of this machine.
    """
    counts, newest = dict.fromkeys(KINDS, 0), 0.0
    for kind in KINDS:
        for place in _folders(store / kind):
            for stage in _folders(place):
                counts[kind] += 1
                with suppress(OSError):
                    newest = max(newest, stage.stat().st_mtime)
    now = time.time()
    return {
        "finished": counts,
        "last_s": round(max(now - newest, 0.0), 1) if newest else None,
        "making": [found for draft in _folders(store / "drafts") if (found := _draft(draft, now)) is not None],
    }


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if p.is_dir())
    except OSError:
        return []


def _draft(folder: Path, now: float) -> dict[str, Any] | None:
    """Return what is being made in a draft; None where its process is gone."""
    named = DRAFT.fullmatch(folder.name)
    if named is None or named["kind"] not in KINDS:
        return None
    ours = named["where"] == here()
    if ours and not is_alive(int(named["process"])):
        return None
    try:
        since = round(max(now - folder.stat().st_ctime, 0.0), 1)
    except OSError:
        return None
    return {"kind": named["kind"], "seconds": since, "process": int(named["process"]) if ours else None}
