"""`clbench store`: list the store, clean it, or rebuild its index."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from clbench.cli.options import Place, say, store_folder


def store(
    action: Annotated[Literal["ls", "gc", "rebuild"], typer.Argument(help="What to do.")] = "ls",
    store_: Place = None,
    keep: Annotated[str, typer.Option(help="gc: states to keep: last, branch, or last,branch.")] = "last,branch",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="gc: print what would be removed, and remove nothing.")
    ] = False,
) -> None:
    """List the store, remove states that can be made again, or rebuild the index."""
    from clbench.core.errors import SpecError, did_you_mean, near_paths
    from clbench.store.gc import collect
    from clbench.store.index import Index
    from clbench.store.store import Store

    folder = store_folder(store_)
    if store_ is not None and not folder.exists():
        raise SpecError("there is no such store", where=f"--store {folder}", mend=near_paths(folder))
    stages = Store(folder)
    if action == "rebuild":
        say(f"{Index(stages).rebuild()} stages")
        return
    if action == "gc":
        kinds = {k.strip() for k in keep.split(",") if k.strip()}
        for kind in sorted(kinds - {"last", "branch"}):
            raise SpecError(
                f"there is no kind of state {kind!r}", where="--keep", mend=did_you_mean(kind, ["last", "branch"])
            )
        chosen: list[Literal["last", "branch"]] = [k for k in ("last", "branch") if k in kinds]
        done = collect(stages, chosen, dry_run=dry_run)
        verb = "would free" if dry_run else "freed"
        say(f"{verb} {done.bytes / 1e6:.1f} MB in {len(done.dropped)} folders; {done.kept_states} states kept")
        return
    totals: dict[str, tuple[int, int, float]] = {}
    for row in Index(stages).rows():
        num, size, seconds = totals.get(row.kind, (0, 0, 0.0))
        totals[row.kind] = (num + 1, size + row.bytes, seconds + row.wall_s)
    for kind, (num, size, seconds) in totals.items():
        say(f"{kind:<10} {num:>6} stages {size / 1e6:>10.1f} MB {seconds:>10.1f} s to make")
    if not totals:
        say(f"{stages.folder} is empty")
