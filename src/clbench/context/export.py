"""Slim rows, which leave messages and rubrics to the data set, and full rows as the public scripts write them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from clbench.context.public import GRADE_FIELDS, INFER_FIELDS
from clbench.context.rows import Index, Raw, Reader, dumped, write_lines
from clbench.core.errors import DataError

TEXTS = ("messages", "rubrics")
MEGABYTE = 1_000_000


def slim(row: Raw, dataset: str) -> Raw:
    """Return a row without the texts that the data set holds, and with the digest of that data set."""
    return {**{name: value for name, value in row.items() if name not in TEXTS}, "dataset": dataset}


def restored(row: Raw, source: Raw) -> Raw:
    """Return a slim row with its texts, fields in the order of the public scripts, its own fields behind."""
    full = {**{name: source.get(name) for name in TEXTS}, **row}
    full.pop("dataset", None)
    first = [name for name in (*INFER_FIELDS, *GRADE_FIELDS) if name in full]
    return {**{name: full[name] for name in first}, **full}


def as_public(row: Raw) -> Raw:
    """Return a row with the fields of the public scripts alone, in their order."""
    return {name: row[name] for name in (*INFER_FIELDS, *GRADE_FIELDS) if name in row}


def export_slim(index: Index, dataset: Index, output: Path) -> int:
    """Write a file without the texts of the data set; return the number of rows.

    Raises:
        DataError: A row's texts are not those of the data set, and would be lost.
    """
    places = {e.task_id: e for e in dataset.entries}

    def lines() -> Iterator[bytes]:
        with Reader(index.path) as reader, Reader(dataset.path) as source:
            for entry in index.entries:
                row = reader.read(entry)
                texts = source.read(places[entry.task_id]) if entry.task_id in places else {}
                if any(name in row and row[name] != texts.get(name) for name in TEXTS):
                    mend = "name with --dataset the file that was answered"
                    what = f"{entry.task_id} has texts that are not those of {dataset.path}"
                    raise DataError(what, where=f"{index.path}:{entry.line}", mend=mend)
                yield dumped(slim(row, dataset.sha256))

    return write_lines(output, lines())


def export_public(index: Index, dataset: Index | None, output: Path, shard_mb: int) -> list[Path]:
    """Write full files for a submission, each below a size.

    Args:
        index: A file of answers or grades, full or slim.
        dataset: The data set that slim rows were made from.
        output: The file; more than one are numbered: `name.1.jsonl`, `name.2.jsonl`.
        shard_mb: Most megabytes in one file; one row alone may be larger.

    Returns:
        The files.

    Raises:
        DataError: A slim row belongs to another data set, or to none that is named.
    """
    shards: list[list[int]] = [[]]
    size = 0
    for k, line in enumerate(_full_lines(index, dataset)):
        if shards[-1] and size + len(line) > shard_mb * MEGABYTE:
            shards.append([])
            size = 0
        shards[-1].append(k)
        size += len(line)
    if len(shards) == 1:
        write_lines(output, _full_lines(index, dataset))
        return [output]
    paths = [output.with_name(f"{output.name.removesuffix('.jsonl')}.{n}.jsonl") for n in range(1, len(shards) + 1)]
    lines = _full_lines(index, dataset)
    for path, shard in zip(paths, shards, strict=True):
        write_lines(path, (next(lines) for _ in shard))
    return paths


def _full_lines(index: Index, dataset: Index | None) -> Iterator[bytes]:
    places = {} if dataset is None else {e.task_id: e for e in dataset.entries}
    with Reader(index.path) as reader, Reader(index.path if dataset is None else dataset.path) as source:
        for entry in index.entries:
            row = reader.read(entry)
            if all(name in row for name in TEXTS):
                yield dumped(as_public(row))
                continue
            if dataset is None or entry.task_id not in places or row.get("dataset", dataset.sha256) != dataset.sha256:
                mend = "name with --dataset the file that was answered; its sha256 stands in the row"
                what = f"{entry.task_id} is slim and its texts are not in that data set"
                raise DataError(what, where=f"{index.path}:{entry.line}", mend=mend)
            yield dumped(as_public(restored(row, source.read(places[entry.task_id]))))
