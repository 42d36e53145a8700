"""How large a file may become in memory: a few packed bytes can be gigabytes of rows, or one endless row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, AnyStr

from clbench.core.errors import DataError

MOST_ROW = 1 << 27  # bytes, or characters of text: 128 MiB, a hundred long books
MOST_UNPACKED = 16 << 30  # bytes of all rows of a packed file


def row_too_long(where: str) -> DataError:
    """Return the error of a row that is longer than any document."""
    mend = "one row a line, written by a program that ends its lines; a document this long is several rows"
    return DataError(f"a row has more than {MOST_ROW:,} bytes", where=where, mend=mend)


def too_much(where: str) -> DataError:
    """Return the error of a packed file that holds more than any data set for exams and lessons."""
    mend = "it may be damaged, or made to fill the memory; use a part of it, or split it into several tasks"
    return DataError(f"unpacked, the file has more than {MOST_UNPACKED:,} bytes", where=where, mend=mend)


def bounded_lines(file: IO[AnyStr], where: str) -> Iterator[AnyStr]:
    """Yield the lines of a file.

    Raises:
        DataError: A line is longer than `MOST_ROW`; the rest of it is not read.
    """
    number = 0
    while line := file.readline(MOST_ROW + 1):
        number += 1
        if len(line) > MOST_ROW:
            raise row_too_long(f"{where}:{number}")
        yield line
