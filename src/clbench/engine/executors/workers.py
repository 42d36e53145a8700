"""Processes that are forked from a server, and know nothing of the script that started them."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

from clbench.core.errors import WorkerError

FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGHUP)  # exit codes of a process that others ended
ENDS_S = 5.0  # in which workers end that are told to, or whose pool is broken


class OwnMain(ForkServerProcess):
    """A worker that never imports the caller's script, so that a script needs no `if __name__ == "__main__":`."""

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:  # noqa: N802  # the name that multiprocessing calls
        script = sys.modules.get("__main__")
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            return ForkServerProcess._Popen(process_obj)  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue]  # not in the stubs
        finally:
            if script is None:
                del sys.modules["__main__"]
            else:
                sys.modules["__main__"] = script


class Workers(ForkServerContext):
    """Workers that are forked from a server, with a main module of their own."""

    Process = OwnMain  # pyright: ignore[reportIncompatibleVariableOverride, reportAssignmentType]  # a subclass of it


def end_workers(workers: set[BaseProcess]) -> None:
    """Wait for workers that have nothing to do any more; what a file has started in one may never let it end."""
    until = time.monotonic() + ENDS_S
    for process in workers:
        process.join(timeout=max(until - time.monotonic(), 0))
        if process.is_alive():
            process.kill()
            process.join()


def broken_workers(workers: int, ended: Sequence[tuple[int | None, str]]) -> WorkerError:
    """Say how a pool broke: by the exit code (None: not known) of the worker that ended first, and what it was at.

    The others were told to end (SIGTERM).
    """
    first = [one for one in ended if one[0] not in (0, -signal.SIGTERM)] or [one for one in ended if one[0] == 0]
    kept = "what is finished is kept"
    if not ended:
        mend = f"run the same command with --workers 1, which makes everything in this process; {kept}"
        return WorkerError(
            "no worker could be started; what it said stands above", where=f"--workers {workers}", mend=mend
        )
    code, label = (first or list(ended))[0]
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
