"""Frozen values as JSON Lines: the same items give the same bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from clbench.core.errors import StoreError
from clbench.core.keys import canonical

M = TypeVar("M", bound=BaseModel)


def write_jsonl(path: Path, items: Iterable[BaseModel]) -> None:
    """Write one canonical JSON object per line; numbers come back exactly as they were."""
    with path.open("wb") as f:
        for item in items:
            # Model output may hold lone surrogates, which UTF-8 cannot: they are written as JSON escapes.
            f.write(canonical(item).encode("utf-8", "backslashreplace") + b"\n")


def read_jsonl(path: Path, model: type[M], *, draft: bool = False) -> list[M]:
    """Return the values that `write_jsonl` wrote.

    Args:
        path: The file.
        model: The type of each line.
        draft: The file was being appended to when its process died: a last line that is cut short is dropped.

    Raises:
        StoreError: A line is not a value of this type; names the line.
    """
    lines = path.read_bytes().split(b"\n")
    cut_short = lines.pop() != b""
    items: list[M] = []
    for number, line in enumerate(lines, 1):
        try:
            items.append(_parse(line, model))
        except (ValidationError, ValueError) as error:
            raise _no_record(path, number, model, str(error).splitlines()[0]) from error
    if cut_short and not draft:
        raise _no_record(path, len(lines) + 1, model, "the line is cut short")
    return items


def _parse(line: bytes, model: type[M]) -> M:
    try:
        return model.model_validate_json(line)
    except ValidationError:
        # pydantic's JSON reader refuses escaped lone surrogates; the standard library's does not.
        return model.model_validate(json.loads(line))


def _no_record(path: Path, number: int, model: type[BaseModel], why: str) -> StoreError:
    return StoreError(
        f"is not a valid {model.__name__}: {why}",
        where=f"{path}:{number}",
        mend="delete the stage's folder; it is made again",
    )
