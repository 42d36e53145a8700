"""`clbench watch`: does an ability decline over many checkpoints?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clbench.cli.options import Json, Lang, language, say, say_json
from clbench.core.errors import SpecError

ALARM, NOT_WATCHED = 2, 4


def watch(
    path: Annotated[Path, typer.Argument(help="A store, a result folder, or a folder that holds some.")],
    first: Annotated[
        int, typer.Option(min=2, help="Number of first checkpoints that later ones are compared with.")
    ] = 5,
    rate: Annotated[
        float, typer.Option(min=1e-4, max=0.5, help="False-alarm rate over all series and checkpoints.")
    ] = 0.05,
    only: Annotated[list[str] | None, typer.Option(help="Watch these runs only (repeatable).")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Also write the trends as an HTML page: a folder, or a file that ends in .html.")
    ] = None,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Show every ability's trend; exit 0 quiet, 2 alarm, 4 too few checkpoints, 3 usage, 1 error."""
    from clbench.report.decide import watch as trends
    from clbench.report.decide import watch_text
    from clbench.report.decide.texts import TEXTS
    from clbench.report.page.html import page_at
    from clbench.report.runs.load import distinct, read_runs
    from clbench.store.history import history

    tested = history(path) if path.is_dir() else []
    runs = read_runs([path]) if not tested or (path / "runs").is_dir() else []
    runs = distinct([r for r in runs if not only or r.spec.name in only])
    series = [*trends.run_series(runs), *(trends.gate_series(tested) if not only else [])]
    if not series:
        raise SpecError("there is nothing to watch", where=str(path), mend="name a store with runs or gate results")
    found = trends.watch_series(series, first, rate)
    chosen = language(lang)
    say_json(watch_text.as_json(found, rate)) if as_json else say(watch_text.as_table(found, rate, TEXTS[chosen]))
    if out is not None:
        page = page_at(out, "watch.html")
        page.write_text(watch_text.watch_page(found, rate, lang=chosen, first=first), encoding="utf-8")
        if not as_json:
            say(TEXTS[chosen]["page"].format(path=page.resolve()))
    states = {w.state for w in found}
    if code := ALARM if "alarm" in states else NOT_WATCHED if "not watched" in states else 0:
        raise typer.Exit(code)
