"""Where a file stops being UTF-8, and which encoding it has instead."""

from __future__ import annotations

import re
from pathlib import Path

from clbench.core.errors import DataError

# Encoding -> (first, last) leading byte of its frequent characters, and the least that follows.
LEVELS = {
    "GB18030": (0xB0, 0xD7, 0xA1),
    "BIG5": (0xA4, 0xC6, 0x40),
    "SHIFT_JIS": (0x88, 0x97, 0x40),
    "EUC-KR": (0xB0, 0xC8, 0xA1),
}
KANA = re.compile("[\u3041-\u30ff]")
# Encoding -> the ten or so letters that make up most of a text in its languages.
ALPHABETS = {
    "WINDOWS-1251": "оеаинтсрвлкмдпу",
    "KOI8-R": "оеаинтсрвлкмдпу",
    "CP866": "оеаинтсрвлкмдпу",
    "ISO-8859-5": "оеаинтсрвлкмдпу",
    "WINDOWS-1253": "αιοντεσηρπκυλςμό",
    "WINDOWS-1255": "יוהלאתרמבשנםעחד",
    "WINDOWS-1256": "اليمنرتوبةعدسفهك",
    "CP874": "านรอกเงมยลวด่้ตทส",
}
WORD = re.compile(b"[\x80-\xff]{4}")  # four in a row: no Latin text has so many letters with accents side by side
INSIDE = re.compile("[^\\W\\d_][\u00a1-\u00bf][^\\W\\d_]")
HALVES = re.compile(b"\xed[\xa0-\xbf][\x80-\xbf]")  # of characters beyond U+FFFF, each written as if it were one
IN_A_ROW = re.compile("[\u3041-\u30ff\u4e00-\u9fff\uac00-\ud7a3]{2}")


def first_bad(path: Path) -> tuple[int, int, bytes] | None:
    """Return (line, byte of the file, the line) of the first byte that is not UTF-8, lines from 1 and bytes from 0.

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
    """Return the error of a text file that is not UTF-8: its line, its byte, and how to convert it."""
    line, byte, text = first_bad(path) or (1, 0, b"")
    return DataError(
        f"invalid UTF-8 (byte {byte} of the file)", where=f"{path}:{line}", mend=other_encoding(text, path.name)
    )


def other_encoding(line: bytes, name: str = "") -> str:
    """Return how to mend a line that is not UTF-8, by the encoding that its bytes suggest; "" if they suggest none.

    Example:
        >>> other_encoding("天气".encode("gbk"), "a.csv")
        'it reads as GB18030: iconv -f GB18030 -t UTF-8 a.csv'
        >>> other_encoding("déjà".encode("cp1252"))
        'it reads as Windows-1252: iconv -f WINDOWS-1252 -t UTF-8'
    """
    if HALVES.search(line) and _is_utf8(HALVES.sub(b"", line)):
        return "it holds halves of characters (surrogates): write the characters whole, as UTF-8 does, or delete them"
    if line[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        found = "UTF-32"
    elif line[:2] in (b"\xff\xfe", b"\xfe\xff"):
        found = "UTF-16"
    elif (names := _eastern(line)) or (names := _alphabets(line)):
        found = names
    elif _western(line):
        found = "Windows-1252"
    else:
        return ""
    first = found.partition(" ")[0].upper()
    return f"it reads as {found}: iconv -f {first} -t UTF-8 {name}".rstrip()


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _eastern(line: bytes) -> str:
    """Return the encodings of East Asian text that a line may have, by its share of frequent characters.

    Two bytes of Western text may make one rare character: there must be two in a row, or a frequent one of GB 2312.
    """
    shares = {name: _share(line, name) for name in LEVELS}
    best = max(shares.values())
    return " or ".join(name for name, share in shares.items() if share and share >= 0.9 * best)


def _share(line: bytes, encoding: str) -> float:
    try:
        text = line.decode(encoding)
    except UnicodeDecodeError:
        return 0.0
    letters = [c for c in text if not c.isascii() and c.isalpha()]
    frequent = sum(_frequent(c, encoding) for c in letters) / max(len(letters), 1)
    if IN_A_ROW.search(text) is not None:
        return max(frequent, 0.01)
    return frequent if encoding == "GB18030" else 0.0


def _frequent(character: str, encoding: str) -> bool:
    """Return whether a character is of the first level of its set: frequent Chinese ones, kana, Korean syllables."""
    first, last, least = LEVELS[encoding]
    try:
        code = character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return (len(code) == 2 and first <= code[0] <= last and code[1] >= least) or bool(KANA.match(character))


def _alphabets(line: bytes) -> str:
    """Return the encoding of text in another alphabet than the Latin one, by the frequent letters of its languages."""
    if WORD.search(line) is None:
        return ""
    shares = {name: _frequency(line, name, letters) for name, letters in ALPHABETS.items()}
    best = max(shares, key=lambda name: shares[name])
    return best if shares[best] > 0.4 else ""


def _frequency(line: bytes, encoding: str, letters: str) -> float:
    try:
        found = [c for c in line.decode(encoding) if not c.isascii()]
    except UnicodeDecodeError:
        return 0.0
    return sum(c in letters for c in found) / max(len(found), 1)


def _western(line: bytes) -> bool:
    """Return whether it is Western text: accents among Latin letters, and no sign like `³` inside a word."""
    try:
        text = line.decode("cp1252")
    except UnicodeDecodeError:
        return False
    return WORD.search(line) is None and INSIDE.search(text) is None and any(c.isalpha() and c > "\x7f" for c in text)
