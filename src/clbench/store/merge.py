"""Take into a store what another one holds: whole stages, records of runs, replies. The other stays as it is."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clbench.core.account import FOLDER as SPENT
from clbench.core.account import Account
from clbench.core.errors import StoreError
from clbench.core.keys import canonical
from clbench.core.spec import Spending
from clbench.store.gc import PARENTS, parents_of
from clbench.store.stage import is_newer, read_stage, verify
from clbench.store.store import Store

BESIDE = ("runs/*", "checkpoints/*.json", "replies/??/*.json")  # what stands beside stages, each taken as one thing
LEFT = ("gates.jsonl",)  # what has an order of its own in each store
KNOWN = ("state", "effective", "exam", "ask", "mark", "drafts", "runs", "checkpoints", "replies", SPENT)


@dataclass(frozen=True)
class MergeReport:
    """What `merge` did.

    Attributes:
        taken: Number of stages that were taken.
        had: Stages that were there already, of equal content.
        differ: Stages (kind and key) that both have with other content, as other machines make it; ours stays.
        broken: Stages of the other store that are damaged; they are left there, untouched.
        beside: Number of records of runs, results of checkpoints and replies that were taken.
        beside_differ: Names of those that both have with other content; ours stays.
        paid: Lines of its accounts, of what was paid for replies, that were taken.
        left: Files of the other store that are not merged.
    """

    taken: int
    had: int
    differ: tuple[tuple[str, str], ...]
    broken: tuple[tuple[str, str], ...]
    beside: int
    beside_differ: tuple[str, ...]
    paid: int
    left: tuple[str, ...]


def merge(store: Store, other: Store) -> MergeReport:
    """Take what another store holds and this one does not; it can be interrupted, and goes on when it is called again.

    Files that states of the other store share are shared here too.

    Raises:
        StoreError: The two are one folder, or one lies in the other; the other is not a store; a newer clbench wrote a
            stage; the disk is full.
    """
    mine, theirs = store.folder.resolve(), other.folder.resolve()
    if mine == theirs or mine in theirs.parents or theirs in mine.parents:
        mend = "name another store to be taken into this one"
        raise StoreError("the two stores are one folder, or one lies in the other", where=str(other.folder), mend=mend)
    if not any((theirs / name).exists() for name in KNOWN):
        mend = "name a store's own folder, such as clbench-store"
        raise StoreError("this folder holds nothing of a store", where=str(other.folder), mend=mend)
    taken, had, differ, broken = 0, 0, list[tuple[str, str]](), list[tuple[str, str]]()
    copied: dict[int, Path] = {}  # file in the other store -> its copy here
    for kind, key, folder in other.stages():
        found = store.find(kind, key)
        verdict = None if found is not None else verify(folder, kind, key)
        if found is not None:
            same = _files(found) == _files(folder)
            had += same
            differ += [] if same else [(kind, key)]
        elif verdict is None or verdict.problem:
            broken.append((kind, key))
        else:
            store.adopt(kind, key, lambda draft, folder=folder: _copy(folder, draft, copied))
            copied.update(_named_more(folder, store.place(kind, key)))
            taken += 1
    _merge_parents(store, other)
    beside = list(_beside(store, other))
    return MergeReport(
        taken=taken,
        had=had,
        differ=tuple(differ),
        broken=tuple(broken),
        beside=sum(new for _, new in beside),
        beside_differ=tuple(name for name, new in beside if not new),
        paid=_merge_accounts(store, other),
        left=tuple(name for name in LEFT if (other.folder / name).exists()),
    )


def _merge_accounts(store: Store, other: Store) -> int:
    """Take what was paid for replies, so that a budget counts it here too; return the number of new lines."""
    accounts = sorted((other.folder / SPENT).glob("*.jsonl"))
    return sum(Account(store.folder / SPENT / path.name, Spending(name=path.stem)).take(path) for path in accounts)


def _files(folder: Path) -> Any:
    stage = read_stage(folder)
    return None if stage is None or is_newer(stage) else stage["files"]


def _copy(folder: Path, draft: Path, copied: Mapping[int, Path]) -> None:
    """Copy a stage's files into a draft; of a file with several names that was copied before, give it one more name."""
    for path in sorted(folder.rglob("*")):
        target = draft / path.relative_to(folder)
        if path.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        earlier = copied.get(path.stat().st_ino)
        if earlier is None or not _linked(earlier, target):
            shutil.copy2(path, target)


def _named_more(folder: Path, copy: Path) -> dict[int, Path]:
    """Return the files of a stage that have several names -> their copies."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {p.stat().st_ino: copy / p.relative_to(folder) for p in files if p.stat().st_nlink > 1}


def _linked(earlier: Path, target: Path) -> bool:
    try:
        os.link(earlier, target)
    except OSError:  # it is gone again, or the file system has no links: it is copied
        return False
    return True


def _merge_parents(store: Store, other: Store) -> None:
    """Keep which state was learnt from which, of states that gc has dropped in either store."""
    ours, theirs = parents_of(store), parents_of(other)
    if theirs.keys() - ours.keys():
        store.write(PARENTS, canonical({**theirs, **ours}))


def _beside(store: Store, other: Store) -> Iterator[tuple[str, bool]]:
    """Take what stands beside the stages; yield its name, and True where it was taken, False where ours differs."""
    for pattern in BESIDE:
        for path in sorted(other.folder.glob(pattern)):
            name = path.relative_to(other.folder).as_posix()
            target = store.folder / name
            if target.exists():
                if _content(target) != _content(path):
                    yield name, False
                continue
            store.take(path, name)
            yield name, True


def _content(path: Path) -> Any:
    """Return what a file or the files of a folder hold; of JSON, what it says."""
    if path.is_dir():
        return {p.name: p.read_bytes() for p in path.iterdir() if p.is_file()}
    data = path.read_bytes()
    try:
        return json.loads(data)
    except ValueError:
        return data
