"""Ranks of methods with their critical difference, and differences to plain fine-tuning; bounds are not ranked.

Methods that are told more than others stand in a table of their own: to be told the task is half of the answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clbench.report.decide.compare_text import p_text
from clbench.report.drawings.ranks import rank_diagram, standing_alone
from clbench.report.escape import markdown
from clbench.report.runs.groups import Group, group_runs
from clbench.report.runs.load import RunRecord
from clbench.report.runs.orders import TOLD, Method, Told, by_scenario, difference, methods_of, plain_of
from clbench.report.runs.vouched import out_of_rankings
from clbench.report.tables.table import method_cell, printed
from clbench.report.tables.translations import TRANSLATIONS
from clbench.stats.paired import holm
from clbench.stats.ranks import RankTest, friedman, rank_intervals

AP = "average_performance"


@dataclass(frozen=True)
class Ranking:
    """The methods of one scenario that are told the same: the same tasks, in any order, and the same model.

    Attributes:
        scenario: Streams and model.
        told: What its methods are told, as a heading. Plain fine-tuning stands in every table, as the reference.
        over: What was ranked over, and what the test found.
        bounds: Rows that stand above the line: label, AP, and the same cells as `rows`.
        rows: (label, AP, mean rank, deviation of AP over seeds, AP less plain fine-tuning's, p after Holm).
        drawing: The critical-difference diagram as SVG; empty for fewer than two ranked methods or two blocks.
    """

    scenario: str
    told: str
    over: str
    bounds: list[list[str]]
    rows: list[list[str]]
    drawing: str = ""


def ranking(groups: Sequence[Group], texts: dict[str, str]) -> list[Ranking]:
    """Return the rankings of every scenario with two or more methods or bounds: up to three, by what methods are told.

    Methods are ranked by the last score in every block: a task in an order of the tasks with a seed, where all of them
    have it; where they share no run, a task. Bounds are listed and not ranked, and what cannot be made again is left
    out.
    """
    left_out = out_of_rankings(groups)
    scenarios = [methods_of(members) for members in by_scenario([g for g in groups if g.label not in left_out])]
    return [one for methods in scenarios if len(methods) > 1 for one in _tables(methods, texts)]


def _tables(methods: Sequence[Method], texts: dict[str, str]) -> list[Ranking]:
    """Return a ranking for each that methods are told; bounds and plain fine-tuning stand in all of them."""
    ranked = [m for m in methods if not m.is_bound]
    plain = plain_of(ranked)
    own = {told: [m for m in ranked if m.told == told and m is not plain] for told in TOLD}
    # With bounds and plain fine-tuning alone, one table shows them.
    filled: list[Told] = [told for told in TOLD if own[told]] or [plain.told if plain else TOLD[0]]
    return [
        _ranking([m for m in methods if m.is_bound or m is plain or m in own[told]], told, texts) for told in filled
    ]


def _ranking(methods: Sequence[Method], told: Told, texts: dict[str, str]) -> Ranking:
    first = methods[0].runs[0].spec
    streams = dict.fromkeys(run.spec.stream for method in methods for run in method.runs)
    ranked = [m for m in methods if not m.is_bound]
    changes = _changes(ranked)
    lines = {m.label: [m.label, method_cell(m, AP), "–", _deviation(m), *changes[m.label]] for m in ranked}
    bounds = [[m.label, method_cell(m, AP), "–", _deviation(m), "–", "–"] for m in methods if m.is_bound]
    names = (f"{', '.join(streams)} · {first.model.name}", texts[f"told_{told}"])
    if len(ranked) < 2:
        return Ranking(*names, texts["too_few_ranked"], bounds, list(lines.values()))
    scores, over = _blocks(ranked, texts)
    over += _reference(ranked, texts)
    intervals = rank_intervals(scores)
    for method, ends in zip(ranked, intervals, strict=True):
        lines[method.label][2] = "{:.1f} ({:.1f}–{:.1f})".format(*ends)
    order = sorted(range(len(ranked)), key=lambda i: intervals[i][0])
    rows = [lines[ranked[i].label] for i in order]
    if scores.shape[1] < 2:
        return Ranking(*names, over, bounds, rows)
    test = friedman(scores)
    label = f"{names[1]}. {texts['rank_diagram']}"
    drawing = rank_diagram([m.label for m in ranked], test.ranks, test.difference, label)
    return Ranking(*names, f"{over}{texts['space']}{_tested(test, texts)}", bounds, rows, drawing)


def _reference(methods: Sequence[Method], texts: dict[str, str]) -> str:
    """Return a sentence on which setting of plain fine-tuning is the reference, where there are several."""
    num = sum(method.is_plain for method in methods)
    plain = plain_of(methods)
    return texts["space"] + texts["reference"].format(label=plain.label, num=num) if plain and num > 1 else ""


def _tested(test: RankTest, texts: dict[str, str]) -> str:
    return texts["friedman"].format(
        chi2=f"{test.chi2:.2f}", f=f"{test.f:.2f}", p=p_text(test.p), difference=f"{test.difference:.2f}"
    )


def _blocks(methods: Sequence[Method], texts: dict[str, str]) -> tuple[NDArray[np.float64], str]:
    """Return last scores of shape (methods, blocks), and a text that says what the blocks are."""
    found = [{(run.stream.tasks, run.spec.seed): _last(run) for run in method.runs} for method in methods]
    shared = sorted(set.intersection(*(set(each) for each in found)))
    tasks = sorted(methods[0].runs[0].stream.tasks)
    if not shared:
        means = [np.mean([[_last(run)[t] for t in tasks] for run in m.runs], axis=0) for m in methods]
        return np.array(means), texts["ranked_tasks"].format(num=len(tasks))
    counts = {"seeds": len({seed for _, seed in shared}), "orders": len({order for order, _ in shared})}
    scores = np.array([[each[block][task] for block in shared for task in tasks] for each in found])
    return scores, texts["ranked_blocks"].format(num=scores.shape[1], tasks=len(tasks), **counts)


def _last(run: RunRecord) -> dict[str, float]:
    """Return the last score on each task; NaN where it was not asked."""
    scores = dict.fromkeys(run.stream.tasks, math.nan)
    return scores | dict(zip(run.matrix.exams, map(float, run.matrix.values[-1]), strict=True))


def _changes(methods: Sequence[Method]) -> dict[str, list[str]]:
    """Return label -> (AP less plain fine-tuning's with its interval, p after Holm's correction over all of them)."""
    found = {m.label: ["–", "–"] for m in methods}
    plain = plain_of(methods)
    if plain is None:
        return found
    others = [m for m in methods if m is not plain]
    changes = [difference(plain, m, AP) for m in others]
    adjusted = holm([p for *_, p in changes])
    for method, (gap, ends, _), p in zip(others, changes, adjusted, strict=True):
        if not math.isnan(gap):
            interval = (
                "" if math.isnan(ends.low) else f" ({printed(ends.low, 'score')} … {printed(ends.high, 'score')})"
            )
            found[method.label] = [f"{'+' if gap > 0 else ''}{printed(gap, 'score')}{interval}", p_text(p)]
    return found


def _deviation(method: Method) -> str:
    """Return the standard deviation of AP over seeds (and orders): fluctuation FL over seeds."""
    values = [r.scores.get(AP, math.nan) for r in method.runs]
    return printed(float(np.std(values, ddof=1)), "score") if len(values) > 1 else "–"


def rank_heads(texts: dict[str, str]) -> list[str]:
    """Return the heads of a table of ranks."""
    return [texts["learner"], "AP ↑", *(texts[n] for n in ("mean_rank", "seed_deviation", "less_plain")), "p (Holm)"]


def ranks_table(runs: Sequence[RunRecord]) -> str:
    """Return the rankings as Markdown tables, each under what its methods are told, bounds above a line."""
    texts = TRANSLATIONS["en"]
    heads = rank_heads(texts)
    parts: list[str] = []
    for found in ranking(group_runs(runs), texts):
        line = [[texts["bounds_above"], *[""] * (len(heads) - 1)]] if found.bounds else []
        rows = [*found.bounds, *line, *found.rows]
        lines = [f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
        lines += [f"| {' | '.join(markdown(text) for text in row)} |" for row in rows]
        parts.append("\n".join([f"**{found.told}**", "", *lines, "", f"{found.scenario}. {found.over}"]))
    return "\n\n".join(parts) + "\n"


def ranks_figure(runs: Sequence[RunRecord]) -> str:
    """Return the critical-difference diagram of the first scenario's largest table as an SVG file of its own."""
    found = ranking(group_runs(runs), TRANSLATIONS["en"])
    largest = max((one for one in found if one.scenario == found[0].scenario), key=lambda one: len(one.rows))
    return standing_alone(largest.drawing)
