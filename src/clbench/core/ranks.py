"""The ranks of a run: processes that learn and answer together, as a launcher tells each of them in its environment.

torchrun, `accelerate launch` and `clbench run --processes` set the same variables.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from clbench.core.errors import SpecError

# What accelerate's launcher is asked to set up in a program's place; each wish is a variable.
SHARING = {
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_FSDP": "accelerate's own FSDP",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
}
TOLD = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


class Place(NamedTuple):
    """Where this process stands among the ranks.

    Attributes:
        rank: Its number, from 0; rank 0 writes and reports.
        size: The number of ranks, over all machines.
        local: Its number on this machine, from 0; it picks the accelerator.
    """

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def leads(self) -> bool:
        """Whether it is the rank that writes and reports."""
        return self.rank == 0


def sharing_asked() -> str:
    """Return who is to share weights out by the wish of `accelerate launch`, or of its configuration; "" for nobody."""
    asked = (name for variable, name in SHARING.items() if os.environ.get(variable, "").lower() in ("true", "1", "yes"))
    return next(asked, "")


def precision_asked() -> str:
    """Return the mixed precision that `accelerate launch` is to set up, such as "bf16"; "" for none."""
    asked = os.environ.get("ACCELERATE_MIXED_PRECISION", "").lower()
    return "" if asked in ("no", "none", "false") else asked


def place() -> Place:
    """Return where this process stands; rank 0 of 1 where no launcher, or one for a single process, has started it.

    Raises:
        SpecError: There are several ranks by `WORLD_SIZE`, and something else of a launcher is missing or wrong.
    """
    size = os.environ.get("WORLD_SIZE", "1")
    if size in ("", "0", "1"):
        return Place()
    if missing := [name for name in TOLD if not os.environ.get(name)]:
        raise SpecError(
            f"WORLD_SIZE is {size!r}, and {', '.join(missing)} is not set",
            where="environment",
            mend="start it by `torchrun`, `accelerate launch` or `--processes N`; or unset WORLD_SIZE for one process",
        )
    try:
        found = Place(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    except ValueError:
        found = Place(-1)
    if not (0 <= found.rank < found.size and found.local >= 0):
        said = ", ".join(f"{name}={os.environ[name]!r}" for name in TOLD[:3])
        mend = "RANK and LOCAL_RANK count from 0, and RANK stays below WORLD_SIZE"
        raise SpecError(f"these are not a rank: {said}", where="environment", mend=mend)
    return found
