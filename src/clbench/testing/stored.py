"""What lies in a saved state, wherever it hides: examples as they are, and texts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clbench.core.types import Example


def stored_examples(folder: Path) -> Iterator[Example]:
    """Walk all JSON that was saved and give whatever looks like an example, wherever it hides."""
    stack: list[Any] = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(folder.rglob("*.json"))]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            if {"id", "prompt", "targets"} <= value.keys():
                yield Example.model_validate(value)
            else:
                stack += list(value.values())
        elif isinstance(value, list):
            stack += value


def stored_texts(folder: Path) -> Iterator[str]:
    """Walk all that was saved and give every text in it; what is no JSON is read byte by byte."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        if path.suffix != ".json":
            yield data.decode("utf-8", errors="ignore")
            continue
        stack: list[Any] = [json.loads(data)]
        while stack:
            value = stack.pop()
            if isinstance(value, str):
                yield value
            elif isinstance(value, (dict, list)):
                stack += [*value, *value.values()] if isinstance(value, dict) else value
