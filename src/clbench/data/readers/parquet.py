"""Parquet, through pyarrow, one row group's batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clbench.core.errors import DataError

BATCH = 1024


def rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (file:row N, row), N from 1.

    Raises:
        DataError: pyarrow is not installed, or the file cannot be read.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise DataError("Parquet needs pyarrow", where=str(path), mend="pip install 'clbench[data]'") from None
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}:row {number}", row
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"the file cannot be read: {error}", where=f"{path}:row {number + 1}") from None
