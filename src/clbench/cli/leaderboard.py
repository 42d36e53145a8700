"""`clbench leaderboard`: build a site of results, or verify submitted ones."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clbench.cli.options import say
from clbench.core.errors import DataError, SpecError

if TYPE_CHECKING:
    from clbench.report.gather import RunRecord

FAILED = 2
LARGEST = 500_000_000  # bytes of an unpacked submission


def leaderboard(
    what: Annotated[Literal["build", "verify"], typer.Argument(help="build a site, or verify results.")],
    paths: Annotated[list[Path], typer.Argument(help="Folders of results; verify also takes a .zip of some.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the site.")] = Path("site"),
    title: Annotated[str, typer.Option(help="Title of the site.")] = "clbench leaderboard",
) -> None:
    """Build a static leaderboard, or compute every figure of submitted results again: exit 2 where one does not fit."""
    from clbench.report.gather import distinct, read_runs

    if what == "build":
        from clbench.report.leaderboard import build_site, entries

        read = [run for path in paths for run in read_runs(_places(path))]
        wrong = {run.folder: found for run in read if (found := _problems(run))}
        runs = distinct(read, wrong)
        rows = entries(runs, wrong)
        ranked = sum(row.rank is not None for row in rows)
        page = build_site(rows, out, title)
        say(f"{len(rows)} rows of {len(runs)} runs, {ranked} ranked\nsite: {page.resolve()}")
        return
    bad = 0
    for path in paths:
        with _unpacked(path) as folder:
            for run in read_runs(_places(folder)):
                found = _problems(run)
                bad += bool(found)
                say(f"{run.folder.name}: {'EDITED' if found else 'every figure follows from its records'}")
                for text in found:
                    say(f"  {text}")
    if bad:
        raise typer.Exit(FAILED)


def _places(folder: Path) -> list[Path]:
    """Give the folders that hold results directly: `results/` has one folder a recipe, with the runs in it."""
    if (folder / "spec.yaml").is_file() or any(folder.glob("*/spec.yaml")) or any(folder.glob("runs/*/spec.yaml")):
        return [folder]
    return sorted({p.parent.parent for p in folder.glob("*/*/spec.yaml")}) or [folder]


def _problems(run: RunRecord) -> list[str]:
    import json

    from clbench.engine.verify import problems, strays

    asked = json.loads((run.folder / "scores.json").read_text(encoding="utf-8"))
    scores = {name: run.scores[name] for name in asked if name in run.scores}
    found = problems(run.spec, run.matrix, run.sheets, scores, run.meters)
    found += strays(run.matrix, run.sheets, run.outline, run.showcase)
    # The folder's name holds the key of the spec, so an edited spec does not fit its name.
    if not run.folder.name.endswith(run.spec.key[:8]):
        found.insert(0, f"spec: its key is {run.spec.key[:8]}, the folder is of another spec")
    return found


@contextmanager
def _unpacked(path: Path) -> Generator[Path]:
    """Give the folder of a submission; a .zip is unpacked into a folder that is removed afterwards.

    Raises:
        DataError: It is no archive, too large, or names files outside of itself.
    """
    import zipfile

    if not path.exists():
        raise SpecError("there is no such file or folder", where=str(path), mend="name a result folder or a .zip")
    if path.is_dir():
        yield path
        return
    try:
        with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > LARGEST:
                raise DataError(f"unpacks to more than {LARGEST:,} bytes", where=str(path), mend="submit results alone")
            for info in archive.infolist():
                target = (Path(scratch) / info.filename).resolve()
                if not target.is_relative_to(Path(scratch).resolve()):
                    raise DataError(
                        f"holds {info.filename!r}, which leads out of it", where=str(path), mend="zip it anew"
                    )
                archive.extract(info, scratch)
            yield Path(scratch)
    except zipfile.BadZipFile:
        raise DataError("is no .zip", where=str(path), mend="name a result folder, or a .zip of some") from None
