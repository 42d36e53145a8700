"""Run a command that reads a user's file in a copy of the process, so that the file cannot fake its exit code.

A user's file may end the process that reads it (an exit in C code, `os.execv`), or keep it from ending (a thread that
never stops). So the command continues in a copy of its process, which reports its exit code over a pipe, and the first
process waits. The copy is made only where Python has no other threads; without `os.fork` there is none.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import threading
import time
from contextlib import suppress

from clbench.cli.options import complain
from clbench.core.process import before_a_file, leave, move_home

LINGERS_S = 5.0  # longest time that a finished command may take to end
LOOK_S = 0.05
DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_line: list[int] = []  # pipe over which the copy reports its exit code


def watch(broken: int) -> None:
    """Watch this command from the first user's file that it reads.

    Args:
        broken: Exit code where the command ends without a report.
    """
    if sys.platform != "win32":
        before_a_file(lambda path: _fork(path, broken))


def report_code(code: int) -> int:
    """Report the exit code to the waiting process, if there is one, and return it."""
    while _line:
        with suppress(OSError):
            os.write(_line.pop(), bytes([code % 256]))
    return code


def _fork(path: str, broken: int) -> None:
    """Continue in a copy of this process; the process itself waits for the copy and ends with its exit code."""
    if threading.active_count() > 1:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    hears, says = os.pipe()
    first, child = os.getpid(), os.fork()
    if child == 0:
        os.close(hears)
        _line.append(says)
        move_home()
        _die_with(first)
        return
    os.close(says)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to both processes
    signal.signal(signal.SIGTERM, lambda number, _: _pass_on(child, number))
    code, status = _wait(hears, child)
    if code is None:
        complain(
            f"{path}: {_how(status)} while clbench worked with this file, and there is no result\n  to mend: {MEND}"
        )
        sys.stderr.flush()
    leave(broken if code is None else code)


MEND = "look in the file for code that ends a process; finished work is kept, and the same command resumes"


def _pass_on(child: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(child, number)


def _wait(hears: int, child: int) -> tuple[int | None, int]:
    """Wait for a process and return the code that it reported (None if it did not) and its wait status."""
    said, until = b"", float("inf")
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if not said and select.select([hears], [], [], 0 if ended else LOOK_S)[0]:
            said = os.read(hears, 1)
            until = time.monotonic() + LINGERS_S
            if not said and not ended:  # the pipe is closed: it cannot report any more
                status = os.waitpid(child, 0)[1]
                return None, status
        if ended:
            return (said[0] if said else None), status
        if said:
            time.sleep(LOOK_S)
        if said and time.monotonic() > until:
            _pass_on(child, signal.SIGKILL)


def _how(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGKILL:
        return "the process was killed, perhaps because memory ran out,"
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    return f"the process ended {how}"


def _die_with(first: int) -> None:
    """Let this process end when the one that waits for it ends, however that happens."""
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):
            ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != first:
        leave(1)
