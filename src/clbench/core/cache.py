"""The folder of what is kept between commands and belongs to no store."""

from __future__ import annotations

import os
from pathlib import Path

CACHE = "CLBENCH_CACHE"


def cache_folder() -> Path:
    """Give `$CLBENCH_CACHE`, else `~/.cache/clbench`; it may not be there yet."""
    named = os.environ.get(CACHE)
    return Path(named) if named else Path.home() / ".cache" / "clbench"


def first_time(kind: str, name: str) -> bool:
    """Tell whether something happens for the first time, and remember it; where nothing can be kept, it always is."""
    mark = cache_folder() / kind / name
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError:
        return True
    return True
