"""Write a file whole or not at all: on a full disk, or where the process ends, what was there stays."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a text in place of whatever is there, with its rights; a link stays one.

    Raises:
        OSError: It cannot be written, and nothing has changed.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():  # a pipe or a device, such as /dev/stdout, is written as it stands
        target.write_text(text, encoding="utf-8")
        return
    draft = target.with_name(f".{target.name[:50]}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        if target.exists():
            shutil.copymode(target, draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
