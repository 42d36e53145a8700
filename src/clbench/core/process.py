"""Processes in which a user's file runs: it may end, copy or stop them, and none of this may pass for a result."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

leave = os._exit  # the real one, kept before a file can be run
_home: list[int] = []  # process that must not be left just now
_first_file: list[Callable[[str], None]] = []


def _held(code: int) -> None:
    if _home and os.getpid() == _home[-1]:
        raise SystemExit(f"os._exit({code})")
    leave(code)


@contextmanager
def staying() -> Generator[None]:
    """Turn `os._exit` into `SystemExit` inside the block, in this process and in no copy of it.

    Against accidents: a file that wants to end its process can, and is seen by whoever waits for the process.
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
    """Go back to the folder in which this process works, if a file has left it: relative paths would mean others."""
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
    """End this process if it is a copy that a file has made with `os.fork` and let run on: its work is being done."""
    if _home and os.getpid() != _home[-1]:
        leave(0)


def before_a_file(call: Callable[[str], None]) -> None:
    """Have a function called, with the file's name, before this process runs a user's file for the first time."""
    _first_file[:] = [call]


def a_file_is_run(path: str) -> None:
    """Say that a user's file is about to be run in this process, see `before_a_file`."""
    while _first_file:
        _first_file.pop()(path)


def move_home() -> None:
    """Let this process take the place of the one that it was copied from: it is now what must not be left."""
    _home[:] = [os.getpid() for _ in _home]
