"""The event log of a run: JSON Lines that are only appended to, each on the disk before the next is written.

One process writes at a time. After a kill, a last line that is cut short is moved aside when the log is opened again,
so that at most what was in flight is lost. Final files are rebuilt from the log.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from clbench.core.errors import StoreError
from clbench.core.events import notice

Record = dict[str, Any]


class EventLog:
    """A log that is open for writing; use it as a context manager.

    Args:
        path: The file; its folder is made if missing, and `<name>.lock` stands beside it.

    Raises:
        StoreError: Another process writes it, or a line within it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._forced = 0  # bytes that are known to be on the disk
        self._forcing: asyncio.Future[None] | None = None
        self._lock = _locked(path)
        try:
            move_torn_tail(path)
            self._file: IO[bytes] = path.open("ab")
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> EventLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and free the lock."""
        self._file.close()
        self._lock.close()

    def write(self, record: Record) -> int:
        """Write a record, which outlives this process; return the offset at which it stands.

        It is on the disk once a later record is forced there, or the system gets to it.
        """
        offset = self._file.tell()
        self._file.write(json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")
        self._file.flush()
        return offset

    def append(self, record: Record) -> int:
        """Write a record and force it onto the disk; return the offset at which it stands."""
        offset = self.write(record)
        os.fsync(self._file.fileno())
        return offset

    async def keep(self, record: Record) -> int:
        """Write a record, and return its offset once it is on the disk.

        A disk may take longer than a reply: others go on meanwhile, and what they write is forced together.
        """
        offset = self.write(record)
        end = self._file.tell()
        while self._forced < end:
            if self._forcing is None:
                self._forcing = asyncio.ensure_future(self._force())
            await asyncio.shield(self._forcing)
        return offset

    async def _force(self) -> None:
        end = self._file.tell()
        try:
            await asyncio.to_thread(os.fsync, self._file.fileno())
            self._forced = end
        finally:
            self._forcing = None

    def records(self) -> Iterator[tuple[int, Record]]:
        """Yield the records and their offsets."""
        yield from records(self.path)


class LogReader:
    """Reads single records of a log again by their offsets; use it as a context manager."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")

    def __enter__(self) -> LogReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, offset: int) -> Record:
        """Return the record at an offset."""
        self._file.seek(offset)
        return cast(Record, json.loads(self._file.readline()))


def records(path: Path) -> Iterator[tuple[int, Record]]:
    """Yield the records of a log and their offsets; a last line that is cut short is left out.

    Raises:
        StoreError: A line within the log is damaged; names it.
    """
    if not path.exists():
        return
    offset = 0
    with path.open("rb") as f:
        for number, line in enumerate(f, 1):
            if not line.endswith(b"\n"):
                return
            try:
                yield offset, cast(Record, json.loads(line))
            except ValueError as error:
                mend = "restore the file from a copy, or delete the line: what it held is asked and paid for again"
                raise StoreError(f"the line is damaged: {error}", where=f"{path}:{number}", mend=mend) from error
            offset += len(line)


def move_torn_tail(path: Path) -> bytes:
    """Move a last line that is cut short into `<name>.torn-<n>` beside the log; return what was moved."""
    if not path.exists():
        return b""
    with path.open("r+b") as f:
        end = _end_of_whole_lines(f)
        f.seek(end)
        tail = f.read()
        if not tail:
            return b""
        number = len(list(path.parent.glob(f"{path.name}.torn-*"))) + 1
        aside = path.with_name(f"{path.name}.torn-{number}")
        aside.write_bytes(tail)
        f.truncate(end)
        f.flush()
        os.fsync(f.fileno())
    notice(f"{path}: the last record was cut short; it is kept in {aside.name}")
    return tail


def _end_of_whole_lines(f: IO[bytes]) -> int:
    """Return the offset behind the last line end, found from the end of the file."""
    position = f.seek(0, os.SEEK_END)
    while position > 0:
        start = max(0, position - 65536)
        f.seek(start)
        found = f.read(position - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        position = start
    return 0


def _locked(path: Path) -> IO[bytes]:
    lock = path.with_name(path.name + ".lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        mend = "wait until the other process is done, or write elsewhere with --output"
        raise StoreError("another process writes this log", where=str(path), mend=mend) from error
    return lock
