"""The options of `clbench run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Change = Annotated[list[str] | None, typer.Option("--set", help="Change a field: --set learner.lr=1e-3 (repeatable).")]
Limit = Annotated[float | None, typer.Option(help="Most seconds for one lesson with its exams.", min=1)]
MicroBatch = Annotated[
    int | None, typer.Option(help="Most examples that are learnt from at a time: less memory.", min=1)
]
Recompute = Annotated[
    bool, typer.Option("--recompute", help="Make activations again instead of keeping them: less memory.")
]
ExamServer = Annotated[
    str | None, typer.Option(help="Address of a server that writes the answers (recipe: exam_server).")
]
Serve = Annotated[str | None, typer.Option(help="Command that serves each state: 'vllm serve {folder} --port {port}'.")]
Probe = Annotated[
    bool, typer.Option("--probe", help="With --plan: learn 20 steps with each learner, to tell the time.")
]
Kept = Annotated[
    str, typer.Option("--keep", help="States that stay once a run is complete: all, last, branch (and the last).")
]
Out = Annotated[Path, typer.Option(help="Folder of the report, or a file that ends in .html.")]
Recorded = Annotated[Path | None, typer.Option(help="Also write the results here, to be committed to a repository.")]
Workers = Annotated[
    int | None, typer.Option(help="Processes side by side, one thread each (default: accelerators, or cores).")
]
Processes = Annotated[
    int | None, typer.Option(help="Processes that learn and answer together (default: as a launcher says).", min=1)
]
Providers = Annotated[
    list[str] | None, typer.Option("--provider", help="Where a provider's API is: NAME=https://HOST/v1 (repeatable).")
]
Shard = Annotated[
    bool, typer.Option("--shard", help="Share weights, gradients and moments out over the processes (FSDP).")
]
