"""A folder that `datasets.Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clbench.core.errors import DataError
from clbench.data.readers.arrow import changed, changes, decimals, is_upcast, remarks_of

MARK = "dataset_dict.json"


def is_saved(folder: Path) -> bool:
    """Return whether the folder holds splits saved by `DatasetDict.save_to_disk`."""
    return (folder / MARK).is_file()


def rows(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (folder:row N, row) of one saved split, N from 1; memory-mapped; numbers of classes have their names.

    Raises:
        DataError: datasets is not installed, or the folder cannot be read.
    """
    found = _open(folder)
    yield from rows_of(found, str(folder))


def rows_of(found: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (where:row N, row) of an open data set."""
    how = changes(found.features.to_dict(), _upcast(found), found.data.table.schema)
    number = 0
    try:
        for number, row in enumerate(found, start=1):
            yield f"{where}:row {number}", changed(row, how)
    except ImportError as error:  # pictures and sounds are decoded by packages of their own
        raise DataError(f"a value cannot be decoded: {error}", where=f"{where}:row {number + 1}") from None


def remarks(folder: Path) -> list[str]:
    """Return sentences on columns that are read in another way than they are stored."""
    try:
        found = _open(folder)
    except DataError:  # reading its rows says so
        return []
    return remarks_of(_upcast(found))


def _upcast(found: Any) -> list[str]:
    table = found.data.table
    return [name for name in decimals(table.schema) if is_upcast(table.column(name).chunks)]


def _open(folder: Path) -> Any:
    try:
        import datasets
    except ImportError:
        raise DataError(
            "a saved data set needs datasets", where=str(folder), mend="pip install 'clbench[data]'"
        ) from None
    try:
        found = datasets.load_from_disk(str(folder))
    except IndexError:  # a split without files
        raise DataError("the saved data set holds no rows", where=str(folder)) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"the saved data set cannot be read: {error}", where=str(folder)) from None
    if not isinstance(found, datasets.Dataset):
        raise DataError("this folder holds several splits, one was expected", where=str(folder))
    return found
