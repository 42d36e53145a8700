"""How many workers a machine has room for, and which accelerator each of them takes."""

from __future__ import annotations

from clbench.core.spec import Machine
from clbench.store.origin import accelerators, cores

ANY = ("auto", "cuda")  # devices that name none of several


def room_for_workers(device: str) -> int:
    """Return how many workers go side by side on a device: one for each accelerator, else one for each core."""
    if device in ANY and (num := accelerators()):
        return num
    return cores() if device in ("auto", "cpu") else 1


def seats(machine: Machine, workers: int) -> list[str]:
    """Return the accelerator of each worker, in turn; none where they need not be told.

    Example:
        >>> seats(Machine(device="cpu"), 2)
        []
    """
    num = accelerators() if machine.device in ANY else 0
    return [f"cuda:{worker % num}" for worker in range(workers)] if num > 1 else []
