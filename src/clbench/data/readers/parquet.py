"""Parquet, through pyarrow, one row group's batch at a time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clbench.core.errors import DataError
from clbench.data.readers import limits
from clbench.data.readers.arrow import changed, changes, decimals, is_upcast, remarks_of

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

BATCH, LEAST_BATCH = 1024, 16  # rows
MOST_COLUMN = 2 << 30  # bytes


def rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (file:row N, row), N from 1; numbers of classes have their names.

    Raises:
        DataError: pyarrow is not installed, or the file cannot be read.
    """
    pa, pq = _pyarrow(path)
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            if twice := [n for n, num in Counter(file.schema_arrow.names).items() if num > 1]:
                raise DataError(f"column {twice[0]!r} stands twice", where=str(path), mend="rename one of them")
            how = changes(_features(file.schema_arrow), _upcast(file), file.schema_arrow)
            unpacked = 0
            for batch in file.iter_batches(batch_size=_batch(file, str(path))):
                unpacked += batch.nbytes
                if unpacked > limits.MOST_UNPACKED:
                    raise limits.too_much(f"{path}:row {number + 1}")
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}:row {number}", changed(row, how)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"the file cannot be read: {error}", where=f"{path}:row {number + 1}") from None


def _batch(file: ParquetFile, where: str) -> int:
    """Return the rows to read at a time: fewer if a column has a dictionary, whose long texts may be repeated.

    Raises:
        DataError: A column of a row group unpacks to more than `MOST_COLUMN`.
    """
    about = file.metadata
    rows_at_once = BATCH
    for group in range(about.num_row_groups):
        for place in range(about.num_columns):
            column = about.row_group(group).column(place)
            size = max(column.total_uncompressed_size, 1)
            if size > MOST_COLUMN:
                what = f"column {column.path_in_schema!r} unpacks to {size:,} bytes in one row group"
                mend = f"write it with row groups of fewer rows: at most {MOST_COLUMN:,} bytes of a column in each"
                raise DataError(what, where=where, mend=mend)
            if column.has_dictionary_page:
                rows_at_once = min(rows_at_once, max(MOST_COLUMN // size, LEAST_BATCH))
    return rows_at_once


def remarks(path: Path) -> list[str]:
    """Return sentences on columns that are read in another way than they are stored."""
    pa, pq = _pyarrow(path)
    try:
        with pq.ParquetFile(path) as file:
            return remarks_of(_upcast(file))
    except (OSError, pa.ArrowException):  # reading its rows says so
        return []


def _pyarrow(path: Path) -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise DataError("Parquet needs pyarrow", where=str(path), mend="pip install 'clbench[data]'") from None
    return pa, pq


def _features(schema: Any) -> Mapping[str, Any]:
    """Return the features that `datasets` wrote into the file; {} without them."""
    try:
        found = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType]  # JSON has no types


def _upcast(file: ParquetFile) -> list[str]:
    return [
        name
        for name in decimals(file.schema_arrow)
        if is_upcast(batch.column(0) for batch in file.iter_batches(columns=[name]) if batch.num_columns)
    ]
