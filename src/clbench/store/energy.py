"""Energy in joules, from counters of the hardware: NVIDIA's of the device, and Linux' of the processor."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path

from clbench.core.gauge import GAUGES, Gauge

RAPL = Path("/sys/class/powercap")


def offer_energy() -> None:
    """Register the gauge `joules` where there is a counter; measured is the whole machine, not the process alone."""
    if "joules" not in GAUGES and total_joules() is not None:
        GAUGES["joules"] = Gauge(lambda: total_joules() or 0.0, _since)


def _since(start: float) -> float | None:
    now = total_joules()
    # A processor's counter begins again at 0 now and then: what such a stage took is not known.
    return None if now is None or now < start else now - start


def total_joules() -> float | None:
    """Give what all counters show together; None where there is none."""
    found = [v for v in (_device_joules(), _processor_joules()) if v is not None]
    return sum(found) if found else None


@cache
def _devices() -> tuple[object, ...]:
    # nvidia-ml-py, from the extra `energy`.
    try:
        import pynvml  # pyright: ignore[reportMissingImports]  # an extra
    except ImportError:
        return ()
    with suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        return tuple(pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount()))
    return ()


def _device_joules() -> float | None:
    """Since the driver was loaded, all devices together (Volta and newer)."""
    if not _devices():
        return None
    import pynvml  # pyright: ignore[reportMissingImports]  # an extra

    try:
        return sum(float(pynvml.nvmlDeviceGetTotalEnergyConsumption(d)) for d in _devices()) / 1000
    except pynvml.NVMLError:
        return None


def _processor_joules() -> float | None:
    """Of all packages (RAPL); many systems let only root read it."""
    total: float | None = None
    for counter in sorted(RAPL.glob("intel-rapl:*/energy_uj")):
        if counter.parent.name.count(":") > 1:  # parts of a package, which counts them already
            continue
        with suppress(OSError, ValueError):
            total = (total or 0.0) + int(counter.read_text(encoding="ascii")) / 1e6
    return total
