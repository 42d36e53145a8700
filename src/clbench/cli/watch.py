"""`clbench watch`: does something decline over many rounds?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from clbench.cli.options import Json, say
from clbench.core.errors import SpecError

ALARM = 2


def watch(
    path: Annotated[Path, typer.Argument(help="A store, a result folder, or a folder that holds some.")],
    first: Annotated[int, typer.Option(min=2, help="Rounds that say how it was.")] = 5,
    rate: Annotated[float, typer.Option(min=1e-4, max=0.5, help="False-alarm rate over all series and rounds.")] = 0.05,
    only: Annotated[list[str] | None, typer.Option(help="Watch these runs only (repeatable).")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the trends as an HTML page here.")] = None,
    as_json: Json = False,
) -> None:
    """Show the trend of every ability, and ring where one declines: exit 0 quiet, 2 alarm, 3 usage, 1 error."""
    from clbench.report import watch as made
    from clbench.report.gather import distinct, read_runs
    from clbench.store.history import history

    passed = history(path) if path.is_dir() else []
    runs = read_runs([path]) if not passed or (path / "runs").is_dir() else []
    runs = distinct([r for r in runs if not only or r.spec.name in only])
    series = [*made.run_series(runs), *(made.gate_series(passed) if not only else [])]
    if not series:
        raise SpecError("there is nothing to watch", where=str(path), mend="name a store with runs or gates")
    found = made.watched(series, first, rate)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "watch.html").write_text(made.watch_page(found, rate), encoding="utf-8")
    say(json.dumps(made.as_json(found, rate), indent=1) if as_json else made.as_table(found, rate))
    if out is not None and not as_json:
        say(f"page: {(out / 'watch.html').resolve()}")
    if any(w.alarm for w in found):
        raise typer.Exit(ALARM)
