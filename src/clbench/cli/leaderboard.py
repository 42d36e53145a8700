"""`clbench leaderboard`: build a site of results, or verify submitted ones."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from clbench.cli.options import Data, Place, machine, say
from clbench.core.errors import DataError, SpecError, UserError
from clbench.core.notice import notice
from clbench.core.scratch import scratch

if TYPE_CHECKING:
    import zipfile

    from clbench.core.spec import Machine
    from clbench.report.gather import RunRecord

FAILED = 2
LARGEST = 500_000_000  # bytes of an unpacked submission
MOST_FILES = 20_000
BLIND = (
    "Records that fit together do not show that a model gave these answers: only asking again does "
    "(--rerun N, for results of shipped models, learners and streams)."
)
T = TypeVar("T")


def leaderboard(
    what: Annotated[Literal["build", "verify"], typer.Argument(help="build a site, or verify results.")],
    paths: Annotated[list[Path], typer.Argument(help="Folders of results; verify also takes a .zip of some.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the site.")] = Path("site"),
    title: Annotated[str, typer.Option(help="Title of the site.")] = "clbench leaderboard",
    rerun: Annotated[int, typer.Option(min=0, help="verify: ask so many cells of each result again.")] = 0,
    data: Data = None,
    store: Place = None,
) -> None:
    """Build a static leaderboard, or compute every figure of submitted results again: exit 2 where one does not fit."""
    where = machine(store, data, workers=None)
    if what == "build":
        _build(paths, out, title, where)
        return
    bad = 0
    for path in paths:
        try:
            with _unpacked(path) as folder:
                bad += _verified(folder, rerun, where)
        except UserError as error:
            bad += 1
            say(f"{path.name}: CANNOT BE READ\n  {error.what}")
    say(BLIND)
    if bad:
        raise typer.Exit(FAILED)


def _build(paths: Sequence[Path], out: Path, title: str, where: Machine) -> None:
    from clbench.report.gather import distinct
    from clbench.report.leaderboard import build_site, entries

    read: list[RunRecord] = []
    for path in paths:
        for folder, found in _results(path):
            if isinstance(found, str):
                notice(f"{folder} is left out: {found}")
            else:
                read.append(found)
    if not read:
        raise DataError("there is no result to show", where=" ".join(map(str, paths)), mend="see the notices above")
    wrong = {run.folder: found for run in read if (found := _problems(run, where)[0])}
    runs = distinct(read, wrong)
    rows = entries(runs, wrong)
    ranked = sum(row.rank is not None for row in rows)
    page = build_site(rows, out, title)
    say(f"{len(rows)} rows of {len(runs)} runs, {ranked} ranked\nsite: {page.resolve()}")


def _verified(folder: Path, rerun: int, where: Machine) -> int:
    """Verify all results of a submission; return how many of them do not fit or cannot be read."""
    bad = 0
    found = list(_results(folder))
    runs = [run for _, run in found if not isinstance(run, str)]
    for place, run in found:
        if isinstance(run, str):
            bad += 1
            say(f"{place.name}: CANNOT BE READ\n  {run}")
            continue
        problems, unseen = _problems(run, where)
        problems += _twice(run, runs)
        again = _again(run, rerun, where) if rerun and not problems else []
        problems += [text for same, text in again if not same]
        bad += bool(problems)
        say(f"{place.name}: {'EDITED' if problems else 'every figure follows from its records'}")
        for text in [*problems, *(text for same, text in again if same), *(f"not seen: {text}" for text in unseen)]:
            say(f"  {text}")
    return bad


def _results(path: Path) -> Iterator[tuple[Path, RunRecord | str]]:
    """Read every result under a path by itself: one that is broken says why, and stops no other."""
    from clbench.report.gather import read_runs

    for place in _places(path):
        folders = [place] if (place / "spec.yaml").is_file() else sorted(p.parent for p in place.glob("*/spec.yaml"))
        for folder in folders or sorted(p.parent for p in place.glob("runs/*/spec.yaml")) or [place]:
            loaded = _contained(lambda folder=folder: read_runs([folder])[0])
            yield folder, loaded


def _contained(work: Callable[[], T]) -> T | str:
    """Do something with a stranger's files; return the reason where it does not work out, whatever it raises."""
    try:
        return work()
    except UserError as error:
        return error.what
    except (Exception, SystemExit) as error:
        return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"


def _places(folder: Path) -> list[Path]:
    """Give the folders that hold results directly: `results/` has one folder a recipe, with the runs in it."""
    if (folder / "spec.yaml").is_file() or any(folder.glob("*/spec.yaml")) or any(folder.glob("runs/*/spec.yaml")):
        return [folder]
    return sorted({p.parent.parent for p in folder.glob("*/*/spec.yaml")}) or [folder]


def _problems(run: RunRecord, where: Machine) -> tuple[list[str], list[str]]:
    """Return what does not fit, and what could not be seen."""
    found = _contained(lambda: _compared(run, where))
    return ([f"cannot be verified: {found}"], []) if isinstance(found, str) else found


def _compared(run: RunRecord, where: Machine) -> tuple[list[str], list[str]]:
    import json

    from clbench.engine.at_hand import compared, compared_with_cards
    from clbench.engine.verify import problems, strays

    asked = json.loads((run.folder / "scores.json").read_text(encoding="utf-8"))
    scores = {name: run.scores[name] for name in asked if name in run.scores}
    found = problems(run.spec, run.matrix, run.sheets, scores, run.meters)
    found += strays(run.matrix, run.sheets, run.outline, run.showcase)
    found += compared(run.spec, run.matrix, run.sheets, run.outline, run.meters, run.provenance)
    cards = compared_with_cards(run.spec, run.matrix, run.sheets, run.outline, where.data)
    # The folder's name holds the key of the spec, so an edited spec does not fit its name.
    if not run.folder.name.endswith(run.spec.key[:8]):
        found.insert(0, f"spec: its key is {run.spec.key[:8]}, the folder is of another spec")
    return [*found, *cards.problems], list(cards.unseen)


def _twice(run: RunRecord, runs: Sequence[RunRecord]) -> list[str]:
    """Say where the same run stands under another name: one seed would count as two."""
    mine = run.spec.model_copy(update={"name": "x"})
    others = [r.spec.name for r in runs if r is not run and r.spec.model_copy(update={"name": "x"}) == mine]
    return [f"the same run as {', '.join(sorted(others))}: one seed under several names"] if others else []


def _again(run: RunRecord, num: int, where: Machine) -> list[tuple[bool, str]]:
    """Ask some cells again; return for each whether all of its items agree, and a line that says so."""
    from clbench.engine.rerun import asked_again

    seed = secrets.randbelow(2**31)  # nobody may foresee which cells are asked
    found = _contained(lambda: list(asked_again(run.spec, run.matrix, run.sheets, where, num, seed)))
    if isinstance(found, str):
        return [(True, f"not asked again: {found}")]
    return [
        (a.equal == a.items, f"row {a.step}, {a.exam}: asked again, {a.equal} of {a.items} items agree") for a in found
    ]


@contextmanager
def _unpacked(path: Path) -> Generator[Path]:
    """Give the folder of a submission; a .zip is unpacked into a folder that is removed afterwards.

    Raises:
        DataError: It is no archive, encrypted, too large, of too many files, or names files outside of itself.
    """
    import zipfile
    import zlib

    if not path.exists():
        raise SpecError("there is no such file or folder", where=str(path), mend="name a result folder or a .zip")
    if path.is_dir():
        yield path
        return
    try:
        with scratch("zip") as folder:
            with zipfile.ZipFile(path) as archive:
                _check_archive(archive, folder.resolve(), path)
                archive.extractall(folder)
            yield folder
    except (zipfile.BadZipFile, RuntimeError, zlib.error, EOFError) as error:
        what = "is no .zip" if isinstance(error, zipfile.BadZipFile) else f"cannot be unpacked: {error}"
        raise DataError(what, where=str(path), mend="name a result folder, or a .zip of some") from None


def _check_archive(archive: zipfile.ZipFile, scratch: Path, path: Path) -> None:
    members = archive.infolist()
    if len(members) > MOST_FILES:
        raise DataError(f"holds {len(members):,} files, more than {MOST_FILES:,}", where=str(path))
    if sum(info.file_size for info in members) > LARGEST:
        raise DataError(f"unpacks to more than {LARGEST:,} bytes", where=str(path), mend="submit results alone")
    for info in members:
        if info.flag_bits & 1:
            raise DataError("is encrypted", where=str(path), mend="zip it anew without a password")
        if not (scratch / info.filename).resolve().is_relative_to(scratch):
            raise DataError(f"holds {info.filename!r}, which leads out of it", where=str(path), mend="zip it anew")
