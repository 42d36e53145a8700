"""The rows of a card as they were chosen and rendered, kept between commands by the content of card and files."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from clbench.core.cache import remembered_digest
from clbench.core.errors import DataError
from clbench.core.kept import Form, code_digest, kept
from clbench.core.types import Example
from clbench.core.value import Value
from clbench.data.readers import BY_SUFFIX, parquet, suffix_of
from clbench.data.tasks.card import Card
from clbench.data.tasks.fetch import split_files
from clbench.data.tasks.source import RowSource

WORTH = 20_000  # bytes of files from which on opening them takes longer than reading what is kept


class ChosenRows(Value):
    """The examples of a task, before what its card says of asking and grading them.

    Attributes:
        lesson, exam, dev: Its splits.
        labels: The label set, empty if there is none.
        digest: sha256 over all of these.
    """

    lesson: tuple[Example, ...]
    exam: tuple[Example, ...]
    dev: tuple[Example, ...]
    labels: tuple[str, ...]
    digest: str


FORM = Form[ChosenRows](
    "tasks", lambda rows: rows.model_dump_json(exclude_defaults=True).encode(), ChosenRows.model_validate_json
)


def kept_rows(card: Card, source: RowSource, data: Path | None, make: Callable[[], ChosenRows]) -> ChosenRows:
    """Return the rows of a card as they were kept, or make and keep them.

    Args:
        card: The card.
        source: Where its rows lie.
        data: Folder of the local data sets.
        make: Reads and renders them.
    """
    try:
        files = _files(card, source, data)
    except DataError:  # reading the rows says it, after what it says of rows before
        return make()
    names = [Path(name) for of_split in files.values() for name in of_split]
    if names and sum(name.stat().st_size for name in names) < WORTH:
        return make()
    about = {
        "code": code_digest("core", "data"),
        "libraries": _libraries(names),
        "card": card,
        "path": card.path,
        "source": source,
        "files": files,
    }
    return kept(FORM, about, make, lambda: _files(card, source, data) == files)


def _files(card: Card, source: RowSource, data: Path | None) -> Mapping[str, Mapping[str, str]]:
    """Return the files of each split that is read, and the digest of each: none where the source itself is pinned."""
    dev = card.splits.dev if card.take.dev != 0 else None
    splits = [split for split in (card.splits.lesson, card.splits.exam, dev) if split is not None]
    return {s: {str(path): remembered_digest(path) for path in split_files(card, source, s, data)} for s in splits}


def _libraries(files: list[Path]) -> Mapping[str, Any]:
    """Return the versions of what reads the rows: of Python, and of libraries for other files than texts."""
    found: dict[str, Any] = {"python": platform.python_version()}
    for name in () if files and all(map(_is_text, files)) else ("pyarrow", "datasets"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def _is_text(path: Path) -> bool:
    return BY_SUFFIX.get(suffix_of(path.name) or "", parquet.rows) is not parquet.rows
