"""Bring the rows of cards below a folder: what is wanted, what is there, where the rest comes from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from clbench.core.atomic_write import write_atomically
from clbench.core.errors import DataError, did_you_mean
from clbench.core.keys import file_digest
from clbench.data.exams.exam import HARNESS, named, shipped_exams
from clbench.data.readers import BY_SUFFIX, hub
from clbench.data.streams.card import load_stream_card
from clbench.data.tasks.card import Card, ExamCard, OnDisk, TaskSource, list_cards, load_task_card
from clbench.data.tasks.card_file import read_text
from clbench.data.tasks.card_folder import is_path, sort_of
from clbench.data.tasks.download import download
from clbench.data.tasks.fetch import pinned, split_rows
from clbench.data.tasks.lm_eval_card import HarnessSource
from clbench.data.tasks.origins import OriginFile, origins
from clbench.data.tasks.source import HubSource, PathSource, RowSource
from clbench.data.tasks.task import read_task, verify_lock

ADDRESS = "CLBENCH_DATA_URL"
State = Literal["generated", "ships with clbench", "fetched by lm_eval", "there", "to get", "not to be got here"]


@dataclass(frozen=True)
class Wanted:
    """The rows of one card.

    Attributes:
        card: The card: of a task, or of an exam with rows of its own.
        licence: As the card states it.
        state: Whether they are there.
        folder: The folder below the data root; empty where there is none.
        files: Name -> size and digest, of the splits that the card reads.
        source: Where they are got from: an address, a data set of the Hub; empty where none is known.
        origin: Where the rows come from, in one line; empty where the source says it.
        why: Why they cannot be got here.
    """

    card: Card | ExamCard
    licence: str
    state: State
    folder: str = ""
    files: tuple[tuple[str, OriginFile], ...] = ()
    source: str = ""
    origin: str = ""
    why: str = ""

    @property
    def bytes(self) -> int | None:
        """The size of the files; None if it is not known."""
        sizes = [file.bytes for _, file in self.files]
        return None if not sizes or None in sizes else sum(size or 0 for size in sizes)


def cards_of(names: Sequence[str]) -> list[Card | ExamCard]:
    """Return the cards whose rows are needed for tasks, streams, exams and suites, each once.

    Raises:
        DataError: There is nothing of such a name.
    """
    found: dict[tuple[str, Path], Card | ExamCard] = {}
    for name in names:
        for card in _cards_of(name):
            found.setdefault((card.name, card.path), card)
    return list(found.values())


def _cards_of(name: str) -> Iterator[Card | ExamCard]:
    sort = sort_of(read_text(Path(name)).values) if is_path(name) and Path(name).is_file() else None
    known = False
    if sort == "streams" or name in list_cards("streams"):
        known = True
        stream = load_stream_card(name)
        yield from (load_task_card(task, stream.path) for task in stream.tasks)
    if sort == "tasks" or name in list_cards("tasks"):
        yield load_task_card(name)
        return
    if known and name not in list_cards("exams"):
        return
    if not is_path(name) and not Path(f"{name}.yaml").is_file() and not name.startswith(HARNESS):
        _check_known(name)
    for exam in named(name):
        source = exam.source
        if isinstance(source, TaskSource):
            yield load_task_card(source.task, exam.path)
        elif isinstance(source, HarnessSource):
            yield exam


def _check_known(name: str) -> None:
    """Refuse what is neither a task nor a stream, an exam or a suite, and name what is like it."""
    known = {*list_cards("tasks"), *list_cards("streams"), *shipped_exams()}
    if name not in known:
        near = did_you_mean(name, known)
        mend = near if near.startswith("did you mean") else "names: clbench list tasks|streams|exams"
        raise DataError(f"there is no task, stream, exam or suite {name!r}", where="NAME", mend=mend)


def plan_of(card: Card | ExamCard, root: Path, address: str = "") -> Wanted:
    """Return what is wanted for a card, and whether it is there.

    Args:
        card: The card.
        root: The data root, which need not exist.
        address: Where a copy of the data root is served; empty for none.
    """
    licence = str(card.about.get("license") or "not stated")
    sources, splits = _sources(card), _splits(card)
    if not sources:
        return Wanted(card, licence, "generated" if isinstance(card, Card) else "fetched by lm_eval")
    folders = [s.path for s in sources if isinstance(s, PathSource)]
    if any((card.path.parent / folder).is_dir() for folder in folders):
        return Wanted(card, licence, "ships with clbench")
    folder = folders[0] if folders else ""
    known = origins().get(folder)
    files = tuple((n, f) for n, f in known.files.items() if n.partition(".")[0] in splits) if known else ()
    found = Wanted(card, licence, "not to be got here", folder, files, origin=known.origin if known else "")
    if folder and all(_has(root / folder, split) for split in splits):
        return replace(found, state="there")
    return _from_where(found, address)


def _from_where(wanted: Wanted, address: str) -> Wanted:
    """Return what is wanted with where it is got from: a copy of the data folder, else what the card names."""
    other = next((s for s in _sources(wanted.card) if not isinstance(s, PathSource)), None)
    if address and wanted.files and all(f.sha256 for _, f in wanted.files):
        return replace(wanted, state="to get", source=f"{address.rstrip('/')}/{wanted.folder}")
    if isinstance(other, HubSource) and other.revision is None:
        return replace(wanted, source=str(other), why=f"the revision of {other.repo} is not pinned")
    if other is not None:
        return replace(wanted, state="to get", source=str(other))
    return replace(wanted, why="no address is known")


def _sources(card: Card | ExamCard) -> tuple[RowSource, ...]:
    if isinstance(card, Card):
        return card.sources
    rows = card.source.rows if isinstance(card.source, HarnessSource) else None
    return () if rows is None else (rows,)


def _splits(card: Card | ExamCard) -> list[str]:
    """Return the splits that a card reads."""
    if isinstance(card, ExamCard):
        return sorted(set(card.source.splits.values())) if isinstance(card.source, HarnessSource) else []
    splits = card.splits
    wanted = [splits.lesson, splits.exam, splits.dev if card.take.dev != 0 else None]
    return sorted({split for split in wanted if split is not None})


def _has(folder: Path, split: str) -> bool:
    """Return whether a folder holds a split: as a file of any kind that is read, or as `save_to_disk` writes it."""
    return (folder / split).is_dir() or any((folder / f"{split}{suffix}").is_file() for suffix in BY_SUFFIX)


def get(wanted: Wanted, root: Path) -> None:
    """Bring the rows of a card below the data root.

    Raises:
        UserError: They cannot be got, or are not the published ones.
    """
    if wanted.state != "to get" or not wanted.source:
        return
    sources = _sources(wanted.card)
    other = next((s for s in sources if not isinstance(s, PathSource)), None)
    if wanted.source.endswith(f"/{wanted.folder}") and wanted.folder:
        for name, file in wanted.files:
            if not (root / wanted.folder / name).is_file():
                download(f"{wanted.source}/{name}", root / wanted.folder / name, file)
    elif isinstance(other, HubSource) and wanted.folder:
        for split in _splits(wanted.card):
            if not _has(root / wanted.folder, split):
                _write_split(wanted.card, other, split, root / wanted.folder / f"{split}.jsonl")
    elif other is not None:
        for split in _splits(wanted.card):  # the cache of the Hub's library, or ours, keeps what is read
            next(split_rows(wanted.card, other, split, root), None)


def _write_split(card: OnDisk, source: HubSource, split: str, path: Path) -> None:
    """Write a split of a data set of the Hub as JSON Lines."""
    rows = hub.rows(source.repo, source.config, pinned(card, source), split)
    try:
        lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) for _, row in rows]
    except (TypeError, ValueError) as error:
        mend = "keep it as `save_to_disk` writes it"
        raise DataError(f"a row cannot be written as JSON: {error}", where=f"{source}/{split}", mend=mend) from None
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, "\n".join(lines) + "\n")


def verify(wanted: Wanted, root: Path) -> str:
    """Return what vouches for the rows of a card that is there, or "" where nothing does.

    Raises:
        UserError: A file or the content is not what the card was written for.
    """
    if isinstance(wanted.card, Card) and wanted.card.lock is not None:
        verify_lock(wanted.card, read_task(wanted.card, root))
        return "the card's lock"
    found = [(root / wanted.folder / n, f) for n, f in wanted.files if f.sha256]
    for path, file in found:
        if path.is_file() and file_digest(path) != file.sha256:
            mend = f"delete it, and get it again; where it comes from: {wanted.origin}"
            raise DataError("is not the file that the card was written for", where=str(path), mend=mend)
    return "sha256 of its files" if found and all(path.is_file() for path, _ in found) else ""


def layout(wanted: Wanted, root: Path) -> str:
    """Return one line: which files belong where."""
    names = [name for name, _ in wanted.files] or [f"{split}.jsonl" for split in _splits(wanted.card)]
    return f"{root / wanted.folder}/ with {', '.join(names)}"


def address_of(given: str | None) -> str:
    """Return the address of a copy of the data root: the given one, else `$CLBENCH_DATA_URL`, else "".

    Raises:
        DataError: It is not an address of the web.
    """
    found = given if given is not None else os.environ.get(ADDRESS, "")
    if found and not found.lower().startswith(("http://", "https://")):
        where = "--from" if given is not None else ADDRESS
        raise DataError(f"{found!r} is not an address", where=where, mend="https://... that serves a data folder")
    return found
