"""The pages that are shown: results, one run each, the leaderboard, and what a store is at."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from clbench.core.errors import DataError, UserError
from clbench.report.page.html import html_report
from clbench.report.page.leaderboard import build_site, entries
from clbench.report.runs.groups import Group, group_runs
from clbench.report.runs.leaders import is_bound
from clbench.report.runs.load import RunRecord, load_runs
from clbench.report.runs.result_file import files_of, find_results
from clbench.view.progress import is_store, progress
from clbench.view.server import Page
from clbench.view.texts import TEXTS

AP = "average_performance"
HTML = "text/html; charset=utf-8"
KINDS = {
    ".html": HTML,
    ".json": "application/json",
    ".yaml": "text/plain; charset=utf-8",
    ".parquet": "application/octet-stream",
}


class Pages:
    """Makes pages when they are asked for, and again when results have changed."""

    def __init__(self, place: Path, lang: str) -> None:
        """Show what lies at a place.

        Args:
            place: A store, a result, or a folder of results.
            lang: "en" or "zh".

        Raises:
            DataError: There is nothing there.
        """
        if not place.exists() or not (find_results(place) or is_store(place)):
            what = "there is no store and no result here"
            raise DataError(what, where=str(place), mend="clbench run demo makes one; clbench demo --replay shows one")
        self._place, self._lang, self._texts = place, lang, TEXTS[lang]
        self._lock = threading.RLock()
        self._stamp: object = None
        self._runs: list[RunRecord] = []
        self._groups: list[Group] = []
        self._made: dict[str, Page] = {}
        self._wrong = ""

    def find(self, path: str) -> Page | None:
        """Return the page of a path; None where there is none."""
        if path == "progress.json":
            return Page("application/json", json.dumps(self._progress()).encode())
        with self._lock:
            self._renew()
            if path == "":
                return self._index()
            if path not in self._made:
                self._make(path)
            return self._made.get(path)

    def _renew(self) -> None:
        """Read the results again if a file of them has changed."""
        places = find_results(self._place)
        stamp = [(str(f), f.stat().st_mtime_ns) for place in places for f in files_of(place) if f.is_file()]
        if stamp == self._stamp:
            return
        self._stamp, self._made, self._runs, self._groups, self._wrong = stamp, {}, [], [], ""
        if places:
            try:
                self._runs = load_runs([self._place])
                self._groups = group_runs(self._runs)
            except UserError as error:
                self._wrong = str(error)

    def _make(self, path: str) -> None:
        if not self._runs:
            return
        name = path.removeprefix("runs/")
        own = [run for run in self._runs if run.name == name] if path.startswith("runs/") else []
        if own:
            self._keep(path, lambda: html_report(own, own[0].spec.name, self._lang))
        elif path == "report":
            self._keep(path, lambda: html_report(self._runs, self._place.name or "clbench", self._lang))
        elif path.startswith("leaderboard/") and "leaderboard/" not in self._made:
            self._board()

    def _keep(self, path: str, draw: Callable[[], str]) -> None:
        self._made[path] = Page(HTML, draw().encode())

    def _board(self) -> None:
        """Draw the leaderboard; nothing of it is verified, as these are the user's own results."""
        with TemporaryDirectory(prefix="clbench-board-") as folder:
            site = Path(folder) / "site"
            site.mkdir()
            build_site(entries(self._runs, {}), site, self._texts["board"])
            for file in (f for f in site.rglob("*") if f.suffix in KINDS and f.is_file()):
                name = file.relative_to(site).as_posix().removesuffix("index.html")
                self._made[f"leaderboard/{name}"] = Page(KINDS[file.suffix], file.read_bytes())

    def _index(self) -> Page:
        environment = Environment(
            loader=PackageLoader("clbench.view"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        page = environment.get_template("index.html.jinja").render(
            lang=self._lang,
            t=self._texts,
            place=str(self._place.resolve()),
            wrong=self._wrong,
            scenarios=_scenarios(self._groups),
            progress=self._progress(),
            live=is_store(self._place),
        )
        return Page(HTML, page.encode())

    def _progress(self) -> dict[str, Any]:
        return {**progress(self._place), "runs": len(find_results(self._place))}


Row = tuple[str, str, list[tuple[int, str]], bool]


def _scenarios(groups: Sequence[Group]) -> list[tuple[str, list[Row]]]:
    """Return (stream and model, rows of it), each (label, AP, its runs as (seed, name), whether it is a bound).

    Bounds stand behind the methods.
    """
    found: dict[str, list[Row]] = {}
    for group in sorted(groups, key=is_bound):
        spec = group.runs[0].spec
        runs = sorted((run.spec.seed, run.name) for run in group.runs)
        row = (group.label, _score(group), runs, is_bound(group))
        found.setdefault(f"{spec.stream} · {spec.model.name}", []).append(row)
    return list(found.items())


def _score(group: Group) -> str:
    value = group.score(AP)
    return "–" if math.isnan(value) else f"{100 * value:.1f}"
