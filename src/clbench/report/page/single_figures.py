"""Single figures of a report, for a paper: the drawings of the page, laid out for a column."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from clbench.report.drawings.figures import curves, heat_map
from clbench.report.drawings.paper import COLUMN_MM, EDGE, POINT_MM, TEXT_PT, TEXT_PX, PaperFigure, paper_figure
from clbench.report.page.item_change_rows import item_change_section
from clbench.report.page.overview import SHORTEST, profile, retention, spread, tradeoffs
from clbench.report.page.ranking import ranking
from clbench.report.runs.abilities import ability_curves
from clbench.report.runs.groups import Group

COLUMN_PX = int(COLUMN_MM / POINT_MM * TEXT_PX / TEXT_PT) - 2 * EDGE  # so wide a drawing fits one column
Texts = dict[str, str]


def single_figures(groups: Sequence[Group], name: str, texts: Texts) -> list[PaperFigure]:
    """Return the drawings of one of `FIGURES`, each with a file name of its own; empty where none can be drawn.

    Args:
        groups: Methods.
        name: Which figure.
        texts: Of the language.
    """
    seen: Counter[str] = Counter()
    unique: list[PaperFigure] = []
    for figure in FIGURES[name](groups, texts):
        file = re.sub(r"[^\w.+=-]+", "-", figure.name).strip("-.")[:80]
        seen[file.lower()] += 1
        number = seen[file.lower()]
        unique.append(replace(figure, name=f"{file}-{number}" if number > 1 else file))
    return unique


def _matrices(groups: Sequence[Group], texts: Texts) -> list[PaperFigure]:
    return [
        paper_figure(f"matrix-{group.label}", group.label, heat_map(group.mean, group.label, texts)) for group in groups
    ]


def _task_curves(groups: Sequence[Group], texts: Texts) -> list[PaperFigure]:
    """Draw every task, and every ability as the mean of its exams, over lessons."""
    del texts
    labels = [group.label for group in groups]
    figures: list[PaperFigure] = []
    tasks = {c.name: c for group in groups for c in group.mean.columns if c.kind == "task"}
    for name, column in tasks.items():
        series = {g.label: _scores(g, name) for g in groups}
        drawing = curves(series, name, column.taught, column.guess_rate)
        figures.append(paper_figure(f"curves-{name}", name, drawing, labels))
    found = {g.label: {c.ability: list(c.scores) for c in ability_curves(g.mean)} for g in groups}
    for name in dict.fromkeys(ability for each in found.values() for ability in each):
        series = {label: each.get(name, [math.nan]) for label, each in found.items()}
        figures.append(paper_figure(f"curves-{name}", name, curves(series, name), labels))
    return figures


def _scores(group: Group, exam: str) -> list[float]:
    place = group.mean.exams.index(exam) if exam in group.mean.exams else None
    return [math.nan] if place is None else group.mean.values[:, place].tolist()


def _tradeoffs(groups: Sequence[Group], texts: Texts) -> list[PaperFigure]:
    names = {texts["stability_plasticity"]: "tradeoff-stability", texts["cost_performance"]: "tradeoff-cost"}
    return [paper_figure(names[caption], caption, svg) for caption, svg in tradeoffs(groups, texts, COLUMN_PX)]


def _spread(groups: Sequence[Group], texts: Texts) -> list[PaperFigure]:
    drawing = spread(groups, texts)
    return [paper_figure("spread", texts["spread"], drawing)] if drawing else []


def _profile(groups: Sequence[Group], texts: Texts) -> list[PaperFigure]:
    drawing = profile(groups, texts)
    shown = [group.label for group in groups][: drawing.count("<polyline")]
    return [paper_figure("profile", texts["profile"], drawing, shown)] if drawing else []


def _ranks(groups: Sequence[Group], texts: Texts) -> list[PaperFigure]:
    found = [each for each in ranking(groups, texts) if each.drawing]
    return [paper_figure("ranks", f"{each.scenario} · {each.told}", each.drawing) for each in found]


def _retention(groups: Sequence[Group], texts: Texts) -> list[PaperFigure]:
    found = retention(groups, texts)
    if found is None:
        return []
    labels = [group.label for group in groups if group.mean.num_lessons >= SHORTEST]
    return [paper_figure("retention", texts["retained"], str(found["drawing"]), labels)]


def _items(groups: Sequence[Group], texts: Texts) -> list[PaperFigure]:
    found = item_change_section(groups, texts)
    drawn = found["drawings"] if found else []
    return [paper_figure(f"items-{caption.rpartition(': ')[2]}", caption, svg) for caption, svg in drawn]


FIGURES: Mapping[str, Callable[[Sequence[Group], Texts], list[PaperFigure]]] = {
    "matrix": _matrices,
    "curves": _task_curves,
    "tradeoff": _tradeoffs,
    "spread": _spread,
    "profile": _profile,
    "ranks": _ranks,
    "retention": _retention,
    "items": _items,
}
