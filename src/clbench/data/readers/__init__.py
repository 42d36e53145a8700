"""One file per format. A reader is a generator of (where, row), so a file of any length needs no memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from clbench.core.errors import DataError
from clbench.data.readers import csv, json, jsonl, parquet

Row = dict[str, Any]
Rows = Iterator[tuple[str, Row]]

BY_SUFFIX: dict[str, Callable[[Path], Rows]] = {
    ".jsonl.xz": jsonl.rows,
    ".jsonl.gz": jsonl.rows,
    ".jsonl": jsonl.rows,
    ".json": json.rows,
    ".csv": csv.rows,
    ".parquet": parquet.rows,
}


def suffix_of(name: str) -> str | None:
    """Give the ending by which a reader is found, or None.

    Example:
        >>> suffix_of("train.jsonl.xz"), suffix_of("train.txt")
        ('.jsonl.xz', None)
    """
    return next((s for s in BY_SUFFIX if name.endswith(s)), None)


def open_rows(path: Path) -> Rows:
    """Read a file by its ending.

    Raises:
        DataError: No reader knows the ending. While reading: what is broken, with file and line.
    """
    suffix = suffix_of(path.name)
    if suffix is None:
        raise DataError("no reader knows this kind of file", where=str(path), mend="known: " + ", ".join(BY_SUFFIX))
    return BY_SUFFIX[suffix](path)
