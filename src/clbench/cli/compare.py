"""`clbench compare`: do two runs differ, by how much, and on which items?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clbench.cli.choosing import Learners, Models, RunNames, Streams, choice_of
from clbench.cli.options import Json, Lang, language, say, say_json
from clbench.cli.side_by_side import on_record, say_side_by_side, write_side_by_side
from clbench.core.errors import SpecError, did_you_mean

if TYPE_CHECKING:
    from clbench.report.runs.checkpoints import Checkpoint


def compare(
    paths: Annotated[list[Path], typer.Argument(help="Two or more result folders, or one that holds several methods.")],
    against: Annotated[str | None, typer.Option(help="The side that all others are compared with.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Compare these sides only (repeatable).")] = None,
    items: Annotated[
        int, typer.Option(min=0, help="Flipped items to show for each exam that differs, in each direction.")
    ] = 2,
    out: Annotated[
        Path | None,
        typer.Option(help="Also write an HTML report with the comparison: a folder, or a file that ends in .html."),
    ] = None,
    lang: Lang = None,
    as_json: Json = False,
    run: RunNames = None,
    stream: Streams = None,
    model: Models = None,
    learner: Learners = None,
) -> None:
    """Compare runs item by item: figures with intervals and p-values, and the items that flipped."""
    from clbench.report.decide.compare import comparisons, sides_of
    from clbench.report.decide.compare_text import comparison_json, comparison_text
    from clbench.report.decide.texts import TEXTS
    from clbench.report.page.html import write_page

    examined = on_record(paths, model, runs_only=bool(run or stream or learner))
    if examined.alone:
        _compare_checkpoints(examined.checkpoints, against, only or [], items, out, as_json)
        return
    sides = sides_of(examined.runs, only or [], choice_of(run, stream, model, learner))
    results = comparisons(sides, against, most_flips=max(items, 5))
    runs = [each for side in sides for each in side.runs]
    page = write_page(runs, out, "clbench compare", language(lang), results) if out is not None else None
    if as_json:
        say_json([comparison_json(c) for c in results])
        return
    texts = TEXTS[language(lang)]
    say("\n\n".join(comparison_text(c, items, texts) for c in results))
    if page is not None:
        say(texts["report_file"].format(path=page.resolve()))


def _compare_checkpoints(
    checkpoints: Sequence[Checkpoint],
    against: str | None,
    only: Sequence[str],
    items: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Compare checkpoints that `clbench exam` examined, with no stream."""
    from clbench.report.page.html import page_at

    labels = [c.label for c in checkpoints]
    for wanted in only:
        if wanted not in labels:
            raise SpecError(f"there is no side {wanted!r}", where="--only", mend=did_you_mean(wanted, labels))
    chosen = [c for c in checkpoints if not only or c.label in only]
    if len(chosen) < 2:
        raise SpecError("there is only one side", where="compare", mend="examine another: clbench exam A B")
    page = None if out is None else page_at(out, "checkpoints.html")
    if page is not None:
        write_side_by_side(chosen, against, page, "clbench compare")
    say_side_by_side(chosen, against, "json" if as_json else "table", items)
    if page is not None and not as_json:
        say(f"report: {page.resolve()}")
