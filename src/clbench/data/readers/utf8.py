"""Where a file stops being UTF-8."""

from __future__ import annotations

from pathlib import Path


def first_bad(path: Path) -> tuple[int, int] | None:
    """Give (line, byte of the file) of the first byte that is no UTF-8, lines from 1 and bytes from 0; None if all is.

    Text files are decoded in blocks, so the error of a decoder does not know the line.
    """
    at = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return number, at + error.start
            at += len(line)
    return None
