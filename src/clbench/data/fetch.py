"""Find a card's rows: below the data root, beside the card, on the Hub, or at a pinned address."""

from __future__ import annotations

import http.client
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clbench.core.errors import DataError, did_you_mean
from clbench.core.keys import file_digest
from clbench.data.card import Card, HubSource, PathSource, UrlSource
from clbench.data.readers import BY_SUFFIX, hub, open_rows, saved, suffix_of

ROOT = "CLBENCH_DATA"
CACHE = "CLBENCH_CACHE"
BLOCK = 1 << 20

Rows = Iterator[tuple[str, dict[str, Any]]]


def data_root(given: Path | None) -> Path | None:
    """Give the folder under which local data sets lie: the given one, else `$CLBENCH_DATA`, else None.

    Raises:
        DataError: It is named but is no folder.
    """
    name = given if given is not None else os.environ.get(ROOT)
    if not name:
        return None
    root = Path(name)
    if not root.is_dir():
        where = "--data" if given is not None else ROOT
        raise DataError(
            f"there is no folder {str(root)!r}", where=where, mend="name the folder that holds the data sets"
        )
    return root


def split_rows(card: Card, split: str, data: Path | None) -> Rows:
    """Give (where, row) for every row of a split.

    Raises:
        DataError: The data is missing, is not the pinned data, or cannot be read.
    """
    source = card.source
    if isinstance(source, HubSource):
        return hub.rows(source.repo, source.config, source.revision, split)
    if isinstance(source, UrlSource):
        return open_rows(_download(source, split, str(card.path)))
    assert isinstance(source, PathSource), "a world has no rows"
    folder = _folder(card, source, data_root(data))
    if saved.is_saved(folder):
        if not (folder / split).is_dir():
            raise DataError(f"there is no split {split!r}", where=str(folder), mend=did_you_mean(split, _names(folder)))
        return saved.rows(folder / split)
    path = _split_file(folder, split)
    _verify(path, split, source.sha256)
    return open_rows(path)


def _folder(card: Card, source: PathSource, root: Path | None) -> Path:
    if not card.shipped:
        own = card.path.parent / source.path
        if own.is_dir():
            # A card that came with its folder could bring a link that leads out of it.
            if not own.resolve().is_relative_to(card.path.parent.resolve()):
                raise DataError(f"path {source.path!r} leads out of the card's folder", where=str(card.path))
            return own
    if root is None:
        raise DataError(
            f"task {card.name!r} reads {source.path!r}, and no data folder is known",
            where=str(card.path),
            mend=f"set {ROOT} or --data to the folder that holds {source.path.split('/')[0]}/",
        )
    folder = root / source.path
    if not folder.is_dir():
        near = (
            did_you_mean(folder.name, _names(folder.parent))
            if folder.parent.is_dir()
            else f"is {ROOT} or --data right?"
        )
        raise DataError(f"task {card.name!r} reads {source.path!r}, which is not there", where=str(folder), mend=near)
    return folder


def _names(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir() if p.is_dir()]


def _split_file(folder: Path, split: str) -> Path:
    found = [path for suffix in BY_SUFFIX if (path := folder / f"{split}{suffix}").is_file()]
    if not found:
        stems = {p.name.removesuffix(s) for p in folder.iterdir() if (s := suffix_of(p.name))}
        raise DataError(
            f"there is no file {split}{{{','.join(BY_SUFFIX)}}}", where=str(folder), mend=did_you_mean(split, stems)
        )
    if len(found) > 1:
        names = " and ".join(p.name for p in found)
        raise DataError(f"{names} are both there", where=str(folder), mend="keep one file per split")
    return found[0]


def _verify(path: Path, split: str, pinned: Mapping[str, str]) -> None:
    if split in pinned and (have := file_digest(path)) != pinned[split]:
        raise DataError(
            f"the file is not the pinned one: sha256 {have}, card says {pinned[split]}",
            where=str(path),
            mend="get the file the card was written for; changed data is a new card",
        )


def _cache() -> Path:
    named = os.environ.get(CACHE)
    return Path(named) if named else Path.home() / ".cache" / "clbench"


def _download(source: UrlSource, split: str, where: str) -> Path:
    """Give the local copy of a pinned file; it is named by its digest, so it is downloaded once."""
    if split not in source.sha256:
        raise DataError(f"no sha256 for split {split!r}", where=where, mend=did_you_mean(split, source.sha256))
    url = source.url.replace("{split}", split)
    suffix = suffix_of(url.split("?")[0])
    if suffix is None:
        raise DataError(f"no reader knows {url!r}", where=where, mend="known: " + ", ".join(BY_SUFFIX))
    path = _cache() / "files" / f"{source.sha256[split]}{suffix}"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, suffix=suffix)
        os.close(handle)
        try:
            _get(url, Path(draft), where)
            _verify(Path(draft), split, source.sha256)
            Path(draft).replace(path)
        finally:
            Path(draft).unlink(missing_ok=True)
    return path


def _get(url: str, draft: Path, where: str) -> None:
    try:
        with urllib.request.urlopen(url, timeout=60) as reply, draft.open("wb") as file:
            while block := reply.read(BLOCK):
                file.write(block)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        raise DataError(f"{url} cannot be downloaded: {error}", where=where, mend="check the network") from None
