"""The files of a user's task, and their rows one after another, broken ones included."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clbench.core.errors import DataError, SpecError
from clbench.core.events import Progress, report_progress
from clbench.data.readers import KNOWN, jsonl, open_rows, saved, stem_of, suffix_of, way_in

Row = Mapping[str, Any]
TRAIN, VALIDATION, TEST, WHOLE = "train", "validation", "test", "all"
SPLITS = (TRAIN, VALIDATION, TEST)
ALIASES = {
    **dict.fromkeys(("train", "training", "lesson", "训练", "訓練"), TRAIN),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development", "验证", "驗證", "开发集"), VALIDATION),
    **dict.fromkeys(
        ("test", "testing", "eval", "evaluation", "exam", "tst", "devtest", "newstest", "testa", "testb"), TEST
    ),
    **dict.fromkeys(("heldout", "holdout", "测试", "測試", "评测", "評測"), TEST),
}
ENDINGS = re.compile("(?:set|data|file|split)?s?$")  # of `testset`, `tests`
HAN = re.compile("|".join(name for name in ALIASES if not name.isascii()))
NAMELESS = {"", "part", "data", "shard", "file", "chunk", "of"}  # of 0000.parquet: its folder may say the split
FOREIGN = (
    (b"version https://git-lfs", "this is a pointer of Git LFS, not the data", "git lfs pull, in the repository"),
    (b"<!doctype html", "this is a web page, not the data", "download the file itself"),
    (b"<html", "this is a web page, not the data", "download the file itself"),
    (b"%pdf-", "this is a PDF document, not the data", "take the text out of it first"),
)
OTHER_KINDS = (
    (b"PK\x03\x04", "this is a ZIP archive, as workbooks of Excel are", "save the sheet as CSV (UTF-8), or unpack it"),
    (b"\xd0\xcf\x11\xe0", "this is a workbook of Excel", "save the sheet as CSV (UTF-8)"),
    (b"\x1f\x8b", "this is packed by gzip", "name it .jsonl.gz if it holds JSON Lines, or unpack it"),
    (b"\xfd7zXZ", "this is packed by xz", "name it .jsonl.xz if it holds JSON Lines, or unpack it"),
    (b"BZh", "this is packed by bzip2", "unpack it"),
    (b"\x28\xb5\x2f\xfd", "this is packed by zstd", "unpack it"),
    (b"PAR1", "this is Parquet", "name it .parquet"),
    (b"ARROW1", "this is an Arrow file", "write it as Parquet"),
)
UNSEEN = re.compile(b"[\x00-\x08\x0e-\x1f\x80-\xff]")  # a column may be called PAR1
PACKED = frozenset({".jsonl.gz", ".jsonl.xz", ".parquet"})  # their readers recognise other kinds of files
EVERY = 256  # rows between two reports of progress


@dataclass(frozen=True)
class Source:
    """One file, or one saved split.

    Attributes:
        path: The path of the file or folder.
        split: "train", "validation", "test", "all" for the only file of no known name, or the file's own name.
    """

    path: Path
    split: str

    @property
    def suffix(self) -> str | None:
        """The ending by which it is read; None for a saved split."""
        return None if self.path.is_dir() else suffix_of(self.path.name)

    def where(self, number: int) -> str:
        """Return the place of a row: `file:line` if rows are lines, else `file:row N`."""
        lines = self.suffix in (".csv", ".tsv") or (self.suffix or "").startswith(".jsonl")
        return f"{self.path}:{number}" if lines else f"{self.path}:row {number}"

    @property
    def size(self) -> int:
        """Bytes on disk."""
        files = self.path.rglob("*") if self.path.is_dir() else (self.path,)
        return sum(p.stat().st_size for p in files if p.is_file())


def sources(files: Sequence[Path], named: Sequence[str]) -> list[Source]:
    """Return the files of a task with their splits.

    Args:
        files: Files or folders; their names show their splits.
        named: `split=FILE`, as given to --split.

    Raises:
        SpecError: No file is named, a file does not exist, or no reader knows it.
    """
    found: list[Source] = []
    for text in named:
        name, _, path = text.partition("=")
        if not name or not path:
            raise SpecError(f"{text!r} does not name a split", where="--split", mend="write --split train=FILE")
        found += [Source(p, ALIASES.get(name.lower(), name)) for p in _readable(Path(path), "--split")]
    plain = [p for path in files for p in _readable(path, "FILE")]
    for path in plain:
        alone = len(plain) == 1 and not found
        found.append(Source(path, split_of(path) or (WHOLE if alone else _stem(path))))
    if not found:
        raise SpecError("no file is named", where="FILE", mend="clbench data check train.jsonl test.jsonl")
    paths = [s.path.resolve() for s in found]
    if len(set(paths)) < len(paths):
        twice = next(p for p in paths if paths.count(p) > 1)
        raise SpecError(f"{twice.name} is named twice", where="FILE", mend="name each file once")
    return sorted(found, key=lambda s: SPLITS.index(s.split) if s.split in SPLITS else len(SPLITS))


def split_of(path: Path) -> str | None:
    """Return the split that a file's name shows, or its folder's if the name is a number; else None.

    Example:
        >>> split_of(Path("news-dev.jsonl")), split_of(Path("TestSet.csv")), split_of(Path("测试集.csv"))
        ('validation', 'test', 'test')
        >>> split_of(Path("test/0000.parquet")), split_of(Path("news.csv"))
        ('test', None)
    """
    stem = re.sub("(?<=[a-z])(?=[A-Z])", "-", _stem(path)).lower()
    words = re.split(r"[^a-z]+", re.sub("(held|hold)[-_ ]out", r"\1out", stem))
    known = [split for word in words if (split := _alias(word)) is not None]
    known += [ALIASES[found] for found in HAN.findall(stem)]
    if not known and set(words) <= NAMELESS and stem.isascii():
        return ALIASES.get(path.parent.name.lower())
    return known[-1] if known else None


def _alias(word: str) -> str | None:
    return ALIASES.get(word) or ALIASES.get(ENDINGS.sub("", word))


def _stem(path: Path) -> str:
    return stem_of(path.name)


def _readable(path: Path, where: str) -> list[Path]:
    if not path.exists():
        raise SpecError(f"there is no file {str(path)!r}", where=where, mend="check the path")
    if path.is_file():
        if suffix_of(path.name) is None:
            raise SpecError(f"no reader knows {path.name!r}", where=where, mend=way_in(path.name))
        return [path]
    if (path / "state.json").is_file():
        return [path]
    if saved.is_saved(path):
        return sorted(p for p in path.iterdir() if p.is_dir())
    inside = sorted(p for p in path.iterdir() if p.is_file() and suffix_of(p.name))
    if not inside:
        raise SpecError(f"{str(path)!r} holds no data file", where=where, mend=KNOWN)
    return inside


def walk(source: Source, tell: Callable[[int], None]) -> Iterator[tuple[int, Row | DataError]]:
    """Yield (number, row or its error) of a file; JSON Lines go on after a broken line, other formats end.

    Args:
        source: The file.
        tell: Called now and then with the number of bytes that have been read, estimated for some formats.
    """
    packed = (source.suffix or "").startswith(".jsonl")
    number = 0
    try:
        foreign = None if source.path.is_dir() else _foreign(source.path, source.suffix)
        if foreign is not None:
            yield 1, foreign
            return
        for number, row in _lines(source, tell) if packed else _rows(source, tell):
            yield number, row
    except DataError as error:
        found = re.search(r":(?:row )?(\d+)$", error.where)
        what = f"{error.what}; nothing after this was read"
        yield int(found.group(1)) if found else max(number, 1), DataError(what, where=error.where, mend=error.mend)


def walk_files(files: Sequence[Source], doing: str) -> Iterator[tuple[Source, Iterator[tuple[int, Row | DataError]]]]:
    """Yield each file with its rows, as `walk` yields them, and report progress in bytes."""
    total = max(sum(source.size for source in files), 1)
    done = 0
    for source in files:
        what, most = f"{doing} {source.path.name}", max(source.size - 1, 0)

        def tell(read: int, what: str = what, before: int = done, most: int = most) -> None:
            # A packed file may be read to its end long before its rows are: it is done when they are.
            report_progress(Progress(what, before + min(read, most), total, slot=0))

        yield source, walk(source, tell)
        done += source.size
        report_progress(Progress(what, max(done, 1), total, slot=0))


def _foreign(path: Path, suffix: str | None) -> DataError | None:
    """Return the error of a file that is of another kind than its name says, by its first bytes; else None."""
    try:
        with path.open("rb") as file:
            beginning = file.read(512)
    except OSError as error:
        return DataError(f"the file cannot be read: {error.strerror}", where=f"{path}:1")
    text = beginning.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    others = OTHER_KINDS if suffix not in PACKED and UNSEEN.search(beginning) else ()
    for start, kinds in ((text, FOREIGN), (beginning, others)):
        for begins, what, mend in kinds:
            if start.startswith(begins):
                return DataError(what, where=f"{path}:1", mend=mend)
    if suffix == ".jsonl" and text[:1] == b"[" and text[1:].lstrip()[:1] == b"{":
        mend = f"name it {_stem(path)}.json, or write one object a line"
        return DataError("the file is one array, not one object a line", where=f"{path}:1", mend=mend)
    return _utf16(path, beginning[:4]) if suffix in (".jsonl", ".json", ".csv", ".tsv") else None


def _utf16(path: Path, first: bytes) -> DataError | None:
    # Without a byte order mark, ASCII letters show by their other byte: 0.
    found = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}.get(first[:2], "")
    if first in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        found = "UTF-32"
    elif len(first) > 1 and (first[0] == 0) != (first[1] == 0):
        found = "UTF-16BE" if first[0] == 0 else "UTF-16LE"
    if not found:
        return None
    return DataError(
        f"invalid UTF-8 (byte 0 of the file): this is {found}",
        where=f"{path}:1",
        mend=f"iconv -f {found} -t UTF-8 {path.name}",
    )


def _lines(source: Source, tell: Callable[[int], None]) -> Iterator[tuple[int, Row | DataError]]:
    try:
        raw = source.path.open("rb")
    except OSError as error:
        raise DataError(f"the file cannot be read: {error.strerror}", where=f"{source.path}:1") from None
    where = f"{source.path}:0"  # the line number is added to the error below
    for count, (number, line) in enumerate(jsonl.lines(source.path, raw)):
        if count % EVERY == 0:
            tell(raw.tell())
        try:
            yield number, jsonl.parsed(line, where)
        except DataError as error:
            yield number, DataError(error.what, where=source.where(number), mend=error.mend)


def _rows(source: Source, tell: Callable[[int], None]) -> Iterator[tuple[int, Row]]:
    rows = saved.rows(source.path) if source.suffix is None else open_rows(source.path)
    size, seen = source.size, 0
    for count, (where, row) in enumerate(rows):
        seen += sum(len(v) if isinstance(v, str) else 8 for v in row.values()) + 4 * len(row)
        if count % EVERY == 0:
            tell(min(seen, size))
        yield int(where.rpartition(":")[2].removeprefix("row ")), row
