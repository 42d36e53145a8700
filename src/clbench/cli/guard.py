"""A process beside a command that runs a user's file: how the command ends is told by its word, not by its exit code.

A file may end the process that reads it (an exit in C code, `os.execv`), or hang on to it (a thread that never ends).
So the command goes on in a copy of its process, which says what it came to, and the first one waits. Python only makes
the copy where it has no other threads; without `os.fork` there is none.
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

LINGERS_S = 5.0  # what a finished command may take to end
LOOK_S = 0.05
DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_line: list[int] = []  # where the copy says its exit code


def watch(broken: int) -> None:
    """See to it that this command is watched from its first user's file on.

    Args:
        broken: Exit code where the command ends without a word.
    """
    if sys.platform != "win32":
        before_a_file(lambda path: _part(path, broken))


def told(code: int) -> int:
    """Say the exit code to who waits for it, if anybody; give it back."""
    while _line:
        with suppress(OSError):
            os.write(_line.pop(), bytes([code % 256]))
    return code


def _part(path: str, broken: int) -> None:
    """Go on in a copy of this process; the process itself waits for that, and ends as it says."""
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
        _end_with(first)
        return
    os.close(says)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to both
    signal.signal(signal.SIGTERM, lambda number, _: _pass_on(child, number))
    code, status = _heard(hears, child)
    if code is None:
        complain(f"{path}: {_how(status)} while clbench worked with this file, and gave no result\n  to mend: {MEND}")
        sys.stderr.flush()
    leave(broken if code is None else code)


MEND = "look in it for what ends a process; what is finished is kept, and the same command goes on"


def _pass_on(child: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(child, number)


def _heard(hears: int, child: int) -> tuple[int | None, int]:
    """Wait for a process; give the code that it said, None where it said none, and its wait status."""
    said, until = b"", float("inf")
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if not said and select.select([hears], [], [], 0 if ended else LOOK_S)[0]:
            said = os.read(hears, 1)
            until = time.monotonic() + LINGERS_S
            if not said and not ended:  # it can say nothing any more
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


def _end_with(first: int) -> None:
    """End this process with the one that waits for it, however that ends."""
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):
            ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != first:
        leave(1)
