"""Frozen values as JSON Lines: the same items give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from clbench.core.errors import StoreError
from clbench.core.keys import canonical

M = TypeVar("M", bound=BaseModel)


def write_jsonl(path: Path, items: Iterable[BaseModel]) -> None:
    """Write one canonical JSON object a line."""
    with path.open("w", encoding="utf-8", newline="\n") as f:
        for item in items:
            # Model output may hold lone surrogates, which UTF-8 cannot: they are written as JSON escapes.
            line = canonical(item)
            f.write(line.encode("utf-8", "backslashreplace").decode("utf-8") + "\n")


def read_jsonl(path: Path, model: type[M]) -> list[M]:
    """Read what `write_jsonl` wrote.

    Raises:
        StoreError: A line is no such value; names the line.
    """
    items: list[M] = []
    with path.open(encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            try:
                items.append(model.model_validate_json(line))
            except ValidationError as error:
                raise StoreError(
                    f"is no {model.__name__}: {error.errors()[0]['msg']}",
                    where=f"{path}:{number}",
                    mend="delete the stage's folder; it is made again",
                ) from error
    return items
