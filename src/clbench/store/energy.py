"""Energy in joules, from counters of the hardware: NVIDIA's for devices, Linux's for processors."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path

from clbench.core.resource_probes import RESOURCE_PROBES, ResourceProbe

RAPL = Path("/sys/class/powercap")


def offer_energy() -> None:
    """Register the resource probe `joules` if there is a counter; it measures the whole machine, not this process."""
    if "joules" not in RESOURCE_PROBES and total_joules() is not None:
        RESOURCE_PROBES["joules"] = ResourceProbe(lambda: total_joules() or 0.0, _since)


def _since(start: float) -> float | None:
    now = total_joules()
    # A processor's counter wraps to 0 now and then: the energy of such a stage is unknown.
    return None if now is None or now < start else now - start


def total_joules() -> float | None:
    """Return the sum of all counters; None if there is no counter."""
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
    """Return the joules of all devices since the driver was loaded (Volta and newer); None without such a device."""
    if not _devices():
        return None
    import pynvml  # pyright: ignore[reportMissingImports]  # an extra

    try:
        return sum(float(pynvml.nvmlDeviceGetTotalEnergyConsumption(d)) for d in _devices()) / 1000
    except pynvml.NVMLError:
        return None


def _processor_joules() -> float | None:
    """Return the joules of all processor packages (RAPL); None if unreadable: many systems let only root read it."""
    total: float | None = None
    for counter in sorted(RAPL.glob("intel-rapl:*/energy_uj")):
        if counter.parent.name.count(":") > 1:  # parts of a package, which counts them already
            continue
        with suppress(OSError, ValueError):
            total = (total or 0.0) + int(counter.read_text(encoding="ascii")) / 1e6
    return total
