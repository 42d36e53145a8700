"""Write a file completely or not at all: if the disk is full or the process ends, the old file stays."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Write a text in place of an old file, with its rights; a link stays a link.

    Raises:
        OSError: The file cannot be written, and has not changed.
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
