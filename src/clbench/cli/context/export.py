"""`clbench context export`: full files for a submission, slim ones to keep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clbench.cli.context.asking import keep_apart
from clbench.cli.options import Lang, say
from clbench.core.errors import SpecError
from clbench.core.wording import tr


def export(
    input_: Annotated[Path, typer.Option("--input", help="Answers or grades, full or slim.")],
    output: Annotated[Path, typer.Option(help="The file to write.")],
    format_: Annotated[
        Literal["upstream", "slim"],
        typer.Option("--format", help="upstream: the public scripts' fields; slim: without the data set's texts."),
    ] = "upstream",
    dataset: Annotated[Path | None, typer.Option(help="The data set that slim rows belong to.")] = None,
    shard_mb: Annotated[int, typer.Option(min=1, help="Most megabytes in one file.")] = 95,
    lang: Lang = None,
) -> None:
    """Write answers or grades in another form, nothing lost on the way."""
    from clbench.context.export import export_public, export_slim
    from clbench.context.rows import read_index, require_sound

    keep_apart([input_, dataset], output)
    index = require_sound(read_index(input_))
    source = None if dataset is None else require_sound(read_index(dataset))
    if format_ == "slim":
        if source is None:
            raise SpecError("a slim file names its data set", where="--dataset", mend="name the file that was answered")
        say(tr("{path}: {num} rows", path=output, num=export_slim(index, source, output)))
        return
    for path in export_public(index, source, output, shard_mb):
        say(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
