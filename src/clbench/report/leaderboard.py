"""A leaderboard as a static site: one table, a page for every row, and the files behind it."""

from __future__ import annotations

import itertools
import json
import math
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from clbench.core.budget import due_columns
from clbench.core.errors import DataError
from clbench.core.keys import digest
from clbench.core.notice import notice
from clbench.metrics import all_metrics
from clbench.models import tiny
from clbench.report.facts import SAID, facts
from clbench.report.gather import Group, RunRecord, group_runs
from clbench.report.html import html_report
from clbench.report.safe import plain
from clbench.report.table import TABLE, printed
from clbench.report.vouched import doubts
from clbench.stats.bootstrap import UNKNOWN

FIGURES = (*TABLE, "train_flops")
FILES = ("spec.yaml", "stream.json", "matrix.json", "items.json", "scores.json", "meters.json", "provenance.json")
OLD = ("pages", "runs")  # folders of a site, made anew
WEIGHTS = ((1e9, "B"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True)
class Entry:
    """One row: a method on a stream with a model, over its seeds.

    Attributes:
        id: Name of its page.
        group: Its runs.
        why_not: Why it is out of the ranking; empty if it is in.
        missing: (cells that are due and not there, cells that are due).
        rank: Among rows of its scenario and model that were asked the same, by AP; None out of the ranking.
        asked: Digest of what its own tasks asked, and of the model, where others of its scenario and model differ.
    """

    id: str
    group: Group
    why_not: tuple[str, ...]
    missing: tuple[int, int]
    rank: int | None = None
    asked: str = ""


def entries(runs: Sequence[RunRecord], wrong: Mapping[Path, Sequence[str]]) -> list[Entry]:
    """Make the rows, ranked within stream and model; what is out of the ranking comes last.

    Args:
        runs: All results.
        wrong: Folder -> what does not fit in that result; see `clbench.engine.verify`.
    """
    right, edited = ([r for r in runs if (r.folder in wrong) is is_wrong] for is_wrong in (False, True))
    # What does not fit stands by itself: it must not take the other seeds of its method out of the ranking.
    found = [_entry(group, wrong) for group in group_runs(right)]
    found = _told_apart([*found, *(entry for run in edited for entry in _alone(run, wrong))])
    ranked: dict[tuple[str, str], dict[str, list[Entry]]] = {}
    for entry in found:
        if not entry.why_not:
            ranked.setdefault(_scenario(entry.group), {}).setdefault(_asked(entry.group.runs[0]), []).append(entry)
    places: dict[str, tuple[int, str]] = {}
    for alike in ranked.values():
        for asked, members in alike.items():
            told = asked if len(alike) > 1 else ""
            places |= {e.id: (place, told) for place, e in enumerate(sorted(members, key=_ap), start=1)}
    placed = [replace(e, rank=places[e.id][0], asked=places[e.id][1]) if e.id in places else e for e in found]
    return sorted(placed, key=lambda e: (_scenario(e.group), e.rank is None, e.asked, e.rank or 0, e.group.label))


def _alone(run: RunRecord, wrong: Mapping[Path, Sequence[str]]) -> list[Entry]:
    """Make the row of one edited result; none where its values are so odd that no figure can be made of them."""
    try:
        return [_entry(group, wrong) for group in group_runs([run])]
    except Exception as error:
        notice(f"{run.folder} is left out: {type(error).__name__}: {str(error)[:200]}")
        return []


def _told_apart(found: Sequence[Entry]) -> list[Entry]:
    """Give every row a page of its own, also where edited results stand beside true ones of the same spec."""
    seen: Counter[str] = Counter()
    told: list[Entry] = []
    for entry in found:
        seen[entry.id] += 1
        told.append(replace(entry, id=f"{entry.id}-{seen[entry.id]}") if seen[entry.id] > 1 else entry)
    return told


def _ap(entry: Entry) -> float:
    return -entry.group.scores["average_performance"]


def _scenario(group: Group) -> tuple[str, str]:
    spec = group.runs[0].spec
    return spec.stream, spec.model.name


def _asked(run: RunRecord) -> str:
    """Return a digest of what AP rests on: the questions of the own tasks, all or some of them, and whose model it is.

    Two cards of one name, exams cut to a few questions, and two checkpoints of one path cannot be compared.
    """
    digests = {sheet.exam: sheet.digest for sheet in run.sheets.sheets}
    own = [(c.name, c.size, digests.get(c.name, "")) for c in run.matrix.columns if c.kind == "own"]
    model = run.provenance.get("model")
    known = model.get("identity") if isinstance(model, dict) and run.spec.model.name not in tiny.NAMES else None
    return digest([own, known])[:8]


def _entry(group: Group, wrong: Mapping[Path, Sequence[str]]) -> Entry:
    spec = group.runs[0].spec
    missing, due = missing_cells(group.runs)
    why: list[str] = []
    for run in group.runs:
        why += [f"{run.spec.name}: {text}" for text in wrong.get(run.folder, ())[:3]]
        why += [f"{run.spec.name}: {text}" for text in unpinned(run)]
    if missing:
        why.append(f"{missing} of {due} cells that are due are missing")
    if len(set(map(_asked, group.runs))) > 1:
        why.append("its seeds were asked different questions, or are of different models")
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

    Every row has a page (matrices, items, spec, command) and the files of its runs beside it. A row that cannot be
    drawn is left out with a notice: what one result holds stops no other.

    Raises:
        DataError: The folder holds `pages` or `runs` that are no site's: they would be lost.
    """
    if not (site / "leaderboard.json").is_file() and (foreign := [n for n in OLD if (site / n).exists()]):
        what = f"holds {' and '.join(foreign)}, and is no site that clbench has written"
        raise DataError(what, where=str(site), mend="name another folder with --out")
    for old in OLD:
        shutil.rmtree(site / old, ignore_errors=True)
    (site / "pages").mkdir(parents=True)
    folders: set[str] = set()
    drawn = [(row, found) for row in rows if (found := _drawn(row, site, folders)) is not None]
    shown, values = [found[0] for _, found in drawn], [found[1] for _, found in drawn]
    environment = Environment(
        loader=PackageLoader("clbench.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    text = environment.get_template("leaderboard.html.jinja").render(
        title=title,
        figures=[(all_metrics()[n].symbol, all_metrics()[n].better, _about(n)) for n in FIGURES],
        rows=shown,
        choices={field: sorted({str(row[field]) for row in shown}) for field in FILTERS},
    )
    (site / "index.html").write_text(plain(text), encoding="utf-8")
    (site / "leaderboard.json").write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return site / "index.html"


def _drawn(row: Entry, site: Path, folders: set[str]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Write a row's page and files; give it as texts and as values, or None where it cannot be drawn."""
    try:
        html = html_report(row.group.runs, f"{row.group.label} · {_scenario(row.group)[0]}")
        places = [_place(run, folders) for run in row.group.runs]
        found = _shown(row, places), _values(row, places)
    except Exception as error:
        notice(f"{row.group.label} is left out, since it cannot be drawn: {type(error).__name__}: {str(error)[:200]}")
        return None
    (site / "pages" / f"{row.id}.html").write_text(html, encoding="utf-8")
    for run, place in zip(row.group.runs, places, strict=True):
        target = site / "runs" / place
        target.mkdir(parents=True)
        for name in FILES:
            shutil.copyfile(run.folder / name, target / name)
    return found


def _place(run: RunRecord, taken: set[str]) -> str:
    """Return a name for the files of a run that no other has: two submissions may call theirs alike."""
    tries = (f"{run.folder.name}-{k}" if k else run.folder.name for k in itertools.count())
    name = next(n for n in tries if n not in taken)
    taken.add(name)
    return name


FILTERS = ("scenario", "kind", "model", "size", "family", "told", "stores")


def _about(name: str) -> str:
    return " ".join((all_metrics()[name].compute.__doc__ or "").split())


def _shown(row: Entry, places: Sequence[str]) -> dict[str, Any]:
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
        "scenario": plain(first.spec.stream + (f" (asked otherwise: {row.asked})" if row.asked else "")),
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
                place,
                plain(" ".join(["clbench", *map(str, r.provenance.get("arguments", []))])),
            )
            for r, place in zip(group.runs, places, strict=True)
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


def _values(row: Entry, places: Sequence[str]) -> dict[str, Any]:
    spec = row.group.runs[0].spec
    scores = {n: row.group.scores.get(n, math.nan) for n in FIGURES}
    return {
        "id": row.id,
        "rank": row.rank,
        "learner": dict(spec.learner),
        "stream": spec.stream,
        "asked": row.asked,
        "model": spec.model.model_dump(mode="json"),
        "seeds": sorted(r.spec.seed for r in row.group.runs),
        "scores": {n: None if math.isnan(v) else v for n, v in scores.items()},
        "missing_cells": row.missing[0],
        "due_cells": row.missing[1],
        "out_of_ranking": list(row.why_not),
        "runs": list(places),
    }
