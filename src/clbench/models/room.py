"""How much memory the device has that a machine names."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from clbench.core.spec import Machine

LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@dataclass(frozen=True)
class Room:
    """The memory of a device.

    Attributes:
        name: The device, for people.
        bytes: All of it; None where the system does not tell.
        card: Whether it is an accelerator, whose memory holds no libraries.
        devices: Devices of this kind, among which workers are spread.
    """

    name: str
    bytes: int | None
    card: bool
    devices: int = 1


def room_of(machine: Machine) -> Room:
    """Return the memory that lessons have on a machine: that of `--memory`, or of its device.

    Raises:
        SpecError: There is no such device.
    """
    if machine.memory is not None:
        card = machine.device != "cpu"
        return Room("an accelerator" if card else "a processor", machine.memory, card, machine.workers if card else 1)
    if machine.device == "cpu" or (machine.device == "auto" and _for_processors()):
        return Room("cpu", _of_system(), False)
    import torch

    from clbench.models.load import device_of

    device = device_of(machine)
    if device.type == "cuda":
        found = torch.cuda.get_device_properties(device)
        count = 1 if machine.device.startswith("cuda:") else torch.cuda.device_count()
        return Room(found.name, found.total_memory, True, count)
    return Room(str(device), _of_system(), device.type != "cpu")


def _for_processors() -> bool:
    """Return whether the installed torch knows no accelerator, as its version says; it need not be imported for that.

    Raises:
        PackageNotFoundError: It is not installed.
    """
    return "+cpu" in metadata.version("torch")


def _of_system() -> int | None:
    """Return the memory of the machine, or the share of it that this process may take."""
    known: list[int] = []
    with suppress(ValueError, OSError, AttributeError):  # not on Windows
        known.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for limit in LIMITS:
        with suppress(OSError, ValueError):  # no group, or no limit: "max"
            known.append(int(limit.read_text(encoding="ascii")))
    return min(known, default=None)
