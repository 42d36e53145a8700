"""`clbench context make`: rows of a generated world, with exact checks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clbench.cli.options import Lang, say
from clbench.core.errors import SpecError
from clbench.core.wording import tr


def make(
    out: Annotated[Path, typer.Option(help="The data set to write; it must not exist.")],
    task: Annotated[str, typer.Option(help="A task of a world with documents.")] = "world_facts_en_documents",
    contexts: Annotated[int, typer.Option(min=1, help="How many contexts.")] = 10,
    tasks: Annotated[int, typer.Option(min=1, help="Tasks in each context.")] = 4,
    sentences: Annotated[int, typer.Option(min=1, help="Sentences in each context.")] = 6,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same rows.")] = 0,
    lang: Lang = None,
) -> None:
    """Write rows of a generated world in the shape of CL-bench: invented names, and a check for each rubric."""
    from clbench.context.generated import generated_rows
    from clbench.context.rows import dumped, write_lines
    from clbench.data.tasks.task import open_task

    if out.exists():
        raise SpecError(f"{out} is there already", where="--out", mend="name another file, or delete it")
    rows = generated_rows(open_task(task, None), contexts, tasks, sentences, seed)
    say(tr("{path}: {num} rows", path=out, num=write_lines(out, (dumped(row) for row in rows))))
