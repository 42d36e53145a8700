"""Replies that were paid for once: one file each, under a key of everything that matters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from clbench.core.atomic_write import write_atomically
from clbench.core.keys import digest


class ReplyCache:
    """A folder of replies; None as the folder keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def get(self, key: str) -> dict[str, Any] | None:
        """Return what was kept under a key; None if there is nothing, or it is damaged."""
        if self._folder is None:
            return None
        try:
            found = json.loads(self._path(key).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        return cast(dict[str, Any], found) if isinstance(found, dict) else None

    def put(self, key: str, value: dict[str, Any]) -> None:
        """Keep a value."""
        if self._folder is not None:
            self._path(key).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path(key), json.dumps(value))

    def _path(self, key: str) -> Path:
        assert self._folder is not None
        return self._folder / key[:2] / f"{key}.json"


def key_of(**parts: object) -> str:
    """Return the key of a request: of its address, model, messages, parameters and trial."""
    return digest(parts)
