"""A leaderboard as a static site: a table for each scenario, a page for every row, and the files behind it."""

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
from clbench.core.events import notice
from clbench.core.keys import digest
from clbench.core.wording import spoken, tr, translated
from clbench.metrics import all_metrics
from clbench.models.place import is_shipped
from clbench.report.escape import plain
from clbench.report.page.board import Board, values_of, write_rows
from clbench.report.page.header import header_rows
from clbench.report.page.html import html_report
from clbench.report.runs.groups import Group, group_runs
from clbench.report.runs.leaders import is_bound
from clbench.report.runs.load import RunRecord
from clbench.report.runs.orders import told_of
from clbench.report.runs.record import copy_result
from clbench.report.runs.result_file import files_of
from clbench.report.runs.traits import STORED_WORDS, traits_of
from clbench.report.runs.vouched import doubts
from clbench.report.tables.figure_names import figure_name
from clbench.report.tables.table import TABLE, printed
from clbench.report.tables.translations import TRANSLATIONS
from clbench.stats.bootstrap import UNKNOWN

FIGURES = (*TABLE, "train_flops")
LINKED = ("spec.yaml", "matrix.json", "items.json", "provenance.json")  # of a result that is a folder
REPLACED = ("pages", "runs")  # folders of a site that every build writes anew
WEIGHTS = ((1e9, "B"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True)
class Entry:
    """One row: a method on a stream with a model, over its seeds.

    Attributes:
        id: Name of its page.
        group: Its runs.
        why_not: Why it is not ranked; empty if it is.
        missing: (cells that are due and missing, cells that are due).
        rank: By AP, among methods of its scenario and model that were asked the same questions; None if not ranked.
        asked: Digest of the tasks' questions and of the model, where other rows of its scenario and model differ.
    """

    id: str
    group: Group
    why_not: tuple[str, ...]
    missing: tuple[int, int]
    rank: int | None = None
    asked: str = ""

    @property
    def is_bound(self) -> bool:
        """Whether it is a reference point that methods lie between, such as joint; those are never ranked."""
        return is_bound(self.group)

    @property
    def can_be_ranked(self) -> bool:
        """Whether it is a method, and nothing speaks against ranking it."""
        return not self.why_not and not self.is_bound


def entries(runs: Sequence[RunRecord], wrong: Mapping[Path, Sequence[str]]) -> list[Entry]:
    """Return the rows, ranked within stream and model; bounds stand behind the ranked rows, the others come last.

    Args:
        runs: All results.
        wrong: Folder -> what is inconsistent in that result; see `clbench.engine.verify.records`.
    """
    right, edited = ([r for r in runs if (r.folder in wrong) is is_wrong] for is_wrong in (False, True))
    # An edited result is a row by itself, so that the other seeds of its method stay ranked.
    scenarios: dict[tuple[str, str], list[RunRecord]] = {}
    for run in right:
        scenarios.setdefault((run.spec.stream, run.spec.model.name), []).append(run)
    # Each table labels its rows by what differs within it.
    found = [_entry(group, wrong) for members in scenarios.values() for group in group_runs(members)]
    found = _with_own_pages([*found, *(entry for run in edited for entry in _alone(run, wrong))])
    ranked: dict[tuple[str, str], dict[str, list[Entry]]] = {}
    for entry in found:
        if entry.can_be_ranked:
            ranked.setdefault(_scenario(entry.group), {}).setdefault(_asked(entry.group.runs[0]), []).append(entry)
    ranks: dict[str, tuple[int, str]] = {}
    for alike in ranked.values():
        for asked, members in alike.items():
            label = asked if len(alike) > 1 else ""
            ranks |= {e.id: (rank, label) for rank, e in enumerate(sorted(members, key=_ap), start=1)}
    rows = [replace(e, rank=ranks[e.id][0], asked=ranks[e.id][1]) if e.id in ranks else e for e in found]
    return sorted(rows, key=_place)


def _place(entry: Entry) -> tuple[Any, ...]:
    """Return what rows are sorted by: ranked ones, bounds by their AP, what is left out of the ranking."""
    out = bool(entry.why_not)
    by_ap = _ap(entry) if entry.is_bound and not out else entry.rank or 0
    return (*_scenario(entry.group), out, entry.is_bound, entry.asked, by_ap, entry.group.label)


def _alone(run: RunRecord, wrong: Mapping[Path, Sequence[str]]) -> list[Entry]:
    """Return the row of one edited result; none where no figure can be computed from its values."""
    try:
        return [_entry(group, wrong) for group in group_runs([run])]
    except Exception as error:
        notice(f"{run.folder} is left out: {type(error).__name__}: {str(error)[:200]}")
        return []


def _with_own_pages(found: Sequence[Entry]) -> list[Entry]:
    """Return the rows, each with a page name of its own, also where an edited result has the spec of a true one."""
    seen: Counter[str] = Counter()
    rows: list[Entry] = []
    for entry in found:
        seen[entry.id] += 1
        rows.append(replace(entry, id=f"{entry.id}-{seen[entry.id]}") if seen[entry.id] > 1 else entry)
    return rows


def _ap(entry: Entry) -> float:
    return -entry.group.scores["average_performance"]


def _scenario(group: Group) -> tuple[str, str]:
    """Return the stream and the model that a row is ranked under; what is unbounded is ranked apart."""
    spec = group.runs[0].spec
    apart = tr(" (unbounded, made by commands)") if told_of(group) == "unbounded" else ""
    return f"{spec.stream}{apart}", spec.model.name


def _asked(run: RunRecord) -> str:
    """Return a digest of what AP rests on: the questions asked of the tasks taught, and the model.

    Two cards of one name, exams cut to a few questions, and two checkpoints of one path cannot be compared.
    """
    digests = {exam_scores.exam: exam_scores.digest for exam_scores in run.item_scores.exams}
    tasks = [(c.name, c.size, digests.get(c.name, "")) for c in run.matrix.columns if c.kind == "task"]
    model = run.provenance.get("model")
    known = model.get("identity") if isinstance(model, dict) and not is_shipped(run.spec.model) else None
    return digest([tasks, known])[:8]


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
        why.append("its seeds were asked different questions, or used different models")
    if math.isnan(group.scores.get("average_performance", math.nan)):
        why.append("its average performance is not known")
    same = spec.model_copy(update={"seed": 0, "name": "x"})
    name = f"{spec.learner_name.partition(':')[0].replace('/', '-')}-{digest(same)[:10]}"
    page = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in name)
    return Entry(page, group, tuple(dict.fromkeys(why)), (missing, due))


def missing_cells(runs: Sequence[RunRecord]) -> tuple[int, int]:
    """Return how many cells are due and missing, and how many are due."""
    missing = due = 0
    for run in runs:
        last = run.matrix.num_lessons
        for lesson in range(last + 1):
            columns = list(due_columns(run.matrix.columns, lesson, last, run.spec.budget))
            due += len(columns)
            missing += int(np.isnan(run.matrix.values[lesson, columns]).sum())
    return missing, due


def unpinned(run: RunRecord) -> list[str]:
    """Return why nobody could make a result again exactly as it was."""
    found = doubts(run)
    if "@" in run.spec.learner_name or ".py" in run.spec.learner_name:
        found.append("the learner is a file that others do not have")
    return found


def build_site(rows: Sequence[Entry], site: Path, title: str, boards: Sequence[Board] = ()) -> Path:
    """Write the site into a folder of its own and return the path of its first page.

    Every row has a page (matrices, items, spec, command) and the files of its runs beside it. A row that cannot be
    drawn is left out with a notice, so that one result cannot stop the others.

    Args:
        rows: Results of learners.
        site: The folder.
        title: Of the site.
        boards: Tables of results of other kinds.

    Raises:
        DataError: The folder holds `pages` or `runs` that clbench did not write: they would be lost.
    """
    if not (site / "leaderboard.json").is_file() and (foreign := [n for n in REPLACED if (site / n).exists()]):
        what = f"holds {' and '.join(foreign)}, and clbench did not write it"
        raise DataError(what, where=str(site), mend="name another folder with --out")
    for name in REPLACED:
        shutil.rmtree(site / name, ignore_errors=True)
    (site / "pages").mkdir(parents=True)
    folders: set[str] = set()
    written = [found for row in rows if (found := _write_row(row, site, folders)) is not None]
    texts, values = [found[0] for found in written], [found[1] for found in written]
    tables = [(board, write_rows(board, site)) for board in boards]
    values += [row for board in boards for row in values_of(board)]
    environment = Environment(
        loader=PackageLoader("clbench.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("leaderboard.html.jinja").render(
        title=title,
        tr=tr,
        lang=spoken(),
        heads=_heads(),
        rows=len(texts),
        tabs=_tabs(texts),
        boards=tables,
        choices={field: sorted({str(row[field]) for row in texts}) for field in FILTERS},
    )
    (site / "index.html").write_text(plain(page), encoding="utf-8")
    (site / "leaderboard.json").write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return site / "index.html"


def _write_row(row: Entry, site: Path, folders: set[str]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Write a row's page and files, and return the row as texts and as values; None where it cannot be drawn."""
    try:
        html = html_report(row.group.runs, f"{row.group.label} · {_scenario(row.group)[0]}", spoken())
        names = [_folder_name(run, folders) for run in row.group.runs]
        found = _texts(row, names), _values(row, names)
    except Exception as error:
        notice(f"{row.group.label} is left out, because it cannot be drawn: {type(error).__name__}: {str(error)[:200]}")
        return None
    (site / "pages" / f"{row.id}.html").write_text(html, encoding="utf-8")
    for run, name in zip(row.group.runs, names, strict=True):
        copy_result(run, site / "runs" / name)
    return found


def _folder_name(run: RunRecord, used: set[str]) -> str:
    """Return a name for the files of a run that no other run has: two submissions may use the same one."""
    tries = (f"{run.name}-{k}" if k else run.name for k in itertools.count())
    name = next(n for n in tries if n not in used)
    used.add(name)
    return name


FILTERS = ("kind", "size", "family", "task_ids", "stores")


def _heads() -> list[tuple[str, str, str]]:
    """Return the heads of the table of learners: name, meaning, and "text", or of a figure its unit."""
    figures = [(all_metrics()[n], _about(n)) for n in FIGURES]
    arrows = {"high": " ↑", "low": " ↓"}
    texts = ("model family", "parameters", "method family", "task ids", "stored data", "files")
    return [
        (tr("rank"), tr("by AP, in this table"), ""),
        (tr("method"), tr("a page of its own"), "text"),
        *((plugin.symbol + arrows.get(plugin.better, ""), about, plugin.unit) for plugin, about in figures),
        (tr("seeds"), tr("runs that differ in their seed alone"), ""),
        (tr("missing"), tr("cells of the matrix that are due and missing"), ""),
        *((tr(name), "", "text") for name in texts),
    ]


def _tabs(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows by scenario and model, in their order, each with an id and a title."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(f"{row['scenario']} · {row['model']}", []).append(row)
    return [{"id": f"tab-{n}", "title": title, "rows": of} for n, (title, of) in enumerate(found.items(), start=1)]


def _about(name: str) -> str:
    if spoken() == "zh":
        return figure_name(name, "zh")
    return " ".join((all_metrics()[name].compute.__doc__ or "").split())


def _texts(row: Entry, folders: Sequence[str]) -> dict[str, Any]:
    """Return a row as texts."""
    group, known = row.group, traits_of(row.group.runs[0].spec.learner, row.group.runs[0].provenance)
    first = group.runs[0]
    task_ids = {True: "needed", None: "not known", False: "not needed"}[known.needs_task_ids]
    others = tr(" (other questions: {digest})", digest=row.asked) if row.asked else ""
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
        "is_bound": row.is_bound,
        "label": plain(group.label),
        "scenario": plain(_scenario(group)[0] + others),
        "model": plain(first.spec.model.name),
        "kind": plain(_kind(first)),
        "size": _size(first.costs.parameters_by_lesson),
        "family": tr(known.family or "user's"),
        "task_ids": tr("given" if first.stream.task_ids == "given" else task_ids),
        "stores": tr(STORED_WORDS[known.stores]),
        "seeds": len(group.runs),
        "cells": cells,
        "bar": _bar(group),
        "system": _system(group),
        "search": plain(" ".join(map(str, (group.label, first.spec.learner_name, known.family or "", _kind(first))))),
        "missing": tr("{num} of {of}", num=row.missing[0], of=row.missing[1]) if row.missing[0] else "",
        "why_not": [plain(translated(text)) for text in row.why_not],
        "runs": [
            (
                plain(r.spec.name),
                folder,
                plain(" ".join(["clbench", *map(str, r.provenance.get("arguments", []))])),
                _links(r),
            )
            for r, folder in zip(group.runs, folders, strict=True)
        ],
    }


def _bar(group: Group) -> tuple[float, float, float] | None:
    """Return AP, the lower end of its interval and the interval's width, in percent; None where it is not known."""
    value, ends = group.score(FIGURES[0]), group.intervals.get(FIGURES[0], UNKNOWN)
    if math.isnan(value) or math.isnan(ends.low + ends.high):
        return None
    low, high = (min(max(end, 0.0), 1.0) for end in (ends.low, ends.high))
    return round(100 * value, 2), round(100 * low, 2), round(100 * (high - low), 2)


def _system(group: Group) -> list[tuple[str, str]]:
    """Return what a row is made of: model, stream, runs, machine, version, and the method's settings."""
    learner = group.runs[0].spec.learner
    settings = ", ".join(f"{name}={value}" for name, value in learner.items() if name != "name")
    rows = [*header_rows([group], TRANSLATIONS[spoken()]), (tr("Settings"), settings)]
    return [(name, plain(text)) for name, text in rows if text]


def _links(run: RunRecord) -> list[tuple[str, str]]:
    """Return (word, file name) of the files of a run that a reader may open."""
    names = [path.name for path in files_of(run.folder)]
    if not run.folder.is_dir():
        return list(zip(("spec, matrix, provenance", "items"), names, strict=True))
    return [(name.partition(".")[0], name) for name in names if name in LINKED]


def _kind(run: RunRecord) -> str:
    """Return the family of a model as its configuration names it: llama, hunyuan_v1_dense, bert, ..."""
    model = run.provenance.get("model")
    kind = model.get("type") if isinstance(model, dict) else None
    return str(kind or run.spec.model.family)


def _size(parameters: Sequence[int]) -> str:
    if not parameters or not parameters[0]:
        return "–"
    value = float(parameters[0])
    size, name = next(((size, name) for size, name in WEIGHTS if value >= size), (1.0, ""))
    return f"{value / size:.3g}{name}"


def _values(row: Entry, folders: Sequence[str]) -> dict[str, Any]:
    spec = row.group.runs[0].spec
    scores = {n: row.group.scores.get(n, math.nan) for n in FIGURES}
    return {
        "id": row.id,
        "rank": row.rank,
        "bound": row.is_bound,
        "learner": dict(spec.learner),
        "stream": spec.stream,
        "asked": row.asked,
        "model": spec.model.model_dump(mode="json"),
        "seeds": sorted(r.spec.seed for r in row.group.runs),
        "scores": {n: None if math.isnan(v) else v for n, v in scores.items()},
        "missing_cells": row.missing[0],
        "due_cells": row.missing[1],
        "out_of_ranking": list(row.why_not),
        "runs": list(folders),
    }
