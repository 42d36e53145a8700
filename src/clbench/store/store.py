"""The staged store: `find` returns what is there, `once` makes what is not.

Layout under the store's folder:

    <kind>/<key[:2]>/<key>/...            a finished stage; stage.json, written last, lists its files and digests
    drafts/<kind>-<key>-<where>-<pid>-<n> a stage that is being made, or was when its process died: never read
    progress/<kind>-<key>/                checkpoints inside a long stage, removed when it is finished
    broken/                               stages whose files no longer match their digests, kept for inspection
    runs/<name>-<key[:8]>/                results of runs
    replies/<key[:2]>/<key>.json          what providers and judges replied, paid for once
    spent/<recipe>.jsonl                  what replies for a recipe have cost, in tokens
    parents.json                          which state was learnt from which, of states that gc has dropped
    grids/<name>-<key[:8]>/               what processes that make a grid are at
    jobs/                                 what jobs of a batch system write
    index.sqlite                          for listings only; made anew from the folders whenever it is missing
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, final

from clbench.core.errors import StoreError, UserError
from clbench.core.plain import plain
from clbench.store.drafts import beating, drafts_of
from clbench.store.measure import measure
from clbench.store.stage import (
    LOST,
    STAGE,
    Stamps,
    Verdict,
    here,
    is_folder,
    read_stage,
    stamps_of,
    sync,
    verify,
    write_stage,
)

RESERVED = frozenset({"drafts", "progress", "broken", "runs", "replies", "spent", "grids", "jobs"})
# Made again in no time, so a power cut may cost them: forcing hundreds of them onto the disk takes seconds.
DERIVED = frozenset({"mark", "effective"})
POLL_S = 0.1  # between looks whether another process has finished a stage
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
UNWRITABLE = frozenset({errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST})


def to_stderr(message: str) -> None:
    """Tell the user on stderr."""
    sys.stderr.write(plain(message) + "\n")


@final
class Store:
    """A folder of stages. Several processes may use it at once; there are no lock files.

    Attributes:
        folder: Where it lies; made when the first stage is.
        notice: Receives what the user should know, for example that a broken stage is made again.
    """

    def __init__(self, folder: Path, notice: Callable[[str], None] = to_stderr) -> None:
        self.folder = folder
        self.notice = notice
        self._verified: dict[tuple[str, str], Stamps] = {}

    def place(self, kind: str, key: str) -> Path:
        """Return the folder where a stage lies or would lie."""
        return self.folder / kind / key[:2] / key

    def find(self, kind: str, key: str) -> Path | None:
        """Return the folder of a finished stage, or None.

        Digests are compared with stage.json once per process, and again when a file's size or time of change is no
        longer what it was. A stage that does not match is moved to `broken/` with a notice, and counts as missing.

        Raises:
            StoreError: The stage cannot be read, or was written by a newer clbench.
        """
        folder = self.place(kind, key)
        known = self._verified.pop((kind, key), None)
        try:
            if known is not None and stamps_of(folder, known) == known:
                self._verified[kind, key] = known
                return folder
            verdict = verify(folder, kind, key)
            if verdict is None:
                return None
            if verdict.problem:
                self._set_aside(folder, verdict, f"{kind} {key[:12]}: {verdict.problem}")
                return None
        except OSError as error:
            raise _cannot_read(error, self.folder) from error
        self._verified[kind, key] = verdict.stamps
        return folder

    def once(self, kind: str, key: str, make: Callable[[Path], None], why: Mapping[str, object]) -> Path:
        """Return a stage's folder; `make` writes it into an empty folder first if it is missing.

        A stage that another process is making is waited for, so that it is made once. Two that begin within the same
        moment may both make it: the first to finish wins and the other takes its stage.

        Args:
            kind: "state", "ask" or another kind of stage, as it is stored.
            key: Its key.
            make: Writes the stage's files; an error of it passes through, and its draft is dropped.
            why: What the stage is, for people and for listings; not part of its identity.

        Raises:
            StoreError: The disk is full, or the store cannot be written. What is finished is kept.
        """
        assert kind not in RESERVED, f"{kind!r} names a folder of the store itself"
        while (found := self.find(kind, key)) is None:
            if kind not in DERIVED and self.is_made_elsewhere(kind, key):
                time.sleep(POLL_S)
                continue
            try:
                made = self._make(kind, key, make, why)
            except Exception:
                # The first process to finish removes the shared checkpoints while we use them; its stage serves us too.
                made = self.find(kind, key) is not None
                if not made:
                    raise
            if made:
                shutil.rmtree(self.progress(kind, key), ignore_errors=True)
        return found

    def is_made_elsewhere(self, kind: str, key: str) -> bool:
        """Return whether another process, here or on another machine, is making a stage just now."""
        return next(drafts_of(self.folder / "drafts", kind, key), None) is not None

    def progress(self, kind: str, key: str) -> Path:
        """Return where a long stage may keep checkpoints; they outlive a kill and go when the stage is finished."""
        folder = self.folder / "progress" / f"{kind}-{key}"
        self._clear_way(folder)
        return folder

    def stage(self, kind: str, key: str) -> dict[str, Any] | None:
        """Return the stage.json of a finished stage: its files, what it is, and what making it cost."""
        folder = self.find(kind, key)
        return read_stage(folder) if folder is not None else None

    def write_run(self, name: str, key: str, files: Mapping[str, str]) -> Path:
        """Write a run's results and return their folder; they replace an older record, and equal files are left alone.

        Raises:
            StoreError: The disk is full, or the store cannot be written.
        """
        target = self.folder / "runs" / f"{name}-{key[:8]}"
        if _holds(target, files):
            return target
        with self._draft(f"run-{key}") as draft:
            new, old = draft / "new", draft / "old"
            new.mkdir()
            for file, text in files.items():
                (new / file).write_text(text, encoding="utf-8", newline="\n")
            sync(new)
            while not self._publish(new, target):
                _move(target, old / secrets.token_hex(4))
        return target

    def run_file(self, name: str, key: str, file: str) -> str | None:
        """Return the text of a file of a run's record; None if there is no readable one."""
        try:
            return (self.folder / "runs" / f"{name}-{key[:8]}" / file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    def stages(self) -> Iterator[tuple[str, str, Path]]:
        """Yield finished stages as (kind, key, folder), without verifying them."""
        for stage in sorted(self.folder.glob(f"*/??/*/{STAGE}")):
            yield stage.parent.parent.parent.name, stage.parent.name, stage.parent

    def write(self, name: str, text: str) -> None:
        """Write a file of the store itself beside the stages, completely or not at all.

        Raises:
            StoreError: The disk is full, or the store cannot be written.
        """
        with self._draft("write") as draft:
            (draft / name).write_text(text, encoding="utf-8", newline="\n")
            if (self.folder / name).is_dir():  # not a file of the store's: it is set aside, not overwritten
                _move(self.folder / name, self.folder / "broken" / f"{name}-{time.time_ns()}")
            (draft / name).replace(self.folder / name)

    def drop(self, folder: Path) -> None:
        """Remove a folder of this store so that nobody ever sees half of it.

        Raises:
            StoreError: It cannot be removed.
        """
        with self._draft("drop") as draft:
            _move(folder, draft / folder.name)

    def adopt(self, kind: str, key: str, copy: Callable[[Path], None]) -> None:
        """Take a finished stage of another store, its stage.json with it; `copy` writes all of it into an empty folder.

        Raises:
            StoreError: The disk is full, or the store cannot be written.
        """
        with self._draft(f"{kind}-{key}") as draft:
            copy(draft)
            sync(draft)
            self._publish(draft, self.place(kind, key))

    def take(self, path: Path, name: str) -> None:
        """Copy a file or a folder of another store to its place here, completely or not at all.

        Raises:
            StoreError: The disk is full, or the store cannot be written.
        """
        with self._draft("take") as draft:
            copy = shutil.copytree if path.is_dir() else shutil.copy2
            copy(path, draft / path.name)
            target = self.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (draft / path.name).rename(target)

    # --- how a stage comes into being ------------------------------------------------------------------------

    def _make(self, kind: str, key: str, make: Callable[[Path], None], why: Mapping[str, object]) -> bool:
        """Make a stage; return False where another process has begun in the same moment, which is then waited for."""
        target = self.place(kind, key)
        with self._draft(f"{kind}-{key}") as draft:
            if kind not in DERIVED and next(drafts_of(draft.parent, kind, key), draft) < draft:
                return False  # of the two, the first by name makes it
            with ExitStack() as stack:
                stack.enter_context(beating(draft) if kind not in DERIVED else nullcontext())
                cost = stack.enter_context(measure())
                make(draft)
            stamps = write_stage(draft, kind, key, why, cost)
            if kind not in DERIVED:
                sync(draft)
            while not self._publish(draft, target):
                if self.find(kind, key) is not None:  # it sets aside what stands there if that is broken
                    return True
            self._verified[kind, key] = stamps
            return True

    @contextmanager
    def _draft(self, name: str) -> Generator[Path]:
        draft = self.folder / "drafts" / f"{name}-{here()}-{os.getpid()}-{secrets.token_hex(4)}"
        try:
            self._clear_way(draft.parent)
            draft.mkdir(parents=True)
            yield draft
        except Exception as error:
            known = _as_store_error(error, self.folder)
            if known is None:
                raise
            raise known from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _publish(self, draft: Path, target: Path) -> bool:
        """Move a finished draft to its place; return False if another stage stands there."""
        # The parent is not forced onto the disk: a power cut may take the newest stages back, never break one.
        self._clear_way(target.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.rename(target)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR) or not os.path.lexists(target):
                raise
            return False
        return True

    def _clear_way(self, folder: Path) -> None:
        """Set aside a file or a dangling link that stands where one of the store's own folders should be.

        A link to a folder elsewhere stays: a part of the store may be kept on another disk.
        """
        inside = folder.relative_to(self.folder)
        for place in [self.folder / above for above in (*list(inside.parents)[-2::-1], inside)]:
            if not os.path.lexists(place) or is_folder(place):  # in this order: others make folders meanwhile
                continue
            name = "-".join(place.relative_to(self.folder).parts)
            aside = self.folder / "broken" / f"{name}-{time.time_ns()}"
            if place.name == "broken":
                aside = self.folder / aside.name
            else:
                self._clear_way(aside.parent)
            if not _move(place, aside):
                continue  # another process has done it
            if is_folder(aside):  # and made the folder since we looked: what we moved is the good one
                _move(aside, place)
            else:
                self.notice(
                    f"{place}: something that is not a folder stands where the store keeps its own; it is set aside "
                    f"as {aside}, and what it should hold is made again when it is needed"
                )

    def _set_aside(self, folder: Path, verdict: Verdict, message: str) -> None:
        target = self.folder / "broken" / f"{folder.parent.parent.name}-{folder.name}-{time.time_ns()}"
        self._clear_way(target.parent)
        if not _move(folder, target):
            return  # another process has done it
        if target.lstat().st_ino != verdict.inode:
            # Another process has set it aside and made it again since we looked: what we moved is the good one.
            _move(target, folder)
            return
        self.notice(f"{message}; it is set aside as {target} and made again when it is needed")


def _move(source: Path, target: Path) -> bool:
    """Rename a folder; return False if it is gone, or something stands at the target."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY):
            raise
        return False
    return True


def _holds(folder: Path, files: Mapping[str, str]) -> bool:
    """Return whether a folder holds these files and no others."""
    try:
        if {p.name for p in folder.iterdir()} != set(files):
            return False
        return all((folder / name).read_bytes() == text.encode() for name, text in files.items())
    except OSError as error:
        if error.errno in LOST:
            return False
        raise


def _as_store_error(error: Exception, folder: Path) -> StoreError | None:
    """Return the error for the user if the disk or the store's folder is to blame, else None."""
    if isinstance(error, UserError):
        return None
    number = error.errno if isinstance(error, OSError) else None
    # safetensors wraps the system's error in an error of its own, which keeps only the text.
    if number in FULL or os.strerror(errno.ENOSPC) in str(error):
        mend = "free some space (`clbench store gc` drops states that can be made again), then run the same command"
        return StoreError("the disk is full; what is finished is kept", where=str(folder), mend=mend)
    if number == errno.EFBIG or os.strerror(errno.EFBIG) in str(error):
        mend = "raise the limit of your account or batch job, then run the same command"
        return StoreError("a file would be larger than the system allows (ulimit -f)", where=str(folder), mend=mend)
    if not isinstance(error, OSError) or number not in UNWRITABLE:
        return None
    # A file outside the store is not the store's fault.
    if error.filename is not None:
        named = Path(os.fsdecode(error.filename))
        if not named.is_relative_to(folder) and not folder.is_relative_to(named):
            return None
    mend = "check that the folder exists and can be written, or name another with --store"
    return StoreError(f"the store cannot be written: {error}", where=str(folder), mend=mend)


def _cannot_read(error: OSError, folder: Path) -> StoreError:
    mend = "check the rights of the folder and the health of the disk, or name another with --store"
    return StoreError(f"the store cannot be read: {error}", where=str(folder), mend=mend)
