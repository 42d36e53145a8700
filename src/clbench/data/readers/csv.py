"""CSV with a header line (RFC 4180), UTF-8; every value is text."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clbench.core.errors import DataError
from clbench.data.readers.utf8 import first_bad

MOST_CHARACTERS = 1 << 24


def rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (file:line, row), the line being the row's last.

    Raises:
        DataError: The file cannot be read, has a column twice, or a row has too few or too many values.
    """
    # The module's own limit of 131,072 characters is shorter than a long document.
    csv.field_size_limit(MOST_CHARACTERS)
    line = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            if not header or len(set(header)) < len(header):
                raise DataError("the first line must name the columns, each once", where=f"{path}:1")
            for values in reader:
                line = reader.line_num
                if not values:
                    continue
                if len(values) != len(header):
                    mend = "put a value that holds a comma or a line break in double quotes"
                    raise DataError(
                        f"{len(values)} values for {len(header)} columns", where=f"{path}:{line}", mend=mend
                    )
                yield f"{path}:{line}", dict(zip(header, values, strict=True))
    except UnicodeDecodeError:
        line, byte = first_bad(path) or (line, 0)
        raise DataError(f"invalid UTF-8 (byte {byte} of the file)", where=f"{path}:{line}") from None
    except csv.Error as error:
        mend = 'close every quote; a quote inside a value is written ""'
        raise DataError(f"broken CSV: {error}", where=f"{path}:{line + 1}", mend=mend) from None
    except OSError as error:
        raise DataError(f"the file cannot be read: {error}", where=str(path)) from None
