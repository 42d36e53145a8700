"""`clbench list` and `clbench show`: list what exists, and show it as a model sees it."""

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
    name: Annotated[str, typer.Argument(help="A stream, task or exam card, or its path; or a learner.")],
    num: Annotated[int, typer.Argument(help="How many examples.", min=1)] = 3,
    data: Data = None,
    model: Annotated[str | None, typer.Option(help="Render and count tokens as this model does.")] = None,
) -> None:
    """Show a stream, a learner, or examples of a task or exam exactly as the model sees them."""
    from clbench.core import plugins
    from clbench.data.exams.show import examples_of, find
    from clbench.data.tasks.fetch import data_root

    if name in plugins.names("learner"):
        _show_learner(name)
        return

    root = data_root(data)
    kind, name = find(name)
    if kind == "streams":
        _show_stream(name, root)
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


def _show_learner(name: str) -> None:
    from clbench.cli.listing import learners

    row = next(row for row in learners() if row["name"] == name)
    for trait, value in row.items():
        said = ", ".join(map(str, value)) if isinstance(value, list) else value
        if trait != "settings" and said not in (None, ""):
            say(f"{trait}: {said}")


def _show_stream(name: str, root: Path | None) -> None:
    from clbench.data.streams.stream import open_stream
    from clbench.data.streams.summary import stream_outline
    from clbench.report.page.stream_page import lessons_table, similarity_table
    from clbench.report.tables.translations import TRANSLATIONS

    summary = stream_outline(open_stream(name, root))
    out = console()
    out.print(lessons_table(summary, TRANSLATIONS["en"]))
    alike = similarity_table(summary, TRANSLATIONS["en"])
    if alike is not None:
        out.print(alike)


def _net(model: str) -> Net:
    from clbench.core.extras import need_models
    from clbench.core.spec import Machine, ModelSpec

    need_models("showing what a model reads")
    from clbench.models.load import load_net

    name, _, revision = model.partition("@")
    return load_net(ModelSpec(name=name, revision=revision or None), Machine(store=Path()))
