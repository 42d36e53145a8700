"""Submissions of strangers: folders and archives, opened within bounds, each result by itself."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from clbench.core.errors import DataError, SpecError, UserError
from clbench.core.notice import notice
from clbench.core.scratch import scratch

if TYPE_CHECKING:
    from clbench.report.gather import RunRecord

LARGEST = 500_000_000  # bytes of a submission, packed or not
MOST_FILES = 20_000
DEEPEST = 8  # levels of folders in which results are looked for
MARKS = ("spec.yaml", "scores.json", "matrix.json")  # what holds one of these is meant as a result
RUNS = "runs"
NO_RESULTS = frozenset({"state", "effective", "exam", "ask", "mark", "drafts", "progress", "broken"})  # of a store
# What unpacking a damaged or an odd archive may raise: names that are too long, a file where a folder is needed, ...
UNPACKING = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, RuntimeError, ValueError, LookupError)
T = TypeVar("T")


def results(path: Path) -> Iterator[tuple[Path, RunRecord | str]]:
    """Read every result under a path by itself: one that is broken says why, and stops no other."""
    from clbench.report.gather import FILES, read_runs

    def read(folder: Path) -> RunRecord:
        for name in ("", *FILES):
            if (folder / name).is_symlink():
                what = f"{name or folder.name} is a link, and may lead to what was not handed in"
                raise DataError(what, where=str(folder), mend="hand in the files themselves")
        return read_runs([folder])[0]

    # A result is told by the name of its folder, also where that is called `.`; a link that leads nowhere has no other.
    path = path.resolve() if path.exists() else path.absolute()
    for folder in list(_folders(path)) or [path]:
        yield folder, contained(lambda folder=folder: read(folder))


def contained(work: Callable[[], T]) -> T | str:
    """Do something with a stranger's files; return the reason where it does not work out, whatever it raises."""
    try:
        return work()
    except UserError as error:
        return error.what
    except (Exception, SystemExit) as error:
        return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"


def _folders(folder: Path, depth: int = 0) -> Iterator[Path]:
    """Give the folders that hold results, at or below one: `results/` has one folder a recipe, with the runs in it."""
    if any((folder / name).exists() for name in MARKS):
        yield folder
        return
    if not folder.is_dir() or (folder.is_symlink() and depth):  # a link may lead round
        return
    below = sorted(part for part in folder.iterdir() if part.is_dir())
    if any(part.name == RUNS for part in below):  # a store: what it sets aside, or has not finished, is no result
        below = [part for part in below if part.name not in NO_RESULTS]
    if depth == DEEPEST and below:
        notice(f"{folder}: folders below it are not looked at, {DEEPEST} levels down")
        return
    for part in below:
        yield from _folders(part, depth + 1)


@contextmanager
def unpacked(path: Path) -> Generator[Path]:
    """Give the folder of a submission; a .zip is unpacked into a folder that is removed afterwards.

    Raises:
        SpecError: There is nothing of that name.
        DataError: It is no archive, encrypted, too large, of too many files, or names files outside of itself.
    """
    if not path.exists():
        raise SpecError("there is no such file or folder", where=str(path), mend="name a result folder or a .zip")
    if path.is_dir():
        yield path
        return
    if not path.is_file() or path.stat().st_size > LARGEST:
        raise DataError(f"is no file of at most {LARGEST:,} bytes", where=str(path), mend="hand in results alone")
    with scratch("zip") as place:
        # Files at the root are of a result that was packed without its folder: the archive may bear its name.
        folder = place / path.stem
        try:
            folder.mkdir()
            with zipfile.ZipFile(path) as archive:
                _check_archive(archive, folder.resolve(), path)
                archive.extractall(folder)
        except UNPACKING as error:
            odd = f"cannot be unpacked: {type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
            what = "is no .zip" if isinstance(error, zipfile.BadZipFile) else odd
            raise DataError(what, where=str(path), mend="name a result folder, or a .zip of some") from None
        yield folder


def _check_archive(archive: zipfile.ZipFile, folder: Path, path: Path) -> None:
    members = archive.infolist()
    if len(members) > MOST_FILES:
        raise DataError(f"holds {len(members):,} files, more than {MOST_FILES:,}", where=str(path))
    if sum(info.file_size for info in members) > LARGEST:
        raise DataError(f"unpacks to more than {LARGEST:,} bytes", where=str(path), mend="submit results alone")
    named: set[Path] = set()
    for info in members:
        if info.flag_bits & 1:
            raise DataError("is encrypted", where=str(path), mend="zip it anew without a password")
        if not (target := (folder / info.filename).resolve()).is_relative_to(folder):
            raise DataError(f"holds {info.filename!r}, which leads out of it", where=str(path), mend="zip it anew")
        if not info.is_dir() and target in named:  # which of them is read would depend on who unpacks it
            raise DataError(f"holds {info.filename!r} twice", where=str(path), mend="zip it anew")
        named.add(target)
