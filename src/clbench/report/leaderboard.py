"""A leaderboard as a static site: one table, a page for every row, and the files behind it."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from clbench.core.budget import due_columns
from clbench.core.keys import digest
from clbench.metrics import all_metrics
from clbench.report.facts import SAID, facts
from clbench.report.gather import Group, RunRecord, group_runs
from clbench.report.html import html_report
from clbench.report.safe import plain
from clbench.report.table import TABLE, printed
from clbench.report.vouched import doubts
from clbench.stats.bootstrap import UNKNOWN

FIGURES = (*TABLE, "train_flops")
FILES = ("spec.yaml", "stream.json", "matrix.json", "items.json", "scores.json", "meters.json", "provenance.json")
WEIGHTS = ((1e9, "B"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True)
class Entry:
    """One row: a method on a stream with a model, over its seeds.

    Attributes:
        id: Name of its page.
        group: Its runs.
        why_not: Why it is out of the ranking; empty if it is in.
        missing: (cells that are due and not there, cells that are due).
        rank: Within its scenario and model, by AP; None out of the ranking.
    """

    id: str
    group: Group
    why_not: tuple[str, ...]
    missing: tuple[int, int]
    rank: int | None = None


def entries(runs: Sequence[RunRecord], wrong: Mapping[Path, Sequence[str]]) -> list[Entry]:
    """Make the rows, ranked within stream and model; what is out of the ranking comes last.

    Args:
        runs: All results.
        wrong: Folder -> what does not fit in that result; see `clbench.engine.verify`.
    """
    found = [_entry(group, wrong) for group in group_runs(runs)]
    ranked: dict[tuple[str, str], list[Entry]] = {}
    for entry in found:
        if not entry.why_not:
            ranked.setdefault(_scenario(entry.group), []).append(entry)
    places = {e.id: place for members in ranked.values() for place, e in enumerate(sorted(members, key=_ap), start=1)}
    placed = [Entry(e.id, e.group, e.why_not, e.missing, places.get(e.id)) for e in found]
    return sorted(placed, key=lambda e: (_scenario(e.group), e.rank is None, e.rank or 0, e.group.label))


def _ap(entry: Entry) -> float:
    return -entry.group.scores["average_performance"]


def _scenario(group: Group) -> tuple[str, str]:
    spec = group.runs[0].spec
    return spec.stream, spec.model.name


def _entry(group: Group, wrong: Mapping[Path, Sequence[str]]) -> Entry:
    spec = group.runs[0].spec
    missing, due = missing_cells(group.runs)
    why: list[str] = []
    for run in group.runs:
        why += [f"{run.spec.name}: {text}" for text in wrong.get(run.folder, ())[:3]]
        why += [f"{run.spec.name}: {text}" for text in unpinned(run)]
    if missing:
        why.append(f"{missing} of {due} cells that are due are missing")
    if math.isnan(group.scores.get("average_performance", math.nan)):
        why.append("its average performance is not known")
    same = spec.model_copy(update={"seed": 0, "name": "x"})
    name = f"{spec.learner_name.partition(':')[0].replace('/', '-')}-{digest(same)[:10]}"
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in name)
    return Entry(safe, group, tuple(dict.fromkeys(why)), (missing, due))


def missing_cells(runs: Sequence[RunRecord]) -> tuple[int, int]:
    """Count the cells that are due and not there, and those that are due."""
    missing = due = 0
    for run in runs:
        last = run.matrix.num_lessons
        for step in range(last + 1):
            columns = list(due_columns(run.matrix.columns, step, last, run.spec.budget))
            due += len(columns)
            missing += int(np.isnan(run.matrix.values[step, columns]).sum())
    return missing, due


def unpinned(run: RunRecord) -> list[str]:
    """Say why nobody could make a result again exactly as it was."""
    found = doubts(run)
    if "@" in run.spec.learner_name or ".py" in run.spec.learner_name:
        found.append("the learner is a file of its author's own")
    return found


def build_site(rows: Sequence[Entry], site: Path, title: str) -> Path:
    """Write the site into a folder of its own; give the path of its first page.

    Every row has a page (matrices, items, spec, command) and the files of its runs beside it.
    """
    for old in ("pages", "runs"):
        shutil.rmtree(site / old, ignore_errors=True)
    (site / "pages").mkdir(parents=True)
    for row in rows:
        page = site / "pages" / f"{row.id}.html"
        page.write_text(html_report(row.group.runs, f"{row.group.label} · {_scenario(row.group)[0]}"), encoding="utf-8")
        for run in row.group.runs:
            target = site / "runs" / run.folder.name
            target.mkdir(parents=True, exist_ok=True)
            for name in FILES:
                shutil.copyfile(run.folder / name, target / name)
    environment = Environment(
        loader=PackageLoader("clbench.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    shown = [_shown(row) for row in rows]
    text = environment.get_template("leaderboard.html.jinja").render(
        title=title,
        figures=[(all_metrics()[n].symbol, all_metrics()[n].better, _about(n)) for n in FIGURES],
        rows=shown,
        choices={field: sorted({str(row[field]) for row in shown}) for field in FILTERS},
    )
    (site / "index.html").write_text(plain(text), encoding="utf-8")
    (site / "leaderboard.json").write_text(
        json.dumps([_values(row) for row in rows], indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return site / "index.html"


FILTERS = ("scenario", "kind", "model", "size", "family", "told", "stores")


def _about(name: str) -> str:
    return " ".join((all_metrics()[name].compute.__doc__ or "").split())


def _shown(row: Entry) -> dict[str, Any]:
    """Give a row as texts."""
    group, known = row.group, facts(row.group.runs[0].spec.learner, row.group.runs[0].provenance)
    first = group.runs[0]
    told = {True: "needs it", None: "not known", False: "not needed"}[known.needs_task]
    cells: list[tuple[str, str]] = []
    for name in FIGURES:
        value, unit = group.scores.get(name, math.nan), all_metrics()[name].unit
        half = group.intervals.get(name, UNKNOWN).half
        text = printed(value, unit)
        with_half = text if math.isnan(half) or math.isnan(value) else f"{text} ± {printed(half, unit)}"
        cells.append((with_half, "" if math.isnan(value) else repr(value)))
    return {
        "id": row.id,
        "rank": row.rank,
        "label": plain(group.label),
        "scenario": plain(first.spec.stream),
        "model": plain(first.spec.model.name),
        "kind": plain(_kind(first)),
        "size": _size(first.meters.parameters_by_step),
        "family": known.family or "own",
        "told": "told" if first.outline.reveals == "task" else told,
        "stores": SAID[known.stores],
        "seeds": len(group.runs),
        "cells": cells,
        "missing": f"{row.missing[0]} of {row.missing[1]}" if row.missing[0] else "",
        "why_not": [plain(text) for text in row.why_not],
        "runs": [
            (
                plain(r.spec.name),
                r.folder.name,
                plain(" ".join(["clbench", *map(str, r.provenance.get("arguments", []))])),
            )
            for r in group.runs
        ],
    }


def _kind(run: RunRecord) -> str:
    """Give the family of a model by its configuration: llama, hunyuan_v1_dense, bert, ..."""
    model = run.provenance.get("model")
    kind = model.get("type") if isinstance(model, dict) else None
    return str(kind or run.spec.model.family)


def _size(parameters: Sequence[int]) -> str:
    if not parameters or not parameters[0]:
        return "–"
    value = float(parameters[0])
    size, name = next(((size, name) for size, name in WEIGHTS if value >= size), (1.0, ""))
    return f"{value / size:.3g}{name}"


def _values(row: Entry) -> dict[str, Any]:
    spec = row.group.runs[0].spec
    scores = {n: row.group.scores.get(n, math.nan) for n in FIGURES}
    return {
        "id": row.id,
        "rank": row.rank,
        "learner": dict(spec.learner),
        "stream": spec.stream,
        "model": spec.model.model_dump(mode="json"),
        "seeds": sorted(r.spec.seed for r in row.group.runs),
        "scores": {n: None if math.isnan(v) else v for n, v in scores.items()},
        "missing_cells": row.missing[0],
        "due_cells": row.missing[1],
        "out_of_ranking": list(row.why_not),
        "runs": [r.folder.name for r in row.group.runs],
    }
