"""Measure what a stage costs."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def metered() -> Generator[dict[str, float]]:
    """Fill a mapping with `wall_s`, `cpu_s` and `peak_memory_bytes` (largest resident set of this process so far)."""
    meter: dict[str, float] = {}
    wall, cpu = time.perf_counter(), time.process_time()
    yield meter
    # Linux counts kilobytes here, macOS bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    meter["wall_s"] = round(time.perf_counter() - wall, 6)
    meter["cpu_s"] = round(time.process_time() - cpu, 6)
    meter["peak_memory_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
