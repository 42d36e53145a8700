"""Start a server for one model with a user's command, and end it, however this process ends."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress

from clbench.core.errors import ModelError, SpecError
from clbench.core.guard import ENDS_S, GUARD
from clbench.core.scratch import new_scratch

NEEDED = ("{folder}", "{port}")
LAST_WORDS = 400  # characters of what it said last that are passed on


def check_command(command: str) -> None:
    """Refuse a command that could not serve a folder at a port.

    Raises:
        SpecError: A part is missing, or its quotes are not closed.
    """
    mend = "such as --serve 'vllm serve {folder} --port {port} --dtype {dtype}'"
    if lacking := [part for part in NEEDED if part not in command]:
        raise SpecError(f"{' and '.join(lacking)} is not in the command", where="--serve", mend=mend)
    try:
        shlex.split(command)
    except ValueError as error:
        raise SpecError(f"the command cannot be read: {error}", where="--serve", mend=mend) from error


def free_port() -> int:
    """Return a port of this machine that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Launched:
    """A server that runs until `end`.

    Attributes:
        port: Where it should listen.
    """

    def __init__(self, command: str, parts: Mapping[str, str]) -> None:
        """Start a command.

        Args:
            command: As a shell would read it, but nothing of a shell is in it.
            parts: What stands for `{name}` in it, by name; the port is added.
        """
        self.port = free_port()
        self._folder = new_scratch("server")
        self._said = self._folder / "said.txt"
        arguments = shlex.split(command)
        for name, value in {**parts, "port": str(self.port)}.items():
            arguments = [one.replace(f"{{{name}}}", value) for one in arguments]
        with self._said.open("wb") as said:
            self._guard = subprocess.Popen(
                [sys.executable, "-c", GUARD, os.devnull, *arguments],
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def check(self) -> None:
        """Refuse to wait for a server that has ended.

        Raises:
            ModelError: It has; gives what it said last.
        """
        if (code := self._guard.poll()) is not None:
            words = self._said.read_text(encoding="utf-8", errors="replace").strip()[-LAST_WORDS:]
            raise ModelError(
                f"the server ended with exit code {code}: {' '.join(words.split()) or 'it said nothing'}",
                where="--serve",
                mend="run the command by hand on an exported folder (clbench export), and mend it there",
            )

    def end(self) -> None:
        """End it, and all that it has started."""
        assert self._guard.stdin is not None, "opened as a pipe"
        with suppress(OSError):
            self._guard.stdin.close()
        try:
            self._guard.wait(timeout=ENDS_S + 5)
        except subprocess.TimeoutExpired:
            self._guard.kill()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._guard.pid, signal.SIGKILL)  # what it left behind
        shutil.rmtree(self._folder, ignore_errors=True)
