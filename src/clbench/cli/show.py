"""`clbench list` and `clbench show`: list what exists, and show it as a model sees it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clbench.cli.options import Data, Json, Lang, say, say_json
from clbench.cli.terminal import console
from clbench.core.wording import in_english, spoken, tr

if TYPE_CHECKING:
    from clbench.models.net import Net
    from clbench.report.runs.item_histories import Fate

What = Literal["learners", "tasks", "streams", "exams", "models", "metrics", "scorers"]


def list_(
    what: Annotated[What, typer.Argument(help="What to list.")], lang: Lang = None, as_json: Json = False
) -> None:
    """List learners, tasks, streams, exams, models, metrics or scorers."""
    from clbench.cli.listing import LISTERS, line_of

    if as_json:
        with in_english():
            rows = LISTERS[what]()
        say_json({row["name"]: row for row in rows})
        return
    rows = LISTERS[what]()
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        say(f"{row['name']:<{width}}  {line_of(what, row)}".rstrip())


def show(
    name: Annotated[str, typer.Argument(help="A stream, task or exam card, or its path; a learner; or a result.")],
    num: Annotated[int, typer.Argument(help="How many examples.", min=1)] = 3,
    data: Data = None,
    model: Annotated[str | None, typer.Option(help="Render and count tokens as this model does.")] = None,
    forgotten: Annotated[
        bool, typer.Option("--forgotten", help="Of a result: items known once, not at the end.")
    ] = False,
    learnt: Annotated[
        bool, typer.Option("--learnt", help="Of a result: items not known at first, known at the end.")
    ] = False,
    never: Annotated[bool, typer.Option("--never", help="Of a result: items wrong from their lesson on.")] = False,
    exam: Annotated[list[str] | None, typer.Option(help="Of a result: this exam alone (repeatable).")] = None,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Show a stream, a learner, examples of a task or exam as the model sees them, or single items of a result."""
    if _of_result(name, forgotten=forgotten, learnt=learnt, never=never, exam=exam, as_json=as_json, num=num):
        return
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
            say(tr("({num} tokens with the target)", num=net.length(example)))
        say(f"[{tr('target')}] {' | '.join(example.targets)}")
        if example.choices:
            say(f"[{tr('choices')}] {', '.join(example.choices[:20])}{' ...' if len(example.choices) > 20 else ''}")


def _of_result(
    name: str, *, forgotten: bool, learnt: bool, never: bool, exam: list[str] | None, as_json: bool, num: int
) -> bool:
    """Show items of a result, and return whether the options ask for that.

    Raises:
        SpecError: They ask for several fates at once, or for details of a result without saying which items.
    """
    from clbench.cli.show_items import show_items
    from clbench.core.errors import SpecError
    from clbench.report.runs.result_file import find_results

    fates: dict[Fate, bool] = {"forgotten": forgotten, "learnt": learnt, "never": never}
    chosen: list[Fate] = [fate for fate, asked in fates.items() if asked]
    is_result = Path(name).exists() and bool(find_results(Path(name)))
    if len(chosen) > 1:
        raise SpecError(f"--{chosen[0]} and --{chosen[1]} cannot be shown at once", where="show", mend="name one")
    if not chosen and (is_result or exam or as_json):
        mend = "add --forgotten, --learnt or --never; all figures: clbench report RESULT"
        raise SpecError("it is not said which items of a result to show", where=name, mend=mend)
    if chosen:
        show_items(Path(name), chosen[0], exam or [], num, as_json=as_json)
    return bool(chosen)


def _show_learner(name: str) -> None:
    from clbench.cli.listing import learners

    row = next(row for row in learners() if row["name"] == name)
    for trait, value in row.items():
        said = ", ".join(map(str, value)) if isinstance(value, list) else value
        if trait != "settings" and said not in (None, ""):
            say(f"{tr(trait)}{tr(': ')}{tr(str(said))}")


def _show_stream(name: str, root: Path | None) -> None:
    from clbench.data.streams.stream import open_stream
    from clbench.data.streams.summary import stream_summary
    from clbench.report.page.stream_page import lessons_table, similarity_table
    from clbench.report.tables.translations import TRANSLATIONS

    summary = stream_summary(open_stream(name, root))
    out = console()
    out.print(lessons_table(summary, TRANSLATIONS[spoken()]))
    alike = similarity_table(summary, TRANSLATIONS[spoken()])
    if alike is not None:
        out.print(alike)


def _net(model: str) -> Net:
    from clbench.core.extras import need_models
    from clbench.core.spec import Machine, ModelSpec

    need_models("showing what a model reads")
    from clbench.models.load import load_net

    name, _, revision = model.partition("@")
    return load_net(ModelSpec(name=name, revision=revision or None), Machine(store=Path()))
