"""The folder of files that are kept between commands outside any store."""

from __future__ import annotations

import os
from pathlib import Path

CACHE = "CLBENCH_CACHE"


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
