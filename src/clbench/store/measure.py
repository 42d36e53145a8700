"""Measure what a stage costs."""

from __future__ import annotations

import ctypes
import resource
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from clbench.core.resource_probes import RESOURCE_PROBES
from clbench.store.energy import offer_energy

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_open: list[dict[str, float]] = []  # measurements that run, the outermost first


@contextmanager
def measure() -> Generator[dict[str, float]]:
    """Yield a mapping that is filled with `wall_s`, `cpu_s`, `peak_memory_bytes` and the resource probes of the block.

    The peak is the largest resident set while the block ran: it is reset at the beginning (on Linux;
    elsewhere it is the largest that the process had so far). A block inside another counts for both.
    """
    cost: dict[str, float] = {}
    _fold()
    _set_back()
    _open.append(cost)
    wall, cpu = time.perf_counter(), time.process_time()
    offer_energy()
    started = {name: probe.start() for name, probe in RESOURCE_PROBES.items()}
    try:
        yield cost
    finally:
        cost["wall_s"] = round(time.perf_counter() - wall + cost.get("wall_s", 0.0), 6)
        cost["cpu_s"] = round(time.process_time() - cpu + cost.get("cpu_s", 0.0), 6)
        for name, probe in RESOURCE_PROBES.items():
            # A probe that was registered meanwhile, with the model, measures from 0.
            if (value := probe.read(started.get(name, 0.0))) is not None:
                cost[name] = round(value, 6)
        _fold()
        _open.remove(cost)


def count_program(*, wall_s: float = 0.0, cpu_s: float = 0.0, peak_memory_bytes: int = 0) -> None:
    """Add what a program that was started took to all measurements that run.

    Args:
        wall_s: Seconds before the measurement began: of a program whose result is taken over after a kill.
        cpu_s: Its processor seconds.
        peak_memory_bytes: Its largest memory; the larger of this and this process's own counts.
    """
    for cost in _open:
        cost["wall_s"] = cost.get("wall_s", 0.0) + wall_s
        cost["cpu_s"] = cost.get("cpu_s", 0.0) + cpu_s
        cost["peak_memory_bytes"] = max(peak_memory_bytes, cost.get("peak_memory_bytes", 0))


def _fold() -> None:
    """Add the peak since the last reset to all running measurements."""
    if not _open:
        return
    now = _peak_bytes()
    for cost in _open:
        cost["peak_memory_bytes"] = max(now, cost.get("peak_memory_bytes", 0))


def _set_back() -> None:
    if not _RESET.exists():
        return
    with suppress(OSError, AttributeError):  # AttributeError: a C library without it
        ctypes.CDLL(None).malloc_trim(0)  # first return to the system what earlier stages have freed
    with suppress(OSError):
        _RESET.write_text("5", encoding="ascii")  # see proc(5)


def _peak_bytes() -> int:
    with suppress(OSError):
        for line in _STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    # Linux counts kilobytes here, macOS bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
