"""`clbench advise`: which method, under these constraints?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clbench.cli.options import Json, Lang, Language, language, say, say_json
from clbench.core.errors import SpecError
from clbench.core.traits import ModelFamily

if TYPE_CHECKING:
    from clbench.report.decide.advise import Advice
    from clbench.report.runs.load import RunRecord

SIZES = {"": 1.0, "b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def advise(
    paths: Annotated[list[Path], typer.Argument(help="Result folders, or folders that hold some.")],
    stored_data: Annotated[
        bool, typer.Option("--stored-data/--no-stored-data", help="Whether users' examples may be stored.")
    ] = True,
    max_memory: Annotated[str | None, typer.Option(help="Largest memory, such as 24GB.")] = None,
    max_kept: Annotated[str | None, typer.Option(help="Most bytes kept beside the weights, such as 100MB.")] = None,
    max_hours: Annotated[
        float | None, typer.Option(min=0, metavar="HOURS", help="Most hours of learning, 0 or more.")
    ] = None,
    max_ability_drop: Annotated[
        str | None, typer.Option(metavar="DROP", help="Largest drop of general ability, such as 10pp.")
    ] = None,
    task_identity: Annotated[
        Literal["unknown", "known", "any"],
        typer.Option(metavar="WHICH", help="Whether a question comes with its task id: unknown, known, any."),
    ] = "any",
    for_model: Annotated[
        str | None, typer.Option("--for", help="Model that the method is for: what it cannot use is excluded.")
    ] = None,
    stream: Annotated[str | None, typer.Option(help="Which stream, where runs are of several.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Also write an HTML report of the methods within the limits: a folder, or a file that ends in .html."
        ),
    ] = None,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Recommend a method from measured results: those within the limits, and why the others are excluded."""
    from clbench.cli.gate import points
    from clbench.report.decide import advise as advice
    from clbench.report.runs.groups import group_runs
    from clbench.report.runs.load import load_runs

    runs = _of_one_scenario(load_runs(paths), stream)
    limits = advice.Limits(
        stored_data=stored_data,
        task_known={"unknown": False, "known": True, "any": None}[task_identity],
        memory_bytes=None if max_memory is None else size(max_memory, "--max-memory"),
        kept_bytes=None if max_kept is None else size(max_kept, "--max-kept"),
        hours=max_hours,
        ability_drop=None if max_ability_drop is None else points(max_ability_drop, "--max-ability-drop"),
        family=None if for_model is None else _family(for_model),
    )
    found = advice.advise(group_runs(runs), limits)
    say_json(advice.as_json(found)) if as_json else say(advice.as_table(found, language(lang)))
    if out is not None and found.ranked:
        _write(found, out, language(lang), as_json)


def _write(found: Advice, out: Path, lang: Language, as_json: bool) -> None:
    from clbench.report.decide.texts import TEXTS
    from clbench.report.page.html import write_page

    page = write_page([r for g in found.ranked for r in g.runs], out, "clbench advise", lang)
    if not as_json:
        say(TEXTS[lang]["report_file"].format(path=page.resolve()))


def _of_one_scenario(runs: Sequence[RunRecord], stream: str | None) -> list[RunRecord]:
    """Return the runs of one stream and model.

    Raises:
        SpecError: There are none, or they are of several.
    """
    found = [r for r in runs if stream is None or r.spec.stream == stream]
    scenarios = sorted({f"{r.spec.stream} with {r.spec.model.name}" for r in found})
    if len(scenarios) != 1:
        several = f"runs of {len(scenarios)} streams and models: {', '.join(scenarios)}"
        what = several if scenarios else "there is no such run"
        raise SpecError(what, where="--stream", mend="name one stream; compare models one by one")
    return found


def _family(model: str) -> ModelFamily:
    """Return the family of a model, by its configuration alone."""
    from clbench.core.spec import ModelSpec
    from clbench.models import source

    name, _, revision = (model, "", "") if Path(model).exists() else model.partition("@")
    spec = source.settled(ModelSpec(name=name, revision=revision or None))
    return source.family_of(spec, source.configuration(spec).get("architectures") or [])


def size(text: str, where: str) -> float:
    """Read a size: "24GB", "500 MB", "1e9".

    Raises:
        SpecError: It is not a valid size.
    """
    found = re.fullmatch(r"\s*([0-9.]+(?:[eE][0-9]+)?)\s*([A-Za-z]*)\s*", text)
    if found is None or found[2].lower() not in SIZES:
        raise SpecError(f"{text!r} is not a valid size", where=where, mend="for example 24GB")
    try:
        return float(found[1]) * SIZES[found[2].lower()]
    except ValueError:
        raise SpecError(f"{text!r} is not a valid size", where=where, mend="for example 24GB") from None
