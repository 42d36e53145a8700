"""Lines of JSON Lines files as other people write them: opened whatever packs them, and what is wrong said in one line.

A byte order mark, line ends of Windows and blank lines change nothing. What cannot be read is told with how to mend it.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from clbench.core.errors import DataError, near_paths

Raw = dict[str, Any]
_PACKED: tuple[tuple[bytes, Callable[..., Any]], ...] = (
    (b"\xfd7zXZ\0", lzma.open),
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
)
_OTHER: tuple[tuple[bytes, str, str], ...] = (
    (codecs.BOM_UTF32_LE, "is UTF-32", "write it as UTF-8: iconv -f UTF-32 -t UTF-8 FILE > NEW.jsonl"),
    (codecs.BOM_UTF16_LE, "is UTF-16", "write it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE > NEW.jsonl"),
    (codecs.BOM_UTF16_BE, "is UTF-16", "write it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE > NEW.jsonl"),
    (b"{\0", "is UTF-16", "write it as UTF-8: iconv -f UTF-16LE -t UTF-8 FILE > NEW.jsonl"),
    (b"\0{", "is UTF-16", "write it as UTF-8: iconv -f UTF-16BE -t UTF-8 FILE > NEW.jsonl"),
    (b"\x28\xb5\x2f\xfd", "is packed with zstd", "unpack it: zstd -d FILE"),
    (b"PK\x03\x04", "is a zip archive", "unpack it: unzip FILE"),
    (b"PAR1", "is a Parquet file", "write its rows as JSON Lines, such as with pandas: read_parquet, then to_json"),
    (b"version https://git-lfs", "is a pointer of Git LFS, not the file itself", "fetch it: git lfs pull"),
    (b"<", "is a web page or XML, not JSON Lines", "fetch the file itself, such as its raw form"),
)  # fmt: skip
ONE_EACH = "write one object a line: jq -c '.[]' FILE > NEW.jsonl"
ONE_LINE = "write each object on a line of its own: jq -c . FILE > NEW.jsonl"
MEND = "mend or delete the line"


@dataclass(frozen=True)
class Wrong:
    """What is wrong with a line or a row, and how to mend it."""

    what: str
    mend: str = MEND

    def at(self, where: str) -> DataError:
        """Return it as an error of a place."""
        return DataError(self.what, where=where, mend=self.mend)


def opened(path: Path) -> IO[bytes]:
    """Open a file of rows for reading bytes; a file packed by xz, gzip or bzip2 for what it holds.

    How a file is packed is read off its first bytes, whatever its name ends in.

    Raises:
        DataError: There is no such file, or it holds something else than lines of UTF-8.
    """
    if path.is_dir():
        raise DataError("is a folder, not a file", where=str(path), mend="name a file of rows in it")
    if not path.exists():
        raise DataError("there is no such file", where=str(path), mend=near_paths(path))
    if not path.is_file():  # rows are read again by their place
        raise DataError("is a pipe or a device, which can be read once", where=str(path), mend="write it to a file")
    with path.open("rb") as f:
        head = f.read(32)
    for mark, what, mend in _OTHER:
        if head.startswith(mark):
            raise DataError(what, where=str(path), mend=mend)
    for mark, unpack in _PACKED:
        if head.startswith(mark):
            return cast(IO[bytes], unpack(path))
    return path.open("rb")


def is_packed(path: Path) -> bool:
    """Return whether a file is read by unpacking it, which is slow out of order."""
    with path.open("rb") as f:
        head = f.read(8)
    return any(head.startswith(mark) for mark, _ in _PACKED)


def numbered(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Yield (number, offset, bytes) of a file's lines, blank ones included.

    Raises:
        DataError: There is no such file, it holds something else than lines, or it is packed and damaged.
    """
    offset = 0
    try:
        with opened(path) as f:
            for number, line in enumerate(f, 1):
                yield number, offset, line
                offset += len(line)
    except (lzma.LZMAError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"the packed file is damaged: {error}", where=str(path), mend="fetch it again") from error


def parsed(text: bytes, number: int = 0) -> Raw | Wrong:
    """Return the object of a line, or what is wrong with the line.

    Args:
        text: The line, with or without its end and a byte order mark.
        number: Of the line, from 1: some mistakes are of a whole file, and begin in its first line.
    """
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        what = f"is not JSON in UTF-8: byte 0x{error.object[error.start]:02x} at character {error.start}"
        return Wrong(what, "write the file as UTF-8: iconv -f <its encoding> -t UTF-8 FILE > NEW.jsonl")
    try:
        found = json.loads(decoded)
    except json.JSONDecodeError as error:
        return _not_json(decoded, error, number)
    except (ValueError, RecursionError) as error:
        return Wrong(f"is not JSON: {error}")
    if isinstance(found, dict):
        return cast(Raw, found)
    if number == 1 and isinstance(found, list):
        return Wrong("the file is one JSON list, not JSON Lines", ONE_EACH)
    return Wrong(f"is not a JSON object but {_kind(found)}", "give one object per line")


def _not_json(text: str, error: json.JSONDecodeError, number: int) -> Wrong:
    bare = text.strip()
    if number == 1 and bare.startswith("[") and not bare.endswith("]"):
        return Wrong("is not JSON: the file is one JSON list over several lines, not JSON Lines", ONE_EACH)
    if number == 1 and bare == "{":
        return Wrong("is not JSON: the object goes on in the next line", ONE_LINE)
    if error.msg == "Extra data" and bare.startswith("{"):
        rest = text[error.pos :].lstrip()
        if rest.startswith("{"):
            return Wrong("is not JSON: it holds several objects", ONE_LINE)
        if rest.strip() == ",":
            return Wrong("is not JSON: a comma stands behind the object", "delete the comma at the end of the line")
    near = text[max(0, error.pos - 12) : error.pos + 12]
    return Wrong(f"is not JSON: {error.msg} at character {error.pos + 1}, near {near!r}")


def is_cut_short(line: bytes) -> bool:
    r"""Return whether a last line that is not a row is the beginning of one, as a crash leaves it.

    Example:
        >>> is_cut_short(b'{"a": "b'), is_cut_short(b"[1]"), is_cut_short(b"{'a': 1}"), is_cut_short(b'{"a": 1}\n')
        (True, False, False, False)
    """
    if line.endswith(b"\n") or not line.lstrip(codecs.BOM_UTF8 + b" \t").startswith(b"{"):
        return False
    text = line.decode("utf-8-sig", "ignore").strip()
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.msg != "Extra data" and (not text.endswith("}") or error.pos >= len(text))
    except (ValueError, RecursionError):
        return False
    return False


def rubric_text(rubric: Any) -> str | Wrong:
    """Return the text of a rubric, empty for a blank one; or what is wrong with it.

    Example:
        >>> rubric_text({"rubric_criteria": " a "}), rubric_text(None), rubric_text(["a"]).what
        ('a', '', 'a rubric is neither a text nor an object but a list')
    """
    if isinstance(rubric, dict):
        fields = cast(Raw, rubric)
        if "rubric_criteria" not in fields:
            names = ", ".join(map(repr, list(fields)[:4])) or "nothing"
            mend = "name the field of its text rubric_criteria, or give rubrics as texts"
            return Wrong(f"a rubric is an object without rubric_criteria; it has {names}", mend)
        rubric = fields["rubric_criteria"]
    if isinstance(rubric, (list, dict)):
        return Wrong(f"a rubric is neither a text nor an object but {_kind(rubric)}", "give each rubric as a text")
    return "" if rubric is None else str(rubric).strip()


def wrong_list(field: str, found: Any) -> Wrong | None:
    """Return what is wrong with a field that must be a list, if it is there."""
    if found is None or isinstance(found, list):
        return None
    held = isinstance(found, str) and found.lstrip().startswith("[")
    mend = "write the list itself, not a text that holds it" if held else "write it as a list"
    return Wrong(f"{field} is not a list but {type(found).__name__}", mend)


def wrong_message(message: Any) -> Wrong | None:
    """Return what is wrong with a message.

    Example:
        >>> wrong_message({"from": "human", "value": "hi"}).what
        "a message has no role and no content; it has 'from', 'value'"
    """
    if not isinstance(message, dict):
        return Wrong("messages holds something that is not an object", "write {role: ..., content: ...} each")
    fields = cast(Raw, message)
    if lacking := [name for name in ("role", "content") if name not in fields]:
        names = ", ".join(map(repr, list(fields)[:4])) or "nothing"
        mend = 'write {"role": "user", "content": "..."}'
        return Wrong(f"a message has no {' and no '.join(lacking)}; it has {names}", mend)
    if not isinstance(fields["content"], (str, list, type(None))):
        return Wrong(f"the content of a message is {_kind(fields['content'])}", "write it as a text")
    return None


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
