"""Options of the verbs that make a grid: where and how its units are made, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clbench.cli.options import Anyway, Data, Device, ExamBatch, Json, Lang, Memory, Place, byte_size, machine
from clbench.cli.run import kept
from clbench.cli.run_options import Kept, Limit, MicroBatch, Out, Recompute, Recorded, Workers

if TYPE_CHECKING:
    from clbench.core.spec import Machine

On = Annotated[
    str, typer.Option("--on", help="Where units are made: processes, ray or slurm, with options (slurm:max=64).")
]
Hours = Annotated[float | None, typer.Option("--max-hours", help="Most hours of the clock.", min=0.0)]


@dataclass(frozen=True)
class Making:
    """The options of `clbench grid run` and `clbench grid retry`."""

    data: Data = None
    store: Place = None
    workers: Workers = None
    device: Device = "auto"
    on: On = "processes"
    max_hours: Hours = None
    out: Out = Path("clbench-report")
    record: Recorded = None
    limit: Limit = None
    micro_batch: MicroBatch = None
    recompute: Recompute = False
    exam_batch: ExamBatch = 64
    memory: Memory = None
    anyway: Anyway = False
    keep: Kept = "all"
    lang: Lang = None
    as_json: Json = False

    def machine(self) -> Machine:
        """Return the machine that makes it.

        Raises:
            SpecError: A value is out of range, or there is no such place.
            ExtraError: The package of the place is not installed.
        """
        from clbench.engine.executors.execute import where_of

        how = {"limit_s": self.limit, "micro_batch": self.micro_batch, "recompute": self.recompute}
        how |= {"exam_batch": self.exam_batch, "memory": byte_size(self.memory), "anyway": self.anyway}
        found = machine(self.store, self.data, self.workers, self.device)
        return found.model_copy(update={**how, "keep": kept(self.keep), **where_of(self.on)})
