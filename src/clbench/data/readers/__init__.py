"""One file per format. A reader is a generator of (where, row), so that a file of any length fits into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from clbench.core.errors import DataError
from clbench.data.readers import csv, json, jsonl, parquet, saved

Row = dict[str, Any]
Rows = Iterator[tuple[str, Row]]

BY_SUFFIX: dict[str, Callable[[Path], Rows]] = {
    ".jsonl.xz": jsonl.rows,
    ".jsonl.gz": jsonl.rows,
    ".jsonl": jsonl.rows,
    ".json": json.rows,
    ".csv": csv.rows,
    ".tsv": csv.rows,
    ".parquet": parquet.rows,
}
KNOWN = "known: " + ", ".join(BY_SUFFIX)
WAYS = {
    ".xlsx": "save the sheet as CSV (UTF-8)",
    ".xls": "save the sheet as CSV (UTF-8)",
    ".ods": "save the sheet as CSV (UTF-8)",
    ".zip": "unpack it",
    ".7z": "unpack it",
    ".tar": "unpack it",
    ".tgz": "unpack it",
    ".gz": "unpack it; only .jsonl is read packed",
    ".xz": "unpack it; only .jsonl is read packed",
    ".bz2": "unpack it",
    ".zst": "unpack it",
    ".ndjson": "name it .jsonl",
    ".jsonlines": "name it .jsonl",
    ".feather": "write it as Parquet",
    ".pkl": "write it as JSON Lines or Parquet: a pickle is a program that would run",
    ".pickle": "write it as JSON Lines or Parquet: a pickle is a program that would run",
    ".arrow": "name the folder that save_to_disk wrote, or write it as Parquet",
}
"""Ending that no reader knows -> what the user can do."""


def suffix_of(name: str) -> str | None:
    """Return the ending by which a reader is found, or None.

    Example:
        >>> suffix_of("train.jsonl.xz"), suffix_of("train.txt")
        ('.jsonl.xz', None)
    """
    return next((s for s in BY_SUFFIX if name.lower().endswith(s)), None)


def stem_of(name: str) -> str:
    """Return a file's name without the ending by which a reader is found.

    Example:
        >>> stem_of("Train.JSONL.gz")
        'Train'
    """
    return name[: len(name) - len(suffix_of(name) or "")]


def way_in(name: str) -> str:
    """Return what a user can do with a file that no reader knows.

    Example:
        >>> way_in("Sheet.XLSX")
        'save the sheet as CSV (UTF-8)'
    """
    return next((way for ending, way in WAYS.items() if name.lower().endswith(ending)), KNOWN)


def remarks(path: Path) -> list[str]:
    """Return what a user should know about how this file, or saved split, is read."""
    if path.is_dir():
        return saved.remarks(path)
    how = {".csv": csv.remarks, ".tsv": csv.remarks, ".parquet": parquet.remarks}.get(suffix_of(path.name) or "")
    return how(path) if how is not None else []


def open_rows(path: Path) -> Rows:
    """Return the rows of a file, by its ending.

    Raises:
        DataError: No reader knows the ending. While reading: what is broken, with file and line.
    """
    suffix = suffix_of(path.name)
    if suffix is None:
        raise DataError("no reader knows this kind of file", where=str(path), mend=way_in(path.name))
    return BY_SUFFIX[suffix](path)
