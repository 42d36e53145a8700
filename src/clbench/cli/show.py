"""`clbench list` and `clbench show`: what there is, and what it looks like to a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clbench.cli.options import Data, Json, say, say_json
from clbench.cli.terminal import console

if TYPE_CHECKING:
    from clbench.models.net import Net

What = Literal["learners", "tasks", "streams", "exams", "models", "metrics", "scorers"]


def list_(what: Annotated[What, typer.Argument(help="What to list.")], as_json: Json = False) -> None:
    """List learners, tasks, streams, exams, models, metrics or scorers."""
    from clbench.cli.listing import LISTERS, line_of

    rows = LISTERS[what]()
    if as_json:
        say_json({row["name"]: row for row in rows})
        return
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        say(f"{row['name']:<{width}}  {line_of(what, row)}".rstrip())


def show(
    name: Annotated[str, typer.Argument(help="A stream, task or exam card, or its path.")],
    num: Annotated[int, typer.Argument(help="How many examples.", min=1)] = 3,
    data: Data = None,
    model: Annotated[str | None, typer.Option(help="Render and count tokens as this model does.")] = None,
) -> None:
    """Draw a stream, or show examples of a task or exam exactly as the model sees them."""
    from clbench.data.fetch import data_root
    from clbench.data.show import examples_of, find

    root = data_root(data)
    kind, name = find(name)
    if kind == "streams":
        _draw(name, root)
        return
    net = _net(model) if model else None
    for place, example in examples_of(name, num, root):
        say(f"--- {place} {example.id}")
        if net is None:
            for message in example.prompt:
                say(f"[{message.role}] {message.content}")
        else:
            say(net.render(example.prompt))
            say(f"({net.length(example)} tokens with the target)")
        say(f"[target] {' | '.join(example.targets)}")
        if example.choices:
            say(f"[choices] {', '.join(example.choices[:20])}{' ...' if len(example.choices) > 20 else ''}")


def _draw(name: str, root: Path | None) -> None:
    from clbench.data.outline import stream_outline
    from clbench.data.stream import open_stream
    from clbench.report.outline import outline_table, similarity_table
    from clbench.report.words import WORDS

    outline = stream_outline(open_stream(name, root))
    out = console()
    out.print(outline_table(outline, WORDS["en"]))
    alike = similarity_table(outline, WORDS["en"])
    if alike is not None:
        out.print(alike)


def _net(model: str) -> Net:
    from clbench.core.extras import need_models
    from clbench.core.spec import Machine, ModelSpec

    need_models("showing what a model reads")
    from clbench.models.net import load_net

    name, _, revision = model.partition("@")
    return load_net(ModelSpec(name=name, revision=revision or None), Machine(store=Path()))
