"""Find a card's rows: below the data root, beside the card, on the Hub, or at a pinned address."""

from __future__ import annotations

import http.client
import os
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clbench.core.cache import cache_folder, remembered_digest
from clbench.core.errors import AbsentError, DataError, did_you_mean, near_paths
from clbench.core.events import Progress, notice, report_progress
from clbench.data.readers import BY_SUFFIX, hub, open_rows, remarks, saved, stem_of, suffix_of
from clbench.data.tasks.card import Card, OnDisk
from clbench.data.tasks.source import HubSource, PathSource, RowSource, UrlSource

ROOT = "CLBENCH_DATA"
BLOCK = 1 << 20
DAY_S = 86_400
MOST_BYTES = 8 << 30  # of a file that is downloaded
PATIENCE_S, SLOWEST = 60.0, 10_000  # least bytes a second, on average, that a server must send after a minute

Rows = Iterator[tuple[str, dict[str, Any]]]


def data_root(given: Path | None) -> Path | None:
    """Return the folder under which local data sets lie: the given one, else `$CLBENCH_DATA`, else None.

    Raises:
        DataError: It is named but is not a folder.
    """
    name = given if given is not None else os.environ.get(ROOT)
    if not name:
        return None
    root = Path(name)
    if not root.is_dir():
        where = "--data" if given is not None else ROOT
        what = f"{str(root)!r} is a file, not a folder" if root.exists() else f"there is no folder {str(root)!r}"
        mend = f"name the folder that holds the data sets; {near_paths(root)}"
        raise DataError(what, where=where, mend=mend)
    return root


def choose(card: Card, data: Path | None) -> RowSource:
    """Return the source that a card's rows are read from: the first that exists.

    A source that exists but is broken is an error: the next one is not tried.

    Raises:
        DataError: No source exists; names all of them, and why each failed.
    """
    if len(card.sources) == 1:
        return card.sources[0]
    tried: list[str] = []
    mends: list[str] = []
    for source in card.sources:
        try:
            if isinstance(source, PathSource):
                _folder(card, source, data_root(data))
            else:
                next(split_rows(card, source, card.splits.lesson or card.splits.exam, data), None)
        except DataError as error:
            tried.append(f"{source}: {error.what}")
            mends.append(error.mend)
        else:
            return source
    raise AbsentError(
        f"none of the {len(tried)} sources of task {card.name!r} is there: {'; '.join(tried)}",
        where=str(card.path),
        mend="; or ".join(dict.fromkeys(mends)),
    )


def pinned(card: OnDisk, source: HubSource) -> str:
    """Return the commit of a source of the Hub.

    Raises:
        DataError: The card, which must be unverified, names no commit.
    """
    if source.revision is None:
        raise AbsentError(
            f"revision of {source.repo!r} is not pinned",
            where=str(card.path),
            mend=f"give the 40-hex commit, then `clbench check card {card.name} --lock`",
        )
    return source.revision


def split_rows(card: OnDisk, source: RowSource, split: str, data: Path | None) -> Rows:
    """Yield (where, row) for every row of a split.

    Raises:
        DataError: The data is missing, is not the pinned data, or cannot be read.
    """
    if isinstance(source, HubSource):
        return hub.rows(source.repo, source.config, pinned(card, source), split)
    if isinstance(source, UrlSource):
        return open_rows(_download(source, split, str(card.path)))
    place = _place(card, source, split, data)
    return _with_remarks(place, saved.rows(place) if place.is_dir() else open_rows(place))


def _place(card: OnDisk, source: PathSource, split: str, data: Path | None) -> Path:
    """Return the file of a split, or its folder that `save_to_disk` wrote; refuses what is not the pinned one."""
    root = data_root(data)
    folder = _folder(card, source, root)
    if saved.is_saved(folder):
        if not (folder / split).is_dir():
            raise DataError(f"there is no split {split!r}", where=str(folder), mend=did_you_mean(split, _names(folder)))
        return folder / split
    path = _split_file(folder, split)
    own = card.path.parent
    _refuse_leading_out(path, own if root is None or folder.is_relative_to(own) else root)
    _verify(path, split, source.sha256)
    return path


def split_files(card: OnDisk, source: RowSource, split: str, data: Path | None) -> list[Path]:
    """Return the files that the rows of a split are read from; none for a source that its address pins.

    Raises:
        DataError: The data is missing, or is not the pinned data.
    """
    if isinstance(source, HubSource):
        pinned(card, source)
        return []
    if isinstance(source, UrlSource):
        return [_download(source, split, str(card.path))]
    place = _place(card, source, split, data)
    return sorted(p for p in place.rglob("*") if p.is_file()) if place.is_dir() else [place]


def _with_remarks(path: Path, rows: Rows) -> Rows:
    """Yield the rows of a file, after a notice of what its reader changes."""
    for remark in remarks(path):
        notice(f"{path}: {remark}")
    yield from rows


def _folder(card: OnDisk, source: PathSource, root: Path | None) -> Path:
    own = card.path.parent / source.path
    if own.is_dir():
        # A card that came with its folder could contain a link that leads out of it.
        if not own.resolve().is_relative_to(card.path.parent.resolve()):
            raise DataError(f"path {source.path!r} leads out of the card's folder", where=str(card.path))
        return own
    if root is None:
        raise AbsentError(
            f"task {card.name!r} reads {source.path!r}, and no data folder is known",
            where=str(card.path),
            mend=f"set {ROOT} or --data to the folder that holds {source.path.split('/')[0]}/; {_way(card)}",
        )
    folder = root / source.path
    if not folder.is_dir():
        near = (
            did_you_mean(folder.name, _names(folder.parent))
            if folder.parent.is_dir()
            else f"is {ROOT} or --data right?"
        )
        what = f"task {card.name!r} reads {source.path!r}, which is not there"
        raise AbsentError(what, where=str(folder), mend=f"{near}; {_way(card)}")
    _refuse_leading_out(folder, root)
    return folder


def _way(card: OnDisk) -> str:
    return f"`clbench data get {card.name if card.shipped else card.path}` gets it, or says where it comes from"


def _refuse_leading_out(path: Path, root: Path) -> None:
    """Refuse a link that leads out of a folder: data must not choose which files are read.

    Raises:
        DataError: Names the link's target.
    """
    if not path.resolve().is_relative_to(root.resolve()):
        raise DataError(
            f"a link leads out of {str(root)!r}, to {str(path.resolve())!r}",
            where=str(path),
            mend="copy the data below the folder, or name the folder that really holds them with --data",
        )


def _names(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir() if p.is_dir()]


def _split_file(folder: Path, split: str) -> Path:
    found = [path for suffix in BY_SUFFIX if (path := folder / f"{split}{suffix}").is_file()]
    if not found:
        stems = {stem_of(p.name) for p in folder.iterdir() if suffix_of(p.name)}
        raise DataError(
            f"there is no file {split}{{{','.join(BY_SUFFIX)}}}", where=str(folder), mend=did_you_mean(split, stems)
        )
    if len(found) > 1:
        names = " and ".join(p.name for p in found)
        raise DataError(f"{names} are both there", where=str(folder), mend="keep one file per split")
    return found[0]


def _verify(path: Path, split: str, sha256: Mapping[str, str]) -> None:
    if split in sha256 and (have := remembered_digest(path)) != sha256[split]:
        raise DataError(
            f"the file is not the pinned one: sha256 {have}, card says {sha256[split]}",
            where=str(path),
            mend="get the file the card was written for; changed data is a new card",
        )


def _download(source: UrlSource, split: str, where: str) -> Path:
    """Return the local copy of a pinned file; it is named by its digest, so it is downloaded once."""
    if split not in source.sha256:
        raise DataError(f"no sha256 for split {split!r}", where=where, mend=did_you_mean(split, source.sha256))
    url = source.url.replace("{split}", split)
    suffix = suffix_of(url.split("?")[0])
    if suffix is None:
        raise DataError(f"no reader knows {url!r}", where=where, mend="known: " + ", ".join(BY_SUFFIX))
    path = cache_folder() / "files" / f"{source.sha256[split]}{suffix}"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob("draft-*"):  # of a command that was killed a day ago or earlier
            if time.time() - left.stat().st_mtime > DAY_S:
                left.unlink(missing_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix="draft-", suffix=suffix)
        os.close(handle)
        try:
            _get(url, Path(draft), where)
            _verify(Path(draft), split, source.sha256)
            Path(draft).replace(path)
        finally:
            Path(draft).unlink(missing_ok=True)
    return path


class WebOnly(urllib.request.HTTPRedirectHandler):
    """A handler that follows redirects to http and https alone: a server must not send us to files."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """Return the next request, as `urllib` asks for it."""
        if not newurl.lower().startswith(("http://", "https://")):
            raise urllib.error.URLError(f"it redirects to {newurl[:100]!r}, which is not a web address")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _get(url: str, draft: Path, where: str) -> None:
    done, began = 0, time.monotonic()
    mend = "split the file, or put it into a folder and name that with `source: {path: ...}`"
    try:
        with urllib.request.build_opener(WebOnly).open(url, timeout=PATIENCE_S) as reply, draft.open("wb") as file:
            total = reply.length or 0
            while block := reply.read1(BLOCK):
                done += len(block)
                spent = time.monotonic() - began
                if done > MOST_BYTES:
                    raise DataError(f"{url} has more than {MOST_BYTES:,} bytes", where=where, mend=mend)
                if spent > PATIENCE_S and done < spent * SLOWEST:
                    raise AbsentError(f"{url} sends {done / spent:,.0f} bytes a second", where=where, mend=mend)
                file.write(block)
                report_progress(Progress(f"downloading {url.rpartition('/')[2]}", done, max(total, done)))
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        raise AbsentError(f"{url} cannot be downloaded: {error}", where=where, mend="check the network") from None
