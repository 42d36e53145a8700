"""Read submissions, which nobody has checked: folders and archives of limited size, each result by itself."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from clbench.core.errors import DataError, SpecError, UserError
from clbench.core.events import notice
from clbench.core.scratch import scratch

if TYPE_CHECKING:
    from clbench.report.runs.load import RunRecord

LARGEST = 500_000_000  # bytes of a submission, packed or not
MOST_FILES = 20_000
DEEPEST = 8  # levels of folders in which results are looked for
RESULT_FILES = ("spec.yaml", "scores.json", "matrix.json")  # a folder with one of these is meant as a result
RUNS = "runs"
NO_RESULTS = frozenset(
    {"state", "effective", "exam", "ask", "mark", "drafts", "progress", "broken", "checkpoints"}
)  # of a store
# Errors of unpacking a damaged archive: names that are too long, a file where a folder is needed, ...
UNPACKING = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, RuntimeError, ValueError, LookupError)
T = TypeVar("T")


def results(path: Path) -> Iterator[tuple[Path, RunRecord | str]]:
    """Yield (place, result) for every result under a path; a broken one yields the reason instead."""
    from clbench.report.runs.load import read_runs
    from clbench.report.runs.result_file import files_of

    def read(place: Path) -> RunRecord:
        for path in (place, *files_of(place)):
            if path.is_symlink():
                what = f"{path.name} is a link, which may lead outside of the submission"
                raise DataError(what, where=str(place), mend="submit the files themselves")
        return read_runs([place])[0]

    # A result is known by its name, so `.` must be resolved; a link that leads nowhere cannot be.
    path = path.resolve() if path.exists() else path.absolute()
    found = list(_places(path))
    for place in found or [path]:
        yield place, contained(lambda place=place: read(place))
    yield from _items_of_none(found)


def _items_of_none(places: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """Say which tables hold items of no run that stands beside them: what is not read may not be handed in unseen."""
    from clbench.report.runs.item_table import FILE, runs_of
    from clbench.report.runs.result_file import name_of

    folders: dict[Path, set[str]] = {}
    for place in places:
        if not place.is_dir():
            folders.setdefault(place.parent, set()).add(name_of(place))
    for folder, names in folders.items():
        table = folder / FILE
        if table.is_file() and not table.is_symlink():
            held = contained(lambda table=table: runs_of(table))
            if not isinstance(held, str) and (strays := sorted(held - names)):
                yield table, f"holds items of {', '.join(strays[:3])}, and no such run stands beside it"


def contained(work: Callable[[], T]) -> T | str:
    """Return the result of `work` on unchecked files, or the reason why it failed, whatever it raises."""
    try:
        return work()
    except UserError as error:
        return error.what
    except (Exception, SystemExit) as error:
        return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"


def _places(folder: Path, depth: int = 0) -> Iterator[Path]:
    """Yield the results at or below a folder: `results/` has a folder per recipe, with the runs in it."""
    from clbench.report.runs.result_file import record_files

    if any((folder / name).exists() for name in RESULT_FILES):
        yield folder
        return
    if not folder.is_dir() or (folder.is_symlink() and depth):  # a link may lead in a circle
        return
    yield from record_files(folder)
    below = sorted(part for part in folder.iterdir() if part.is_dir())
    if any(part.name == RUNS for part in below):  # a store: its stages, drafts and broken files are not results
        below = [part for part in below if part.name not in NO_RESULTS]
    if depth == DEEPEST and below:
        notice(f"{folder}: folders below it are not searched, {DEEPEST} levels down")
        return
    for part in below:
        yield from _places(part, depth + 1)


@contextmanager
def unpacked(path: Path) -> Generator[Path]:
    """Open a submission and yield its folder; a .zip is unpacked into a folder that is removed afterwards.

    Raises:
        SpecError: There is no such file or folder.
        DataError: It is not an archive, encrypted, too large, of too many files, or names files outside of itself.
    """
    if not path.exists():
        raise SpecError("there is no such file or folder", where=str(path), mend="name a result folder or a .zip")
    if path.is_dir():
        yield path
        return
    if not path.is_file() or path.stat().st_size > LARGEST:
        raise DataError(f"not a file of at most {LARGEST:,} bytes", where=str(path), mend="submit results alone")
    with scratch("zip") as place:
        # Files at the root belong to a result that was packed without its folder: the archive may have its name.
        folder = place / path.stem
        try:
            folder.mkdir()
            with zipfile.ZipFile(path) as archive:
                _check_archive(archive, folder.resolve(), path)
                archive.extractall(folder)
        except UNPACKING as error:
            reason = f"cannot be unpacked: {type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
            what = "not a valid .zip" if isinstance(error, zipfile.BadZipFile) else reason
            raise DataError(what, where=str(path), mend="name a result folder, or a .zip of result folders") from None
        yield folder


def _check_archive(archive: zipfile.ZipFile, folder: Path, path: Path) -> None:
    members = archive.infolist()
    if len(members) > MOST_FILES:
        raise DataError(f"holds {len(members):,} files, more than {MOST_FILES:,}", where=str(path))
    if sum(info.file_size for info in members) > LARGEST:
        raise DataError(f"unpacks to more than {LARGEST:,} bytes", where=str(path), mend="submit results alone")
    seen: set[Path] = set()
    for info in members:
        if info.flag_bits & 1:
            raise DataError("is encrypted", where=str(path), mend="zip it again without a password")
        if not (target := (folder / info.filename).resolve()).is_relative_to(folder):
            raise DataError(f"holds {info.filename!r}, which leads out of it", where=str(path), mend="zip it again")
        if not info.is_dir() and target in seen:  # which of them counts would depend on the program that unpacks
            raise DataError(f"holds {info.filename!r} twice", where=str(path), mend="zip it again")
        seen.add(target)
