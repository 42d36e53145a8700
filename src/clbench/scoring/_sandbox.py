"""Run a model-written program against tests, where it can harm nothing and cannot fake a pass. See docs/sandbox.md.

Two cells: the program runs in one and answers calls over a pipe; the tests run in the other, where nothing that the
program does (patched builtins, `sys.exit(0)`, a redefined assert) reaches them. Values that cross are data, never code.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Literal

from clbench.core.errors import SpecError
from clbench.core.scratch import new_scratch
from clbench.scoring import _filter, _groups

Level = Literal["namespaces", "bwrap", "limits", "none"]
CELL = Path(__file__).with_name("_cell.py")
LIBRARIES = ("/usr/lib", "/usr/lib64", "/lib", "/lib64")
DOORS = CELL.with_name("_doors.py")
ALLOW = "CLBENCH_WEAK_SANDBOX"
LONGEST = 1 << 20  # bytes of a verdict
PATIENCE = 3  # a program may be idle (not computing, not waiting for a processor) for so many times the limit
LAST = 60  # times the limit after which it is ended in any case
LOOK_S = 0.25
GONE = "the program ended, or was ended, before its tests were done"
SPARE_BYTES = 64 << 20  # of both cells together, beyond their address space: memory disks, and the kernel's own
DISK_BYTES = 16 << 20
# What stands around a program, asked from inside; the rest (network, capabilities) nothing inside can ask for.
INSIDE = """
import os
def f():
    disk = os.statvfs("/work")
    seen = [p for p in ("/proc", "/sys", "/dev", "/tmp", "/run", "/etc/passwd") if os.path.exists(p)]
    return os.getpid(), os.getuid() * os.getgid() > 0, disk.f_blocks * disk.f_frsize, os.getcwd(), seen
def g():
    return os.getuid() * os.getgid() > 0
"""
WALLS = f"assert f() == (1, True, {DISK_BYTES}, '/work', []), f()"
_numbers = count(os.getpid() % 50_000)


@dataclass(frozen=True)
class Limits:
    """What a program may use.

    Attributes:
        seconds: CPU time of its one process, > 0; the kernel counts whole seconds, rounded up. A program that
            does not compute (it sleeps, or waits for what never comes) is ended after `PATIENCE` times that.
        memory_bytes: Address space of its one process, shared pages included.
    """

    seconds: float = 5.0
    memory_bytes: int = 512 << 20

    @property
    def cpu_seconds(self) -> int:
        """Whole seconds, as the kernel counts them."""
        return max(math.ceil(self.seconds), 1)


@dataclass(frozen=True)
class Trial:
    """The tests of a program.

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
    """The result of a trial.

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
    """Return the strongest level that holds what it promises on this host; "none" if no level does."""
    if sys.platform != "linux" or os.uname().machine not in _filter.MACHINES:
        return "none"
    levels: tuple[Level, ...] = ("namespaces", "bwrap", "limits")
    for level in levels:
        if holds(level):
            return level
    return "none"


def holds(level: Level) -> bool:
    """Return whether a level can be made here, by a look from inside."""
    if level == "bwrap" and (os.geteuid() == 0 or not shutil.which("bwrap")):
        return False  # root that may not make namespaces gets none from bwrap either, and would stay root
    probe = Trial("", ("f", "g"), ("assert g()" if level == "limits" else WALLS,))
    return _in_cells(INSIDE, probe, Limits(), level).passed


@lru_cache(maxsize=4)
def grouped(level: Level) -> bool:
    """Return whether cells can be put into control groups here, by trying it."""
    number = next(_numbers)
    groups = _groups.make(number, SPARE_BYTES)
    _groups.drop(groups)
    probe = Trial("", ("g",), ("assert g()",))
    return bool(groups) and _in_cells(INSIDE, probe, Limits(), level, in_groups=True).passed


def level_to_use() -> Level:
    """Return the level at which programs are run.

    Raises:
        SpecError: No sandbox can be made here, and the user has not allowed the weak one.
    """
    level = strongest()
    if level in ("namespaces", "bwrap") or (level == "limits" and os.environ.get(ALLOW) == "1"):
        return level
    raise SpecError(
        f"no sandbox can be made here (level {level!r}): model-written programs are not run",
        where="exams of code",
        mend="run on Linux with user namespaces, as root, or with bubblewrap (bwrap) installed; "
        f"{ALLOW}=1 runs them with limits and a filter of system calls alone",
    )


def run_tests(program: str, trial: Trial, limits: Limits) -> Outcome:
    """Return what became of a program that was run against its tests; raises as `level_to_use` does."""
    level = level_to_use()
    return _in_cells(program, trial, limits, level, in_groups=grouped(level))


def _in_cells(program: str, trial: Trial, limits: Limits, level: Level, *, in_groups: bool = False) -> Outcome:
    started = time.monotonic()
    asks, answers = os.pipe(), os.pipe()
    cells: list[subprocess.Popen[bytes]] = []
    place = str(new_scratch("cell"))
    groups = _groups.make(next(_numbers), 2 * limits.memory_bytes + SPARE_BYTES) if in_groups else ()
    try:
        frame = _Frame(level, limits, place, groups)
        cells.append(_cell(frame, "candidate", (asks[0], answers[1])))
        task = {"program": program, "before": trial.before, "names": trial.names, "tests": trial.tests}
        body = json.dumps(task).encode()
        judge = _cell(frame, "judge", (subprocess.PIPE, subprocess.PIPE), (answers[0], asks[1]))
        cells.append(judge)
        for end in (*asks, *answers):
            os.close(end)
        said = _heard(judge, struct.pack(">I", len(body)) + body, cells, limits)
        if said is None:
            waited = f"not done after {PATIENCE * limits.seconds:g} s in which it did not compute"
            return Outcome(False, waited, level, time.monotonic() - started)
        outcome = _outcome(said, level, time.monotonic() - started)
        # The kernel's own count, by which it ends a program, goes by ticks and differs from this one.
        if outcome.note == GONE and _spent(cells[0]) > 0.75 * limits.cpu_seconds:
            return replace(outcome, note=f"not done after {limits.cpu_seconds} s of processor time")
        return outcome
    finally:
        for cell in cells:
            _end(cell)
        _groups.drop(groups)
        shutil.rmtree(place, ignore_errors=True)


def _heard(
    judge: subprocess.Popen[bytes], body: bytes, cells: Sequence[subprocess.Popen[bytes]], limits: Limits
) -> bytes | None:
    """Return what the judge says; None if both cells have been idle for too long.

    Time in which a cell computed, or could have and had to wait for a processor, is not idle: on a busy machine a
    program gets as much done as on a quiet one, and the limit of CPU time ends it.
    """
    started = time.monotonic()
    sends: bytes | None = body
    busy = dict.fromkeys((cell.pid for cell in cells), 0.0)
    while True:
        with suppress(subprocess.TimeoutExpired):
            return judge.communicate(sends, timeout=LOOK_S)[0]
        sends = None  # it has been handed over
        for pid in busy:
            busy[pid] = max(busy[pid], _busy_s(pid))
        wall = time.monotonic() - started
        if wall - sum(busy.values()) > PATIENCE * limits.seconds or wall > LAST * limits.seconds:
            return None


def _busy_s(pid: int) -> float:
    """Return the seconds in which a cell computed or waited for a processor; 0 where the host does not tell.

    A program that has started others, or threads, waits for them and not for the machine.
    """
    total = 0.0
    with suppress(OSError, ValueError, IndexError):
        for process in (str(pid), *_children(str(pid))):  # a cell with a process space of its own is a child of it
            threads = [*Path(f"/proc/{process}/task").iterdir()]
            alone = len(threads) == 1 and not _children(process)
            for thread in threads:
                computed, waited, *_ = (thread / "schedstat").read_text(encoding="ascii").split()
                total += (int(computed) + int(waited) * alone) / 1e9
    return total


def _children(process: str) -> list[str]:
    return Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()


def _spent(cell: subprocess.Popen[bytes]) -> float:
    """Return the CPU seconds of a cell that is just ending; 0 of one that goes on."""
    deadline = time.monotonic() + 5
    while cell.returncode is None and time.monotonic() < deadline:
        with suppress(ChildProcessError):
            done, status, used = os.wait4(cell.pid, os.WNOHANG)
            if done:
                cell.returncode = os.waitstatus_to_exitcode(status)
                return used.ru_utime + used.ru_stime
        time.sleep(0.005)
    return 0.0


@dataclass(frozen=True)
class _Frame:
    """What both cells of a trial share."""

    level: Level
    limits: Limits
    place: str
    groups: tuple[Path, ...]


def _cell(
    frame: _Frame, role: str, ends: tuple[int, int], line: tuple[int, int] | tuple[()] = ()
) -> subprocess.Popen[bytes]:
    """Start a cell in a session of its own, in a folder of its own, with an empty environment.

    `ends` are its standard input and output, `line` the ends of the judge's line to the program.
    """
    calls = _filter.program(os.uname().machine, walled=frame.level != "limits").hex()
    gates = [os.open(group / "cgroup.procs", os.O_WRONLY) for group in frame.groups]
    numbers = (frame.limits.memory_bytes, frame.limits.cpu_seconds, f"{os.getpid()}.{next(_numbers)}")
    arguments = [frame.level, role, *(str(number) for number in numbers), calls, ",".join(str(gate) for gate in gates)]
    cell, wall = (Path("/cell", CELL.name), _bubblewrap()) if frame.level == "bwrap" else (CELL, [])
    python = [os.path.realpath(sys.executable), "-I", "-S", str(cell)]
    try:
        return subprocess.Popen(
            [*wall, *python, *arguments, *(str(end) for end in line)],
            stdin=ends[0],
            stdout=ends[1],
            stderr=subprocess.DEVNULL,
            env={},
            start_new_session=True,
            cwd=frame.place,
            pass_fds=(*line, *gates),
        )
    finally:
        for gate in gates:
            os.close(gate)


def _bubblewrap() -> list[str]:
    """Return the command that makes the walls of level "namespaces" with bubblewrap (0.8 or later)."""
    command = [shutil.which("bwrap") or "bwrap", "--unshare-all", "--unshare-user", "--die-with-parent", "--as-pid-1"]
    command += ["--uid", "65534", "--gid", "65534", "--cap-drop", "ALL", "--hostname", "cell"]
    folders = {os.path.realpath(path): None for path in (sys.base_prefix, *LIBRARIES)}
    for folder in folders:
        command += ["--ro-bind", folder, folder] if Path(folder).is_dir() else []
    for path in LIBRARIES:
        command += ["--symlink", os.path.realpath(path), path] if Path(path).is_symlink() else []
    for file in (CELL, DOORS):
        command += ["--ro-bind", str(file), f"/cell/{file.name}"]
    command += ["--size", str(DISK_BYTES), "--tmpfs", "/work", "--chdir", "/work", "--remount-ro", "/"]
    return [*command, "--"]


def _end(cell: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(cell.pid, signal.SIGKILL)
    with suppress(ProcessLookupError, PermissionError):
        cell.kill()
    cell.wait()
    for pipe in (cell.stdin, cell.stdout):
        if pipe is not None:
            pipe.close()


def _outcome(said: bytes, level: Level, seconds: float) -> Outcome:
    try:
        verdict = json.loads(said[4 : 4 + LONGEST])
        note = str(verdict["note"])
        # The line to a program that is gone ends.
        return Outcome(verdict["passed"] is True, GONE if note == "EOFError: " else note, level, seconds)
    except (ValueError, KeyError, TypeError):
        return Outcome(False, GONE, level, seconds)
