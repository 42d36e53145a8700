"""JSON Lines: one object per line, plain or compressed as .gz or .xz."""

from __future__ import annotations

import gzip
import json
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn, cast

from clbench.core.errors import DataError
from clbench.data.readers import limits
from clbench.data.readers.numbers import real, whole_number
from clbench.data.readers.utf8 import other_encoding


def _unpacked(raw: IO[bytes], suffix: str) -> IO[bytes]:
    if suffix == ".xz":
        return cast("IO[bytes]", lzma.open(raw, "rb"))
    if suffix == ".gz":
        return cast("IO[bytes]", gzip.open(raw, "rb"))
    return raw


def no_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which JSON does not know and which compare unequal to themselves."""
    raise ValueError(f"{name} is not JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; refuses a key that is written twice, of which Python would silently keep the last."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{TWICE} {twice!r} in one object")
    return found


TWICE = "two values for the key"
DECODER = json.JSONDecoder(
    parse_constant=no_constant, parse_float=real, parse_int=whole_number, object_pairs_hook=_object
)
"""A strict JSON decoder: numbers remember how they are written, and a key occurs once in an object."""
_MEND = {
    "Expecting property name": "names and texts stand in double quotes, and no comma before '}'",
    "Expecting value": "texts stand in double quotes; true, false and null do not",
    "Expecting ',' delimiter": 'a quote inside a text is written \\"; a number has no 0 before it, no _ and no 0x',
    "Unterminated string": "the row is cut off, or a line break inside a text is not written \\n",
    "Extra data": "one object a line, with no comma after it, and a line feed at its end",
    "Invalid control character": "inside a text a line break is written \\n, a tab \\t, others as \\u0000",
    "NaN": "write null, or leave the row out",
    "Infinity": 'write a text, such as "inf", or leave the row out',
    "-Infinity": 'write a text, such as "-inf", or leave the row out',
    "maximum recursion": "it is nested too deeply: write what is inside as one text",
    TWICE: "keep one of them, or give the other a name of its own",
}


def mend_of(message: str) -> str:
    """Return how to mend an error of the JSON decoder; "" if that cannot be guessed."""
    return next((mend for start, mend in _MEND.items() if message.startswith(start)), "")


def parsed(line: bytes, where: str) -> dict[str, Any]:
    """Return the object of one line.

    Raises:
        DataError: It is not UTF-8, not JSON, or not an object.
    """
    try:
        value: Any = _decoded(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        what = f"invalid UTF-8 (byte {error.start} of the line)"
        name = Path(where.rpartition(":")[0]).name
        raise DataError(what, where=where, mend=other_encoding(line, name if name.endswith(".jsonl") else "")) from None
    except json.JSONDecodeError as error:
        # The decoder's own "line 1" would contradict the line of the file.
        what = f"broken JSON: {error.msg} (column {error.colno})"
        raise DataError(what, where=where, mend=mend_of(error.msg)) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"broken JSON: {error}", where=where, mend=mend_of(str(error))) from None
    if not isinstance(value, dict):
        mend = "a file that is one array is named .json" if isinstance(value, list) else ""
        raise DataError(f"a row is a JSON object, not {type(value).__name__}", where=where, mend=mend)
    return cast("dict[str, Any]", value)


def lines(path: Path, raw: IO[bytes] | None = None) -> Iterator[tuple[int, bytes]]:
    """Yield (number, line) from 1, unpacked, without a byte order mark; blank lines are left out.

    Args:
        path: The file; its ending shows how it is compressed.
        raw: The file, already open, for a caller that watches its position.

    Raises:
        DataError: The file cannot be read or is cut off.
    """
    number = 0
    try:
        with raw or path.open("rb") as packed, _unpacked(packed, path.suffix) as file:
            total = 0
            for line in limits.bounded_lines(file, str(path)):
                number += 1
                total += len(line)
                if file is not packed and total > limits.MOST_UNPACKED:
                    raise limits.too_much(f"{path}:{number}")
                text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                if text and not text.isspace():
                    yield number, text
    except EOFError:
        raise DataError(
            "the compressed file ends too early", where=f"{path}:{number + 1}", mend="copy or download it again"
        ) from None
    except (OSError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"the file cannot be read: {error}", where=f"{path}:{number + 1}") from None


def _decoded(text: str) -> Any:
    """Return the value of a text as the decoder does, without its search for blanks: it takes a third of the time."""
    bare = text.strip(" \t\r\n")
    try:
        value, end = DECODER.raw_decode(bare)
    except (ValueError, RecursionError):
        return DECODER.decode(text)  # says what is wrong, and where in the whole text
    return value if end == len(bare) else DECODER.decode(text)


def rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (file:line, row); blank lines are left out.

    Raises:
        DataError: The file cannot be read or is cut off, or a line is broken.
    """
    name = str(path)
    for number, line in lines(path):
        yield (where := f"{name}:{number}"), parsed(line, where)
