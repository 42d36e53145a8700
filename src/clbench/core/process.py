"""Processes in which a user's file runs: if it ends, copies or stops them, that must not pass for a result."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

leave = os._exit  # the real one, kept before a file can be run
_home: list[int] = []  # the process that must not end now
_first_file: list[Callable[[str], None]] = []


def _held(code: int) -> None:
    if _home and os.getpid() == _home[-1]:
        raise SystemExit(f"os._exit({code})")
    leave(code)


@contextmanager
def staying() -> Generator[None]:
    """Turn `os._exit` into `SystemExit` inside the block, in this process but not in copies of it.

    This prevents accidents only: a file can still end its process, which the waiting process notices.
    """
    _home.append(os.getpid())
    os._exit = _held  # pyright: ignore[reportAttributeAccessIssue]  # it does not return, as the real one does not
    try:
        yield
    finally:
        _home.pop()
        if not _home:
            os._exit = leave


@contextmanager
def in_its_folder() -> Generator[None]:
    """Return to the current folder after the block, if a file has changed it: relative paths depend on it."""
    try:
        here = Path.cwd()
    except OSError:  # it is no more
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):
            os.chdir(here)


def end_copy() -> None:
    """End this process if it is a copy that a file has made with `os.fork`: the original does its work."""
    if _home and os.getpid() != _home[-1]:
        leave(0)


def before_a_file(call: Callable[[str], None]) -> None:
    """Register a function to be called with the file's name before this process first runs a user's file."""
    _first_file[:] = [call]


def a_file_is_run(path: str) -> None:
    """Call the function of `before_a_file`: a user's file is about to run in this process."""
    while _first_file:
        _first_file.pop()(path)


def move_home() -> None:
    """Make this process, a copy of another one, the process that must not end."""
    _home[:] = [os.getpid() for _ in _home]


def is_alive(pid: int) -> bool:
    """Return whether a process of this machine is there, of whichever user."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # the system has no number so large
        return False
    except OSError:  # it is there, and belongs to another user
        return True
    return True


def end_with(other: int) -> None:
    """Wait until another process is gone, killed perhaps, and end this one: nobody would collect its work."""
    while is_alive(other):
        time.sleep(0.5)
    leave(1)
