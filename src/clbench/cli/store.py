"""`clbench store`: list the store, clean it, or rebuild its index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clbench.cli.options import Lang, Place, say, store_folder
from clbench.core.wording import tr

if TYPE_CHECKING:
    from clbench.store.store import Store

CHANGED = "{path} is not what it was when its digest was taken, and its times do not show it; it is read anew"


def store(
    action: Annotated[Literal["ls", "gc", "verify", "rebuild"], typer.Argument(help="What to do.")] = "ls",
    store_: Place = None,
    keep: Annotated[str, typer.Option(help="gc: states to keep: last, branch, or last,branch.")] = "last,branch",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="gc: print what would be removed, and remove nothing.")
    ] = False,
    lang: Lang = None,
) -> None:
    """List the store, remove what can be made again, verify all (exit 2 if damaged), or rebuild the index."""
    from clbench.core.errors import SpecError, did_you_mean, near_paths
    from clbench.store.gc import collect
    from clbench.store.index import Index
    from clbench.store.store import Store

    folder = store_folder(store_)
    if store_ is not None and not folder.exists():
        raise SpecError("there is no such store", where=f"--store {folder}", mend=near_paths(folder))
    stages = Store(folder)
    if action == "rebuild":
        say(tr("{num} stages", num=Index(stages).rebuild()))
        return
    if action == "verify":
        _verify(stages)
        return
    if action == "gc":
        kinds = {k.strip() for k in keep.split(",") if k.strip()}
        for kind in sorted(kinds - {"last", "branch"}):
            raise SpecError(
                f"there is no kind of state {kind!r}", where="--keep", mend=did_you_mean(kind, ["last", "branch"])
            )
        chosen: list[Literal["last", "branch"]] = [k for k in ("last", "branch") if k in kinds]
        done = collect(stages, chosen, dry_run=dry_run)
        text = "freed {size} MB in {num} folders; {kept} states kept"
        if dry_run:
            text = "would free {size} MB in {num} folders; {kept} states kept"
        say(tr(text, size=f"{done.bytes / 1e6:.1f}", num=len(done.dropped), kept=done.kept_states))
        return
    _list(stages)


def _list(stages: Store) -> None:
    """Print how many stages of each kind there are, their size, and the time that they took."""
    from clbench.store.index import Index
    from clbench.store.shared import disk_bytes

    totals: dict[str, tuple[int, int, float]] = {}
    for row in Index(stages).rows():
        num, size, seconds = totals.get(row.kind, (0, 0, 0.0))
        totals[row.kind] = (num + 1, size + row.bytes, seconds + row.wall_s)
    for kind, (num, size, seconds) in totals.items():
        taken = disk_bytes([stages.folder / kind]) if kind == "state" else size
        text = "{kind} {num} stages {size} MB {seconds} s to make"
        if taken < 0.9 * size:
            text = "{kind} {num} stages {size} MB {seconds} s to make, {taken} MB on the disk, since they share files"
        sizes = {"size": f"{size / 1e6:>10.1f}", "seconds": f"{seconds:>10.1f}", "taken": f"{taken / 1e6:.1f}"}
        say(tr(text, kind=f"{kind:<10}", num=f"{num:>6}", **sizes))
    if not totals:
        say(tr("{folder} is empty", folder=stages.folder))


def _verify(stages: Store) -> None:
    """Compare every stage with its digests, and every large checkpoint whose digest is remembered.

    Raises:
        typer.Exit: Something is damaged (exit code 2).
    """
    from clbench.core.cache import wrong_digests

    found = list(stages.stages())
    damaged = sum(stages.find(kind, key) is None for kind, key, _ in found)
    files = list(wrong_digests())
    wrong = [path for path, is_wrong in files if is_wrong]
    for path in wrong:
        say(tr(CHANGED, path=path))
    text = "{stages} stages and {files} checkpoint files read; {damaged} damaged"
    say(tr(text, stages=len(found), files=len(files), damaged=damaged + len(wrong)))
    if damaged or wrong:
        raise typer.Exit(2)
