"""Measure what a stage costs."""

from __future__ import annotations

import ctypes
import resource
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from clbench.core.gauge import GAUGES
from clbench.store.energy import offer_energy

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_open: list[dict[str, float]] = []  # meters that run, the outermost first


@contextmanager
def metered() -> Generator[dict[str, float]]:
    """Fill a mapping with `wall_s`, `cpu_s`, `peak_memory_bytes` (largest resident set while the block ran) and gauges.

    A worker makes stages of many methods one after another, so the peak is set back at the beginning (on Linux;
    elsewhere it is the largest that the process had so far). A block inside another counts for both.
    """
    meter: dict[str, float] = {}
    _fold()
    _set_back()
    _open.append(meter)
    wall, cpu = time.perf_counter(), time.process_time()
    offer_energy()
    started = {name: gauge.start() for name, gauge in GAUGES.items()}
    try:
        yield meter
    finally:
        meter["wall_s"] = round(time.perf_counter() - wall, 6)
        meter["cpu_s"] = round(time.process_time() - cpu, 6)
        for name, gauge in GAUGES.items():
            # One that came up meanwhile, with the model, has seen the stage from its own beginning on.
            if (value := gauge.read(started.get(name, 0.0))) is not None:
                meter[name] = round(value, 6)
        _fold()
        _open.remove(meter)


def _fold() -> None:
    """Let all that run know the peak since it was last set back."""
    if not _open:
        return
    now = _peak_bytes()
    for meter in _open:
        meter["peak_memory_bytes"] = max(now, meter.get("peak_memory_bytes", 0))


def _set_back() -> None:
    if not _RESET.exists():
        return
    with suppress(OSError, AttributeError):  # AttributeError: a C library without it
        ctypes.CDLL(None).malloc_trim(0)  # what earlier stages have freed is given back first
    with suppress(OSError):
        _RESET.write_text("5", encoding="ascii")  # see proc(5)


def _peak_bytes() -> int:
    with suppress(OSError):
        for line in _STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    # Linux counts kilobytes here, macOS bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
