"""Graded context-learning files as rows of a leaderboard: rate with interval, rank, cost, trials, provenance."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clbench.context.compare import compare, unlikeness
from clbench.context.findings import counted
from clbench.context.graded import TaskSet, read_tasks
from clbench.context.grades import Grades, load_grades, one_each, system_name
from clbench.context.page import Shown, html_page
from clbench.context.spending import Spending, spending_of
from clbench.context.summary import Summary, summary_of
from clbench.context.tables import as_values, percent
from clbench.context.verify import verify
from clbench.core.errors import UserError
from clbench.core.events import notice
from clbench.core.keys import digest
from clbench.report.page.board import Board, BoardRow

ENDINGS = ("_graded.jsonl", "_graded.jsonl.xz")
NOTE = (
    "Tasks whose knowledge stands in the prompt, judged by rubrics; nothing is trained. Share of tasks solved, in "
    "percent, with the 95 % interval over contexts. Ranks hold among systems with the same tasks and judge: those that "
    "paired tests with Holm's correction leave open. Rows without a rank are not held against their data set, or do "
    "not fit it. Texts of tasks and answers are not shown: the data is for evaluation alone."
)
HEADS = (
    ("rank", "ranks that the tests leave open"),
    ("system", "model, and what of the context it is shown"),
    ("data", "tasks, and the beginning of the digest of their ids and rubrics"),
    ("judge", "who graded"),
    ("trials", "answers for each task"),
    ("solved", "share of tasks solved, in percent, with its interval"),
    ("± std", "standard deviation over trials, as on the public board"),
    ("rubrics", "share of rubrics met, in percent"),
    ("not judged", "answers that nobody judged; they count as not solved"),
    ("tokens", "of the answers: read and written"),
    ("USD", "of the answers, and of the judge, as their manifests say"),
    ("date", "day on which the answers were begun"),
)


@dataclass(frozen=True)
class System:
    """Files of one system, and what is known of them."""

    paths: tuple[Path, ...]
    grades: Grades
    summary: Summary
    spending: Spending
    label: str
    why_not: tuple[str, ...]


def context_files(path: Path) -> list[Path]:
    """Return the graded files that a path is or holds, at any depth; links are not followed."""
    if path.is_file():
        return [path] if path.name.endswith(ENDINGS) else []
    found = (p for p in path.rglob("*_graded.jsonl*") if p.is_file() and not p.is_symlink())
    return sorted(p for p in found if p.name.endswith(ENDINGS))


def context_board(paths: Sequence[Path], dataset: Path | None) -> Board | None:
    """Return the board of the graded files under some paths; None where there is none that can be read.

    Files in one folder by the same recorded model, under the same settings and judge, are trials of one system.

    Args:
        paths: Files and folders.
        dataset: The data set that systems are held against; without it none is ranked.

    Raises:
        DataError: The data set cannot be read.
    """
    files = [file for path in paths for file in context_files(path)]
    if not files:
        return None
    known = None if dataset is None else read_tasks(dataset)
    systems = [one for group in _grouped(files) if (one := _system(group, dataset, known)) is not None]
    if not systems:
        return None
    ranks = _ranked(systems)
    order = sorted(systems, key=lambda s: (bool(s.why_not), _alike(s), -s.summary.rate.value, s.label))
    names = _names(order)
    rows = [_row(system, ranks.get(id(system)), name) for system, name in zip(order, names, strict=True)]
    return Board("context", "Context learning", NOTE, HEADS, rows)


def _grouped(files: Sequence[Path]) -> Iterator[list[Path]]:
    """Yield files that belong together; a file that cannot be read is told and left out."""
    groups: dict[str, list[Path]] = {}
    for path in files:
        try:
            rows = one_each(path)
        except UserError as error:
            notice(f"{path} is left out: {error.what}")
            continue
        models = sorted({row.model for row in rows if row.model})
        judges = sorted({row.judge for row in rows if row.met})
        manifest = _answers_manifest(path)
        settings = manifest.get("params") if manifest else None
        name = digest([str(path.parent), models, judges, settings]) if models else str(path)
        groups.setdefault(name, []).append(path)
    yield from groups.values()


def _answers_manifest(path: Path) -> dict[str, Any]:
    beside = path.with_name(f"{system_name(path)}.manifest.json")
    try:
        found = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _system(paths: Sequence[Path], dataset: Path | None, known: TaskSet | None) -> System | None:
    try:
        why = _doubts(paths, dataset)
        grades = load_grades(paths, known, system_name(paths[0]), force=True)
        spending = spending_of(paths)
    except UserError as error:
        notice(f"{paths[0]} is left out: {error.what}")
        return None
    manifest = _answers_manifest(paths[0])
    params = manifest.get("params")
    policy = params.get("context_policy") if isinstance(params, dict) else None
    label = grades.name + (f" ({policy})" if policy else "")
    return System(tuple(paths), grades, summary_of(grades), spending, label, tuple(why))


def _doubts(paths: Sequence[Path], dataset: Path | None) -> list[str]:
    """Return why a system is not ranked: findings against its data set, or that none was named."""
    if dataset is None:
        return ["not held against its data set: name that with --dataset"]
    return [f"{kind}: {num}" for kind, num in counted(verify(paths, dataset).findings).items()]


def _alike(system: System) -> str:
    """Return a digest of what makes rates comparable: tasks, rubrics and judge."""
    grades = system.grades
    return digest([sorted((t.id, t.rubrics) for t in grades.tasks), grades.judges])


def _ranked(systems: Sequence[System]) -> dict[int, tuple[int, int]]:
    """Return the ranks that the tests leave open, of systems that can be ranked."""
    groups: dict[str, list[System]] = {}
    for system in systems:
        if not system.why_not:
            groups.setdefault(_alike(system), []).append(system)
    ranks: dict[int, tuple[int, int]] = {}
    for group in groups.values():
        if len(group) == 1:
            ranks[id(group[0])] = (1, 1)
            continue
        sides = [replace(s.grades, name=str(place)) for place, s in enumerate(group)]
        unlike = [line for other in sides[1:] for line in unlikeness(sides[0], other)]
        assert not unlike, "the group shares tasks, rubrics and judge"
        found = compare(sides)
        ranks |= {id(system): one.ranks for system, one in zip(group, found.systems, strict=True)}
    return ranks


def _names(systems: Sequence[System]) -> list[str]:
    """Return names of pages: letters, digits and a digest of the files' places."""
    found: list[str] = []
    for system in systems:
        safe = "".join(c if c.isascii() and c.isalnum() else "-" for c in system.grades.name)[:60]
        found.append(f"context-{safe}-{digest([str(p) for p in system.paths])[:8]}")
    return found


def _row(system: System, ranks: tuple[int, int] | None, name: str) -> BoardRow:
    found, spending = system.summary, system.spending
    used, rate = spending.answers.usage, found.rate
    usd = [part.usd for part in (spending.answers, spending.verdicts) if part.usd is not None]
    shown = "–" if ranks is None else str(ranks[0]) if ranks[0] == ranks[1] else f"{ranks[0]}–{ranks[1]}"
    begun = str(_answers_manifest(system.paths[0]).get("started") or "")[:10]
    cells: tuple[tuple[str, float | None], ...] = (
        (shown, math.inf if ranks is None else float(ranks[0])),
        (system.label, None),
        (f"{found.tasks} tasks, {_alike(system)[:6]}", None),
        (", ".join(found.judges) or "not recorded", None),
        (str(found.trials), float(found.trials)),
        (f"{percent(rate.value)} ({percent(rate.low)}–{percent(rate.high)})", rate.value),
        (percent(found.deviation), _sortable(found.deviation)),
        (percent(found.micro.value), found.micro.value),
        (str(found.unjudged), float(found.unjudged)),
        (f"{used.total:,}" if spending.answers.rows else "–", float(used.total)),
        (f"{sum(usd):.2f}" if usd else "–", sum(usd)),
        (begun or "–", None),
    )
    manifests = {n: json.dumps(m, indent=1, ensure_ascii=False) + "\n" for n, m in spending.manifests.items()}
    details = tuple(f"{path.name}, sha256 {_sha256(path)[:16]}" for path in system.paths)
    page = html_page(Shown(system.grades, found, spending), system.label)
    values = {"system": system.label, "ranks": ranks, "figures": as_values(found), "files": list(details)}
    return BoardRow(name, cells, system.why_not, details, page, _safe_names(manifests), values)


def _sortable(value: float) -> float:
    return -1.0 if math.isnan(value) else value


def _safe_names(files: dict[str, str]) -> dict[str, str]:
    """Return files under names that lead nowhere else."""
    safe = ("".join(c if c.isalnum() or c in "._-" else "-" for c in name).lstrip(".") for name in files)
    return dict(zip(safe, files.values(), strict=True))


def _sha256(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
