"""Run a user's command to its end, measure it with all that it starts, and leave nothing of it behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from clbench.core.errors import LessonError
from clbench.core.events import Progress, report_progress
from clbench.core.guard import ENDS_S, GUARD

PROC = Path("/proc")
POLL_S, LOOK_S = 0.05, 1.0  # between two looks at whether it has ended, and at its memory
LAST_LINES, LAST_CHARACTERS = 6, 600  # of what it said, in an error
TAIL = 20_000  # bytes of its output that are looked at for them


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: Its exit code; below 0 the signal that ended it; None where it was ended here, by the time limit.
        wall_s, cpu_s: Seconds; of the processor over all processes that it started and waited for.
        peak_memory_bytes: The most that its processes held together when they were looked at, or one of them at any
            time, whichever is larger.
    """

    code: int | None
    wall_s: float
    cpu_s: float
    peak_memory_bytes: int


def run_program(
    words: Sequence[str], environment: Mapping[str, str], said: Path, limit_s: float | None, what: str
) -> Ended:
    """Run a command; it ends with this process, and what it leaves running is ended.

    Args:
        words: The program and its arguments; no shell reads them.
        environment: What it finds in its environment beside ours.
        said: File for all that it says.
        limit_s: Seconds after which it is ended; None waits for ever.
        what: What it does, for the progress.

    Raises:
        LessonError: It could not be started.
    """
    told = said.with_name("ended.txt")
    told.unlink(missing_ok=True)
    began = time.monotonic()
    with said.open("wb") as output:
        guard = subprocess.Popen(
            [sys.executable, "-I", "-c", GUARD, str(told), *words],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    seen: dict[int, str] = {}
    try:
        in_time, sampled = _wait(guard, began, limit_s, what, seen)
    finally:
        _end(guard, seen)
    wall = time.monotonic() - began
    try:
        code, cpu, peak = told.read_text(encoding="ascii").split()
    except (OSError, ValueError):  # ended before it could say so
        code, cpu, peak = str(guard.returncode or 1), "0", "0"
        if in_time and not told.exists() and guard.returncode == 1:
            raise LessonError(
                f"it cannot be started: {last_words(said)}", where=words[0], mend="name a program that is here"
            ) from None
    largest = int(peak) * (1 if sys.platform == "darwin" else 1024)
    return Ended(int(code) if in_time else None, round(wall, 6), float(cpu), max(largest, sampled))


def last_words(said: Path) -> str:
    """Return the last lines that a command said, in one line; "it said nothing" where there are none."""
    try:
        with said.open("rb") as file:
            file.seek(max(said.stat().st_size - TAIL, 0))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        text = ""
    lines = [" ".join(line.split()) for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return " | ".join(lines[-LAST_LINES:])[-LAST_CHARACTERS:] or "it said nothing"


def _wait(
    guard: subprocess.Popen[bytes], began: float, limit_s: float | None, what: str, seen: dict[int, str]
) -> tuple[bool, int]:
    """Wait for the end; return whether it came in time, and the largest memory that was seen."""
    largest, looked = 0, 0.0
    while guard.poll() is None:
        now = time.monotonic()
        if limit_s is not None and now - began > limit_s:
            return False, largest
        if now - looked >= LOOK_S:
            looked = now
            tree = dict(_below(guard.pid))
            seen |= tree
            largest = max(largest, sum(map(_held, tree)))
            report_progress(Progress(what, int(now - began), 0 if limit_s is None else int(limit_s)))
        time.sleep(POLL_S)
    return True, largest


def _end(guard: subprocess.Popen[bytes], seen: Mapping[int, str]) -> None:
    """End the command if it runs, and whatever it has left: also what has left its group."""
    assert guard.stdin is not None, "opened as a pipe"
    with suppress(OSError):
        guard.stdin.close()
    try:
        guard.wait(timeout=ENDS_S + 5)
    except subprocess.TimeoutExpired:
        guard.kill()
        guard.wait()
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(guard.pid, signal.SIGKILL)
    for process, start in seen.items():
        if _started(process) == start:  # else the number is another process's by now
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)


# --- what it starts, as Linux tells it; elsewhere nothing is seen ------------------------------------------------


def _below(root: int) -> Iterator[tuple[int, str]]:
    """Yield the processes that descend from one, each with the time of its start."""
    if not PROC.is_dir():
        return
    above = {int(p.name): fields for p in PROC.iterdir() if p.name.isdigit() and (fields := _stat(int(p.name)))}
    children: dict[int, list[int]] = {}
    for process, fields in above.items():
        children.setdefault(int(fields[1]), []).append(process)
    due = list(children.get(root, ()))
    while due:
        process = due.pop()
        yield process, above[process][19]
        due += children.get(process, ())


def _stat(process: int) -> list[str]:
    """Return the fields of proc(5) after the name: state, parent, ..., start."""
    try:
        return (PROC / str(process) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _started(process: int) -> str:
    fields = _stat(process)
    return fields[19] if fields and fields[0] != "Z" else ""


def _held(process: int) -> int:
    """Return the bytes that a process holds, its share of those that several hold."""
    with suppress(OSError, ValueError, IndexError):
        for line in (PROC / str(process) / "smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
