"""Counts beside a saved state: tokens read, bytes kept, parameters added."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from clbench.core.keys import canonical

COUNTS = "counts.json"
OLDER = "meters.json"  # its name in older stores


def write_counts(folder: Path, counts: Mapping[str, int]) -> None:
    """Write what was counted of a state into the state's folder."""
    (folder / COUNTS).write_text(canonical(counts), encoding="utf-8")


def read_counts(folder: Path) -> dict[str, int]:
    """Return what was counted of a state; nothing where its learner counts nothing."""
    found = next((folder / name for name in (COUNTS, OLDER) if (folder / name).is_file()), None)
    counts: dict[str, int] = {} if found is None else json.loads(found.read_text(encoding="utf-8"))
    return {"lessons" if name == "step" else name: num for name, num in counts.items()}
