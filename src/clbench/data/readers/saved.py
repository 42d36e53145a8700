"""A folder that `datasets.Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clbench.core.errors import DataError

MARK = "dataset_dict.json"


def is_saved(folder: Path) -> bool:
    """Whether the folder holds splits saved by `DatasetDict.save_to_disk`."""
    return (folder / MARK).is_file()


def rows(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (folder:row N, row) of one saved split, N from 1; memory-mapped.

    Raises:
        DataError: datasets is not installed, or the folder cannot be read.
    """
    try:
        import datasets
    except ImportError:
        raise DataError(
            "a saved data set needs datasets", where=str(folder), mend="pip install 'clbench[data]'"
        ) from None
    try:
        found = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"the saved data set cannot be read: {error}", where=str(folder)) from None
    if not isinstance(found, datasets.Dataset):
        raise DataError("this folder holds several splits, one was expected", where=str(folder))
    for number, row in enumerate(found, start=1):
        yield f"{folder}:row {number}", dict(row)
