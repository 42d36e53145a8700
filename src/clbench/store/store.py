"""The staged store: `find` what is there, make `once` what is not.

Layout under the store's folder:

    <kind>/<key[:2]>/<key>/...       a finished stage; stage.json, written last, lists its files and digests
    drafts/<kind>-<key>-<pid>-<n>/   a stage that is being made, or was when its process died: never read
    progress/<kind>-<key>/           checkpoints inside a long stage, removed when it is finished
    broken/                          stages whose files no longer match their digests, kept for a look
    runs/<name>-<key[:8]>/           results of runs
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clbench.core.errors import StoreError
from clbench.core.keys import canonical, digest, file_digest
from clbench.store.meter import metered

FORMAT = 1
STAGE = "stage.json"
# Made again in no time, so a power cut may cost them: forcing hundreds of them onto the disk takes seconds.
DERIVED = frozenset({"mark", "effective"})


def to_stderr(message: str) -> None:
    """Tell the user on stderr."""
    sys.stderr.write(message + "\n")


class Store:
    """A folder of stages. Several processes may use it at once; there are no lock files.

    Attributes:
        folder: Where it lies; made when the first stage is.
        notice: Told what the user should know, such as a broken stage that is made again.
    """

    def __init__(self, folder: Path, notice: Callable[[str], None] = to_stderr) -> None:
        self.folder = folder
        self.notice = notice
        self._verified: dict[tuple[str, str], Path] = {}

    def place(self, kind: str, key: str) -> Path:
        """Tell where a stage lies or would lie."""
        return self.folder / kind / key[:2] / key

    def find(self, kind: str, key: str) -> Path | None:
        """Give the folder of a finished stage, or None.

        Sizes and digests are compared with stage.json once per process. A stage that does not match is moved
        aside with a notice, and counts as missing.
        """
        if (known := self._verified.get((kind, key))) is not None:
            return known
        folder = self.place(kind, key)
        if not folder.is_dir():
            return None
        problem = _problem(folder)
        if problem:
            self._set_aside(folder, f"{kind} {key[:12]}: {problem}; it is set aside and made again")
            return None
        self._verified[kind, key] = folder
        return folder

    def once(self, kind: str, key: str, make: Callable[[Path], None], why: Mapping[str, object]) -> Path:
        """Give a stage's folder; `make` writes it into an empty folder first if it is missing.

        Args:
            kind: "state", "effective", "ask", "mark", ...
            key: Its key.
            make: Writes the stage's files; whatever it raises passes through, and nothing is left behind.
            why: What the stage is, for people and for listings; not part of its identity.

        Raises:
            StoreError: The disk is full, or the store cannot be written.
        """
        found = self.find(kind, key)
        if found is not None:
            return found
        with self._draft(f"{kind}-{key}") as draft:
            with metered() as meter:
                make(draft)
            files = {p.relative_to(draft).as_posix(): p for p in sorted(draft.rglob("*")) if p.is_file()}
            stage = {
                "format": FORMAT,
                "kind": kind,
                "key": key,
                "why": dict(why),
                "files": {n: {"bytes": p.stat().st_size, "sha256": file_digest(p)} for n, p in files.items()},
                "meter": meter,
                "made": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            check = digest({k: stage[k] for k in ("format", "kind", "key", "files")})
            (draft / STAGE).write_text(canonical({**stage, "check": check}), encoding="utf-8")
            if kind not in DERIVED:
                _sync(draft)
            self._publish(draft, self.place(kind, key))
        shutil.rmtree(self.progress(kind, key), ignore_errors=True)
        self._verified[kind, key] = self.place(kind, key)
        return self.place(kind, key)

    def progress(self, kind: str, key: str) -> Path:
        """Tell where a long stage may keep checkpoints; they outlive a kill and go when the stage is finished."""
        return self.folder / "progress" / f"{kind}-{key}"

    def stage(self, kind: str, key: str) -> dict[str, Any] | None:
        """Give the stage.json of a finished stage: its files, what it is, and what making it cost."""
        folder = self.find(kind, key)
        return json.loads((folder / STAGE).read_text(encoding="utf-8")) if folder is not None else None

    def write_run(self, name: str, key: str, files: Mapping[str, str]) -> Path:
        """Record a run's results; the newest record of a run stands."""
        target = self.folder / "runs" / f"{name}-{key[:8]}"
        with self._draft(f"run-{key}") as draft:
            for file, text in files.items():
                (draft / file).write_text(text, encoding="utf-8")
            _sync(draft)
            if target.exists():
                shutil.rmtree(target)
            self._publish(draft, target)
        return target

    def stages(self) -> Iterator[tuple[str, str, Path]]:
        """Walk finished stages as (kind, key, folder), without verifying them."""
        for stage in sorted(self.folder.glob(f"*/??/*/{STAGE}")):
            yield stage.parent.parent.parent.name, stage.parent.name, stage.parent

    def content_digest(self) -> str:
        """Give the digest of what all stages hold, times and costs left out: equal work gives equal content."""
        return digest(
            {
                f"{kind}/{key}": json.loads((folder / STAGE).read_text(encoding="utf-8"))["files"]
                for kind, key, folder in self.stages()
            }
        )

    # --- how a stage comes into being ------------------------------------------------------------------------

    @contextmanager
    def _draft(self, name: str) -> Iterator[Path]:
        draft = self.folder / "drafts" / f"{name}-{os.getpid()}-{secrets.token_hex(4)}"
        try:
            draft.mkdir(parents=True)
            yield draft
        except OSError as error:
            raise _store_error(error, self.folder) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _publish(self, draft: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.rename(target)
        except OSError as error:
            # Another process was first: equal work, so its stage is as good.
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY) or not target.is_dir():
                raise

    def _set_aside(self, folder: Path, message: str) -> None:
        self.notice(message)
        target = self.folder / "broken" / f"{folder.parent.parent.name}-{folder.name}-{time.time_ns()}"
        target.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(target)


def _problem(folder: Path) -> str:
    """Say what is wrong with a finished stage; empty if nothing is."""
    try:
        stage = json.loads((folder / STAGE).read_text(encoding="utf-8"))
        check = digest({k: stage[k] for k in ("format", "kind", "key", "files")})
        if stage["check"] != check:
            return f"{STAGE} has been changed"
        if stage["format"] != FORMAT:
            return f"it has format {stage['format']}, this is {FORMAT}"
        return next((p for n, e in stage["files"].items() if (p := _file_problem(folder / n, e))), "")
    except FileNotFoundError:
        return f"{STAGE} is missing"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{STAGE} cannot be read"


def _file_problem(path: Path, expected: Mapping[str, Any]) -> str:
    if not path.is_file():
        return f"{path.name} is missing"
    if path.stat().st_size != expected["bytes"]:
        return f"{path.name} has {path.stat().st_size} bytes instead of {expected['bytes']}"
    return "" if file_digest(path) == expected["sha256"] else f"{path.name} does not match its digest"


def _sync(folder: Path) -> None:
    """Force files and folders onto the disk, so that a rename never points at what was not written."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as f:
                os.fsync(f.fileno())
        else:
            _sync_folder(path)
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _store_error(error: OSError, folder: Path) -> StoreError:
    if error.errno == errno.ENOSPC:
        mend = "free some space (`clbench store gc` drops states that can be made again), then run the same command"
        return StoreError("the disk is full; what is finished is kept", where=str(folder), mend=mend)
    mend = "check that the folder exists and can be written, or name another with --store"
    return StoreError(f"the store cannot be written: {error}", where=str(folder), mend=mend)
