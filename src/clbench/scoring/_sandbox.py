"""Run a model-written program against tests, where it can harm nothing and cannot fake a pass. See docs/sandbox.md.

Two cells: the program runs in one and answers calls over a pipe; the tests run in the other, where nothing that the
program does (patched builtins, `sys.exit(0)`, a redefined assert) reaches them. Values that cross are data, never code.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Literal

from clbench.core.errors import SpecError

Level = Literal["namespaces", "limits", "none"]
CELL = Path(__file__).with_name("_cell.py")
ALLOW = "CLBENCH_WEAK_SANDBOX"
LONGEST = 1 << 20  # bytes of a verdict
_numbers = count(os.getpid() % 50_000)


@dataclass(frozen=True)
class Limits:
    """What a program may use.

    Attributes:
        seconds: Wall time and CPU time, > 0.
        memory_bytes: Address space of each of its processes.
    """

    seconds: float = 5.0
    memory_bytes: int = 512 << 20


@dataclass(frozen=True)
class Trial:
    """What a program is held to.

    Attributes:
        before: Code that the tests need, run in the tests' own cell (given helpers, set-up).
        names: Functions that must be the program's, also where `before` defines them.
        tests: Pieces of code, run one after another; any exception fails.
    """

    before: str
    names: tuple[str, ...]
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a program.

    Attributes:
        passed: Every test ran to its end without an exception.
        note: Why not.
        level: The sandbox it ran in.
        seconds: Wall time.
    """

    passed: bool
    note: str
    level: Level
    seconds: float


@lru_cache(maxsize=1)
def strongest() -> Level:
    """Try what this host offers: "namespaces", "limits" (weak: no wall around files and network), or "none"."""
    if sys.platform != "linux":
        return "none"
    probe = Trial("", ("f",), ("assert f() == 1",))
    levels: tuple[Level, ...] = ("namespaces", "limits")
    for level in levels:
        if _in_cells("def f():\n    return 1\n", probe, Limits(), level).passed:
            return level
    return "none"


def level_to_use() -> Level:
    """Give the level at which programs are run.

    Raises:
        SpecError: There is no wall around a program here, and nobody has said that this is meant.
    """
    level = strongest()
    if level == "namespaces" or (level == "limits" and os.environ.get(ALLOW) == "1"):
        return level
    raise SpecError(
        f"no sandbox can be made here (level {level!r}): model-written programs are not run",
        where="exams of code",
        mend=f"run on Linux with user namespaces, or as root; {ALLOW}=1 runs them with resource limits alone",
    )


def run_tests(program: str, trial: Trial, limits: Limits) -> Outcome:
    """Run a program against its tests; raises as `level_to_use` does."""
    return _in_cells(program, trial, limits, level_to_use())


def _in_cells(program: str, trial: Trial, limits: Limits, level: Level) -> Outcome:
    started = time.monotonic()
    asks, answers = os.pipe(), os.pipe()
    cells: list[subprocess.Popen[bytes]] = []
    place = tempfile.mkdtemp(prefix="clbench-cell-")
    try:
        cells.append(_cell(level, "candidate", limits, place, (asks[0], answers[1])))
        task = {"program": program, "before": trial.before, "names": trial.names, "tests": trial.tests}
        body = json.dumps(task).encode()
        judge = _cell(level, "judge", limits, place, (subprocess.PIPE, subprocess.PIPE), (answers[0], asks[1]))
        cells.append(judge)
        for end in (*asks, *answers):
            os.close(end)
        try:
            said, _ = judge.communicate(struct.pack(">I", len(body)) + body, timeout=limits.seconds)
        except subprocess.TimeoutExpired:
            return Outcome(False, f"not done after {limits.seconds:g} s", level, time.monotonic() - started)
    finally:
        for cell in cells:
            _end(cell)
        shutil.rmtree(place, ignore_errors=True)
    return _outcome(said, level, time.monotonic() - started)


def _cell(
    level: Level, role: str, limits: Limits, place: str, ends: tuple[int, int], line: tuple[int, int] | None = None
) -> subprocess.Popen[bytes]:
    """Start a cell in a session of its own, in `place`, with an empty environment.

    `ends` are its standard input and output, `line` the ends of the judge's line to the program.
    """
    python = os.path.realpath(sys.executable)
    arguments = [level, role, str(limits.memory_bytes), str(int(limits.seconds) + 1), f"{os.getpid()}.{next(_numbers)}"]
    arguments += [str(end) for end in line or ()]
    return subprocess.Popen(
        [python, "-I", "-S", str(CELL), *arguments],
        stdin=ends[0],
        stdout=ends[1],
        stderr=subprocess.DEVNULL,
        env={},
        start_new_session=True,
        cwd=place,
        pass_fds=line or (),
    )


def _end(cell: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(cell.pid, signal.SIGKILL)
    cell.wait()
    for pipe in (cell.stdin, cell.stdout):
        if pipe is not None:
            pipe.close()


def _outcome(said: bytes, level: Level, seconds: float) -> Outcome:
    try:
        verdict = json.loads(said[4 : 4 + LONGEST])
        return Outcome(verdict["passed"] is True, str(verdict["note"]), level, seconds)
    except (ValueError, KeyError, TypeError):
        return Outcome(False, "the program ended, or was ended, before its tests were done", level, seconds)
