"""`clbench list` and `clbench show`: what there is, and what it looks like to a model."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clbench.cli.options import Data, Json, say

if TYPE_CHECKING:
    from clbench.models.net import Net

What = Literal["learners", "tasks", "streams", "exams", "models", "metrics", "scorers"]


def list_(what: Annotated[What, typer.Argument(help="What to list.")], as_json: Json = False) -> None:
    """List learners, tasks, streams, exams, models, metrics or scorers."""
    rows = _rows(what)
    if as_json:
        say(json.dumps(dict(rows), indent=1, ensure_ascii=False))
        return
    width = max((len(name) for name, _ in rows), default=0)
    for name, about in rows:
        say(f"{name:<{width}}  {about}".rstrip())


def _rows(what: What) -> list[tuple[str, str]]:
    listers = {
        "learners": _learners,
        "scorers": _scorers,
        "metrics": _metrics,
        "models": _models,
        "tasks": _tasks,
        "streams": _streams,
        "exams": _exams,
    }
    return listers[what]()


def _learners() -> list[tuple[str, str]]:
    from clbench.core import plugins

    return [(n, _first_line(plugins.load("learner", n, "PLUGIN"))) for n in plugins.names("learner")]


def _scorers() -> list[tuple[str, str]]:
    from clbench.core import plugins
    from clbench.engine.mark import open_scorer

    return [(n, open_scorer(n).about) for n in plugins.names("scorer")]


def _metrics() -> list[tuple[str, str]]:
    from clbench.metrics import all_metrics

    return [(n, f"{p.symbol}: {(p.compute.__doc__ or '').splitlines()[0]}") for n, p in all_metrics().items()]


def _models() -> list[tuple[str, str]]:
    from clbench.models import tiny

    return [(n, "shipped; or any checkpoint folder, or a Hub id with a revision") for n in tiny.NAMES]


def _tasks() -> list[tuple[str, str]]:
    from clbench.data.card import list_cards, load_task_card

    found = [(n, load_task_card(n)) for n in list_cards("tasks")]
    return [(n, ("unverified: " if card.unverified else "") + _about(dict(card.about))) for n, card in found]


def _streams() -> list[tuple[str, str]]:
    from clbench.data.card import list_cards
    from clbench.data.streamcard import load_stream_card

    found = [(n, load_stream_card(n)) for n in list_cards("streams")]
    return [(n, f"{card.about.get('text', '')} [{card.listed}]".strip()) for n, card in found]


def _exams() -> list[tuple[str, str]]:
    from clbench.data.card import list_cards, load_exam_card

    found = [(n, load_exam_card(n)) for n in list_cards("exams")]
    return [(n, f"{c.kind}; in {', '.join(c.suites) or 'no suite'}") for n, c in found]


def _first_line(plugin: object) -> str:
    from importlib import import_module

    from clbench.core.protocols import LearnerPlugin

    if not isinstance(plugin, LearnerPlugin):
        return ""
    doc = import_module(plugin.config.__module__).__doc__ or ""
    return doc.strip().splitlines()[0]


def _about(about: dict[str, object]) -> str:
    return ", ".join(str(about[k]) for k in ("kind", "language", "domain", "license") if k in about)


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
    from rich.console import Console

    from clbench.data.outline import stream_outline
    from clbench.data.stream import open_stream
    from clbench.report.outline import outline_table, similarity_table
    from clbench.report.words import WORDS

    outline = stream_outline(open_stream(name, root))
    out = Console(width=None if sys.stdout.isatty() else 160)
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
