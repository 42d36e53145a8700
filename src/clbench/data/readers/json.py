"""JSON: one array of objects, read object by object."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clbench.core.errors import DataError
from clbench.data.readers.jsonl import no_constant

CHUNK = 1 << 20
_DECODER = json.JSONDecoder(parse_constant=no_constant)


class _Text:
    """What is left to parse, filled up from the file chunk by chunk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path.open(encoding="utf-8-sig")
        self.left = ""
        self.number = 0

    def more(self) -> bool:
        """Read on; False at the end of the file."""
        chunk = self.file.read(CHUNK)
        self.left += chunk
        return bool(chunk)

    def peek(self) -> str:
        """Give the next character that is no blank, "" at the end."""
        self.left = self.left.lstrip()
        while not self.left and self.more():
            self.left = self.left.lstrip()
        return self.left[:1]

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
            if text.peek() != "[":
                raise DataError(
                    "a .json file is one array of objects", where=str(path), mend="one object a line is .jsonl"
                )
            text.left = text.left[1:]
            while text.peek() != "]":
                text.number += 1
                yield text.where(), _object(text)
                if text.peek() == ",":
                    text.left = text.left[1:]
                    if text.peek() == "]":
                        raise DataError("broken JSON: comma before ']'", where=text.where())
                elif text.peek() != "]":
                    raise DataError("broken JSON: ',' or ']' is missing", where=text.where())
            text.left = text.left[1:]
            if text.peek():
                raise DataError("broken JSON: there is text after the array", where=str(path))
        except UnicodeDecodeError as error:
            raise DataError(f"invalid UTF-8 ({error.reason})", where=text.where()) from None
        except OSError as error:
            raise DataError(f"the file cannot be read: {error}", where=text.where()) from None


def _object(text: _Text) -> dict[str, Any]:
    if text.peek() != "{":
        raise DataError("a row is a JSON object", where=text.where())
    while True:
        try:
            value, end = _DECODER.raw_decode(text.left)
        except (ValueError, RecursionError) as error:
            # A chunk may end inside an object; only the end of the file tells that it is broken.
            if text.more():
                continue
            raise DataError(f"broken JSON: {error}", where=text.where()) from None
        text.left = text.left[end:]
        return value
