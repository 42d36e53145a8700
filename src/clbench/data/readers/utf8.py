"""Where a file stops being UTF-8, and what it is instead."""

from __future__ import annotations

import re
from pathlib import Path

from clbench.core.errors import DataError


def first_bad(path: Path) -> tuple[int, int, bytes] | None:
    """Give (line, byte of the file, the line) of the first byte that is no UTF-8, lines from 1 and bytes from 0.

    None if all is UTF-8. Text files are decoded in blocks, so the error of a decoder does not know the line.
    """
    at = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return number, at + error.start, line
            at += len(line)
    return None


def not_utf8(path: Path) -> DataError:
    """Return the error of a text file that is no UTF-8: its line, its byte, and how to write it again."""
    line, byte, text = first_bad(path) or (1, 0, b"")
    return DataError(
        f"invalid UTF-8 (byte {byte} of the file)", where=f"{path}:{line}", mend=other_encoding(text, path.name)
    )


def other_encoding(line: bytes, name: str = "") -> str:
    """Say how to mend a line that is no UTF-8 where its bytes tell what it is; "" where they do not.

    Example:
        >>> other_encoding("天气".encode("gbk"), "a.csv")
        'it reads as GB18030: iconv -f GB18030 -t UTF-8 a.csv'
        >>> other_encoding("déjà".encode("cp1252"))
        'it reads as Windows-1252: iconv -f WINDOWS-1252 -t UTF-8'
    """
    if line[:2] in (b"\xff\xfe", b"\xfe\xff"):
        found = "UTF-16"
    elif _chinese(line):
        found = "GB18030"
    elif _western(line):
        found = "Windows-1252"
    else:
        return ""
    return f"it reads as {found}: iconv -f {found.upper()} -t UTF-8 {name}".rstrip()


def _chinese(line: bytes) -> bool:
    try:
        text = line.decode("gb18030")
    except UnicodeDecodeError:
        return False
    # Two bytes of Western text may make a rare Chinese character; Chinese text has characters in a row or common ones.
    return bool(re.search("[\u4e00-\u9fff]{2}", text)) or any(_common(c) for c in text)


def _common(character: str) -> bool:
    try:
        return "\u4e00" <= character <= "\u9fff" and character.encode("gb2312")[0] < 0xD8
    except UnicodeEncodeError:
        return False


def _western(line: bytes) -> bool:
    try:
        text = line.decode("cp1252")
    except UnicodeDecodeError:
        return False
    return any(c.isalpha() and not c.isascii() for c in text)
