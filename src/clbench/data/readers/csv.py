"""CSV with a header line (RFC 4180) and TSV, UTF-8; every value is text."""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from clbench.core.errors import DataError
from clbench.data.readers import limits
from clbench.data.readers.utf8 import not_utf8

MOST_CHARACTERS = 1 << 24
# If the file was saved again, the line ends with the empty values of a row.
SEPARATED = re.compile(r'"?sep\s?=[ ]?(.)"?(?:\1|\s)*', re.IGNORECASE)
OTHERS = ";\t|"  # what some programs write instead of a comma
APART = re.compile(r'[ \t]+"[^"]*"?[ \t]*')  # of `a, "b"` and, cut at its comma, of `a, "b, c"`
IN_QUOTES = re.compile(r'"(?:[^"]|"")*"')


class Layout(NamedTuple):
    """How a file separates its values.

    Attributes:
        delimiter: The character between two values.
        skipped: Lines before the header: 1 where a spreadsheet wrote `sep=;`, else 0.
        quoted: Whether a value in double quotes may hold delimiters and line breaks; not in TSV.
    """

    delimiter: str = ","
    skipped: int = 0
    quoted: bool = True


def layout(path: Path) -> Layout:
    """Return the layout of a file, by its name and its first line.

    A `sep=` line names the delimiter. Without one it is a tab in a .tsv file, else a comma. If the header has no comma
    outside quotes but another delimiter, it is that one.

    Raises:
        UnicodeDecodeError, OSError: The file cannot be read.
    """
    tabs = path.name.lower().endswith(".tsv")
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline(MOST_CHARACTERS).rstrip("\r\n")
    if (separator := SEPARATED.fullmatch(first)) is not None:
        return Layout(separator[1], 1)
    names = IN_QUOTES.sub("", first)
    found = {d: names.count(d) for d in OTHERS if d in names}
    if tabs and ("\t" in found or not (found or "," in names)):
        return Layout("\t", quoted=False)
    if "," in names or not found:
        return Layout()
    return Layout(max(found, key=lambda d: found[d]))


def remarks(path: Path) -> list[str]:
    """Return sentences on what is read in another way than the file's name suggests."""
    try:
        how = layout(path)
    except (UnicodeDecodeError, OSError):  # reading its rows says so
        return []
    found = [f"the line sep={how.delimiter} is not a row"] if how.skipped else []
    usual, name = ("\t", "a tab") if path.name.lower().endswith(".tsv") else (",", "a comma")
    if how.delimiter != usual:
        found.append(f"values are separated by {how.delimiter!r}, not by {name}")
    return found


def rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (file:line, row), with the row's last line; blank lines and empty rows at the end are left out.

    Raises:
        DataError: The file cannot be read, has a column twice, or a row has too few or too many values, or is the
            line of the columns once more.
    """
    # The module's own limit of 131,072 characters is shorter than a long document.
    csv.field_size_limit(MOST_CHARACTERS)
    line = 1
    try:
        how = layout(path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            for _ in range(how.skipped):
                file.readline()
            header: list[str] | None = None
            waiting: list[tuple[int, list[str]]] = []  # empty rows, which are left out if nothing follows
            for number, values, text in _records(file, how, str(path)):
                line = number + how.skipped
                _refuse_apart(values, text, how, f"{path}:{line}")
                if header is None:
                    header = _header(values, f"{path}:{line}")
                    continue
                waiting.append((line, values))
                if any(v.strip() for v in values):
                    for at, record in waiting:
                        yield f"{path}:{at}", _row(header, record, f"{path}:{at}", how)
                    waiting.clear()
            if header is None:
                raise _no_header(f"{path}:1")
    except UnicodeDecodeError:
        raise not_utf8(path) from None
    except csv.Error as error:
        mend = 'close every quote; a quote inside a value is written ""'
        raise DataError(f"broken CSV: {error}", where=f"{path}:{line + 1}", mend=mend) from None
    except OSError as error:
        raise DataError(f"the file cannot be read: {error}", where=str(path)) from None


def _records(file: TextIO, how: Layout, where: str) -> Iterator[tuple[int, list[str], list[str]]]:
    """Yield (line, values, the lines as they are) of every row that is not blank.

    Raises:
        DataError: A row, of one line or of many, is longer than `limits.MOST_ROW`.
    """
    read: list[str] = []  # lines of the row that is being read

    def counted() -> Iterator[str]:
        length = 0
        for line in limits.bounded_lines(file, where):
            length = len(line) + (length if read else 0)
            read.append(line)
            if length > limits.MOST_ROW:
                raise limits.row_too_long(where)
            yield line

    if how.quoted:
        reader = csv.reader(counted(), delimiter=how.delimiter, strict=True)
    else:
        reader = csv.reader(counted(), delimiter=how.delimiter, quoting=csv.QUOTE_NONE)
    for values in reader:
        if values:
            yield reader.line_num, values if how.quoted else [_unquoted(v) for v in values], read
        read.clear()


def _refuse_apart(values: Sequence[str], lines: Sequence[str], how: Layout, where: str) -> None:
    """Refuse `a, "b"`: formally its quotes are part of the value, which nobody means.

    Raises:
        DataError: A blank stands between a delimiter and a quote.
    """
    found = next((v for v in values if how.quoted and APART.fullmatch(v)), None)
    if found is None:
        return
    delimiter = re.escape(how.delimiter)
    outside = re.sub(f'(?:(?<={delimiter})|^)"(?:[^"]|"")*"', "", "".join(lines))  # a blank inside of quotes is meant
    if re.search(f'(?:{delimiter}|^)[ \\t]+"', outside):
        mend = "delete the blank: with it, the quotes are part of the value"
        raise DataError(f"a blank stands before the quote of {found.strip()[:40]}", where=where, mend=mend)


def _unquoted(value: str) -> str:
    """Return a value without the quotes that spreadsheets put around it; other quotes are part of the text."""
    if len(value) < 2 or not value[0] == value[-1] == '"' or '"' in value[1:-1].replace('""', ""):
        return value
    return value[1:-1].replace('""', '"')


def _no_header(where: str, more: str = "") -> DataError:
    return DataError(f"the first line must name the columns, each once{more}", where=where)


def _header(values: Sequence[str], where: str) -> list[str]:
    """Return the names of the columns, without the empty ones that spreadsheets write at the end."""
    names = list(reversed(list(itertools.dropwhile(lambda name: not name.strip(), reversed(values)))))
    twice = next((name for name, num in Counter(names).items() if num > 1), None)
    if not names or twice is not None:
        raise _no_header(where, f": {twice!r} stands twice" if twice else "")
    return names


def _row(header: Sequence[str], values: Sequence[str], where: str, how: Layout) -> dict[str, Any]:
    values = list(values)
    while len(values) > len(header) and not values[-1].strip():
        values.pop()
    if len(values) != len(header):
        mend = "put a value that holds a comma or a line break in double quotes"
        if len(values) < len(header):
            mend = "every row has a value for every column, an empty one too; one with a line break stands in quotes"
        if not how.quoted:
            mend = "a value of a .tsv file holds neither a tab nor a line break"
        raise DataError(f"{len(values)} values for {len(header)} columns", where=where, mend=mend)
    if len(header) > 1 and [v.removeprefix("\ufeff") for v in values] == list(header):
        raise DataError(
            "the line of the columns stands here once more", where=where, mend="delete it: two files were joined"
        )
    return dict(zip(header, values, strict=True))
