"""JSON Lines: one object a line, plain or compressed as .gz or .xz."""

from __future__ import annotations

import gzip
import json
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn, cast

from clbench.core.errors import DataError


def _open(path: Path) -> IO[bytes]:
    if path.suffix == ".xz":
        return cast("IO[bytes]", lzma.open(path, "rb"))
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return path.open("rb")


def no_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which JSON does not know and which compare unequal to themselves."""
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=no_constant)


def parsed(line: bytes, where: str) -> dict[str, Any]:
    """Parse one line.

    Raises:
        DataError: It is not UTF-8, not JSON, or not an object.
    """
    try:
        value: Any = _DECODER.decode(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(f"invalid UTF-8 (byte {error.start} of the line)", where=where) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"broken JSON: {error}", where=where) from None
    if not isinstance(value, dict):
        raise DataError(f"a row is a JSON object, not {type(value).__name__}", where=where)
    return cast("dict[str, Any]", value)


def rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (file:line, row); blank lines are no rows.

    Raises:
        DataError: The file cannot be read or is cut off, or a line is broken.
    """
    number = 0
    try:
        with _open(path) as file:
            for line in file:
                number += 1
                text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                if text.strip():
                    yield (where := f"{path}:{number}"), parsed(text, where)
    except EOFError:
        raise DataError(
            "the compressed file ends too early", where=f"{path}:{number + 1}", mend="copy or download it again"
        ) from None
    except (OSError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"the file cannot be read: {error}", where=f"{path}:{number + 1}") from None
