"""`clbench store`: list the store, clean it, or rebuild its index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clbench.cli.options import Lang, Place, say, store_folder
from clbench.core.wording import tr

if TYPE_CHECKING:
    from clbench.store.merge import MergeReport
    from clbench.store.store import Store

CHANGED = "{path} is not what it was when its digest was taken, and its times do not show it; it is read anew"


def store(
    action: Annotated[Literal["ls", "gc", "verify", "rebuild", "merge"], typer.Argument(help="What to do.")] = "ls",
    others: Annotated[list[Path] | None, typer.Argument(help="merge: stores that are taken into this one.")] = None,
    store_: Place = None,
    keep: Annotated[str, typer.Option(help="gc: states to keep: last, branch, or last,branch.")] = "last,branch",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="gc: print what would be removed, and remove nothing.")
    ] = False,
    lang: Lang = None,
) -> None:
    """List the store, remove what can be made again, verify all (exit 2 if damaged), rebuild the index, or merge."""
    from clbench.core.errors import SpecError, near_paths
    from clbench.store.index import Index
    from clbench.store.store import Store

    folder = store_folder(store_)
    if others and action != "merge":
        raise SpecError("only merge takes other stores", where=str(others[0]), mend="clbench store merge OTHER")
    if action == "merge":
        _merge(Store(folder), others or [])
        return
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
        _collect(stages, keep, dry_run)
        return
    _list(stages)


def _list(stages: Store) -> None:
    """Print what a store holds, by kind."""
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


def _merge(stages: Store, others: Sequence[Path]) -> None:
    """Take what other stores hold into this one, and say what came and what did not.

    Raises:
        SpecError: None is named, or one is not there.
        Exit: Stages of another store are damaged (exit code 2).
    """
    from clbench.core.errors import SpecError, near_paths
    from clbench.store.merge import merge
    from clbench.store.store import Store

    if not others:
        mend = "clbench store merge OTHER --store HERE"
        raise SpecError("no store is named that is taken into this one", where="merge", mend=mend)
    for other in others:
        if not other.is_dir():
            raise SpecError("there is no such store", where=str(other), mend=near_paths(other))
    broken = 0
    for other in others:
        done = merge(stages, Store(other))
        broken += len(done.broken)
        _say_merged(other, done)
    if broken:
        raise typer.Exit(2)


def _say_merged(other: Path, done: MergeReport) -> None:
    text = "{other}: {taken} stages taken, {had} were here; {beside} records taken, {paid} lines of what was paid"
    say(tr(text, other=other, taken=done.taken, had=done.had, beside=done.beside, paid=done.paid))
    for kind, key in done.differ:
        say(tr("  {name} has other content here and there; ours stays", name=f"{kind} {key[:12]}"))
    for name in done.beside_differ:
        say(tr("  {name} has other content here and there; ours stays", name=name))
    for kind, key in done.broken:
        say(tr("  {name} is damaged there, and left", name=f"{kind} {key[:12]}"))
    for name in done.left:
        say(tr("  {name} is not merged", name=name))


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


def _collect(stages: Store, keep: str, dry_run: bool) -> None:
    from clbench.core.errors import SpecError, did_you_mean
    from clbench.store.gc import collect

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
