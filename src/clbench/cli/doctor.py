"""`clbench doctor`: is this machine ready?"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from clbench.cli.options import Data, Json, Place, say, store_folder


def doctor(
    data: Data = None,
    store: Place = None,
    as_json: Json = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 2 if something is missing.")] = False,
) -> None:
    """Tell what clbench finds on this machine, and what is missing."""
    rows = _findings(data, store_folder(store))
    if as_json:
        import json

        say(json.dumps({name: {"ok": ok, "found": found} for name, ok, found in rows}, indent=1))
    else:
        for name, ok, found in rows:
            say(f"{'ok' if ok else '--':<3} {name:<14} {found}")
    if strict and not all(ok for _, ok, _ in rows):
        raise typer.Exit(2)


def _findings(data: Path | None, store: Path) -> list[tuple[str, bool, str]]:
    from clbench.store.origin import PACKAGES, cores, cpu_model, gpus, package_version

    rows = [("python", sys.version_info >= (3, 11), platform.python_version())]
    for name in PACKAGES:
        version = package_version(name)
        rows.append((name, version is not None, version or "not installed: pip install 'clbench[train,data]'"))
    rows.append(("cpu", True, f"{cpu_model()}, {cores()} cores"))
    rows.append(("gpu", True, ", ".join(gpus()) or "none: runs on the CPU"))
    folder = next(p for p in [store.absolute(), *store.absolute().parents] if p.exists())
    free = shutil.disk_usage(folder).free / 1e9
    rows.append(("disk", free > 1, f"{free:.0f} GB free at the store"))
    rows.append(
        (
            "store",
            os.access(folder, os.W_OK),
            f"{store} ({'writable' if os.access(folder, os.W_OK) else 'not writable'})",
        )
    )
    root = data or (Path(os.environ["CLBENCH_DATA"]) if "CLBENCH_DATA" in os.environ else None)
    there = root is not None and root.is_dir()
    rows.append(
        ("data", there, str(root) if there else "no local data sets: set CLBENCH_DATA; generated worlds need none")
    )
    return rows
