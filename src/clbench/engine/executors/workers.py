"""Processes that are forked from a server, and know nothing of the script that started them."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from multiprocessing import connection, popen_fork, popen_forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

from clbench.core.errors import WorkerError

FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGHUP)  # exit codes of a process that others ended
ENDS_S = 5.0  # in which workers end that are told to, or whose pool is broken


class ReadOnce(popen_fork.Popen):
    """A process whose exit code one thread reads: two that wait for it would take the code from each other."""

    _reading = threading.Lock()

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        """Return the exit code; None while it runs, where `flag` says not to wait."""
        if self.returncode is None and connection.wait([self.sentinel], 0 if flag == os.WNOHANG else None):
            with self._reading:
                if self.returncode is None:
                    return super().poll(flag)
        return self.returncode


class _Forked(ReadOnce, popen_forkserver.Popen):
    """A process that the server has forked."""


class OwnMain(ForkServerProcess):
    """A worker that never imports the caller's script, so that a script needs no `if __name__ == "__main__":`."""

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:  # noqa: N802  # the name that multiprocessing calls
        script = sys.modules.get("__main__")
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            return _Forked(process_obj)
        finally:
            if script is None:
                del sys.modules["__main__"]
            else:
                sys.modules["__main__"] = script


class Workers(ForkServerContext):
    """Makes workers, with a main module of their own, and keeps them: one may end before anybody sees it alive."""

    kind: type[BaseProcess] = OwnMain

    def __init__(self) -> None:
        """Begin without any."""
        super().__init__()
        self._made: list[BaseProcess] = []

    def Process(self, *args: Any, **given: Any) -> BaseProcess:  # noqa: N802  # pyright: ignore[reportIncompatibleVariableOverride]  # a pool calls it
        """Return a worker that has not been started."""
        self._made.append(self.kind(*args, **given))
        return self._made[-1]

    @property
    def started(self) -> list[BaseProcess]:
        """The workers that were started, also those that have ended."""
        return [process for process in self._made if process.pid is not None]


def end_workers(workers: Iterable[BaseProcess]) -> None:
    """Wait for workers that have nothing to do any more; what a file has started in one may never let it end."""
    until = time.monotonic() + ENDS_S
    for process in workers:
        process.join(timeout=max(until - time.monotonic(), 0))
        if process.is_alive():
            process.kill()
            process.join()


def broken_worker(workers: int, code: int | None, label: str) -> WorkerError:
    """Say how a worker ended: by its exit code (None: it runs on, and cannot be reached), and what it was at.

    Args:
        workers: How many there are.
        code: Its exit code, or None.
        label: What it was at; "" where it had not begun anything.
    """
    kept = "what is finished is kept"
    where = label or f"--workers {workers}"
    if code == -signal.SIGKILL:
        mend = f"run the same command again with fewer workers; {kept}"
        return WorkerError("a worker was killed, perhaps because memory ran out", where=where, mend=mend)
    how = ""
    if code is not None:
        how = f" by {signal.Signals(-code).name}" if code < 0 else f" with exit code {code}"
    if workers == 1:
        mend = f"look in the learner's file for what ends a process; {kept}"
        return WorkerError(f"a worker ended{how} before its work was done", where=where, mend=mend)
    mend = f"run the same command with --workers 1, which shows where it happens; {kept}"
    return WorkerError(f"a worker ended{how}; what it said stands above", where=where, mend=mend)
