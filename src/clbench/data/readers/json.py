"""JSON: one array of objects, read object by object."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clbench.core.errors import DataError
from clbench.data.readers import limits
from clbench.data.readers.jsonl import DECODER, mend_of
from clbench.data.readers.utf8 import not_utf8

CHUNK = 1 << 20
LONGEST_TOKEN = len("-Infinity")
_Broken = json.JSONDecodeError
_VISIBLE = re.compile(r"\S")


class _Text:
    """The text that is left to parse, from `at` on, read from the file chunk by chunk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path.open(encoding="utf-8-sig")
        self.left = ""
        self.at = 0
        self.number = 0

    def more(self) -> bool:
        """Read another chunk; return False at the end of the file."""
        # An unfinished row is parsed again with all that follows, so twice as much is read each time.
        chunk = self.file.read(max(CHUNK, len(self.left) - self.at))
        # What has been parsed is dropped once a chunk; once a row would copy the chunk for every row of it.
        self.left = self.left[self.at :] + chunk
        self.at = 0
        return bool(chunk)

    def peek(self) -> str:
        """Return the next character that is not a blank; "" at the end."""
        while True:
            found = _VISIBLE.search(self.left, self.at)
            if found is not None:
                self.at = found.start()
                return found.group()
            self.at = len(self.left)
            if not self.more():
                return ""

    def where(self) -> str:
        return f"{self.path}:row {self.number}"


def rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (file:row N, row), N from 1.

    Raises:
        DataError: The file cannot be read, or is not an array of objects.
    """
    try:
        text = _Text(path)
    except OSError as error:
        raise DataError(f"the file cannot be read: {error.strerror}", where=str(path)) from None
    with text.file:
        try:
            yield from _rows(text)
        except UnicodeDecodeError:
            raise not_utf8(path) from None
        except OSError as error:
            raise DataError(f"the file cannot be read: {error}", where=text.where()) from None


def _rows(text: _Text) -> Iterator[tuple[str, dict[str, Any]]]:
    first = text.peek()
    if not first:
        return
    if first != "[":
        raise DataError(
            "a .json file is one array of objects",
            where=f"{text.path}:1",
            mend="one object a line belongs in a .jsonl file; of an object that holds the array, write the array alone",
        )
    text.at += 1
    while text.peek() != "]":
        text.number += 1
        yield text.where(), _object(text)
        if text.peek() == ",":
            text.at += 1
            if text.peek() == "]":
                raise DataError("broken JSON: comma before ']'", where=text.where())
        elif text.peek() != "]":
            raise DataError("broken JSON: ',' or ']' is missing", where=text.where())
    text.at += 1
    if text.peek():
        raise DataError("broken JSON: there is text after the array", where=text.where())


def _object(text: _Text) -> dict[str, Any]:
    if text.peek() != "{":
        raise DataError("a row is a JSON object", where=text.where())
    while True:
        start = text.at
        try:
            value, text.at = DECODER.raw_decode(text.left, start)
            if text.at - start > limits.MOST_ROW:
                raise limits.row_too_long(text.where())
            return value
        except (ValueError, RecursionError) as error:
            if len(text.left) - start > limits.MOST_ROW:
                raise limits.row_too_long(text.where()) from None
            if _may_be_cut(error, len(text.left)) and text.more():
                continue
            what = (
                f"{error.msg} (character {error.pos - start + 1} of the row)" if isinstance(error, _Broken) else error
            )
            raise DataError(f"broken JSON: {what}", where=text.where(), mend=mend_of(str(error))) from None


def _may_be_cut(error: ValueError | RecursionError, end: int) -> bool:
    """Return whether an object may be unfinished only because the chunk ends: by an error at the end, or in a string.

    Reading on after any error would load the rest of a broken file into memory.
    """
    return isinstance(error, _Broken) and (error.pos > end - LONGEST_TOKEN or error.msg.startswith("Unterminated"))
