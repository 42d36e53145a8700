"""Methods side by side: trade-offs, the groups of headline figures, ranks, and what seeds change."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from clbench.metrics import all_metrics
from clbench.metrics.forgetting import half_life_interval, retention_by_distance, retention_half_life
from clbench.report.figures import curves
from clbench.report.gather import Group
from clbench.report.plots import Axis, Point, parallel, scatter, strips
from clbench.report.table import cell, printed
from clbench.report.vouched import out_of_rankings
from clbench.stats.bootstrap import UNKNOWN
from clbench.stats.ranks import rank_intervals

AXES = (
    *("average_performance", "learning_accuracy", "general_ability_delta"),
    *("forgetting", "worst_retention", "fluctuation"),
    *("train_seconds", "exam_latency_s_p50", "kept_bytes"),
)
TRADES = (("forgetting", "learning_accuracy"), ("train_seconds", "average_performance"))
SHORTEST = 5  # lessons of a stream in which distances say something
MOST_LINES = 12  # more lines than that nobody can follow


def axis_of(name: str, words: dict[str, str]) -> Axis:
    """Give the axis of a figure."""
    plugin = all_metrics()[name]
    better = {"high": words["more_better"], "low": words["less_better"], "neither": ""}[plugin.better]
    named = f"{plugin.symbol} ({better})" if better else plugin.symbol
    return Axis(named, plugin.unit, plugin.better == "low", log=name == "train_seconds")


def trades(groups: Sequence[Group], words: dict[str, str]) -> list[tuple[str, str]]:
    """Draw stability against plasticity, and cost against performance, as (caption, SVG)."""
    captions = (words["stability_plasticity"], words["cost_performance"])
    drawn: list[tuple[str, str]] = []
    for (across, up), caption in zip(TRADES, captions, strict=True):
        points = [
            Point(
                g.label,
                g.score(across),
                g.score(up),
                g.intervals.get(across, UNKNOWN)[:2],
                g.intervals.get(up, UNKNOWN)[:2],
            )
            for g in groups
            # What trains no step has no place on a logarithmic axis of time.
            if not (across == "train_seconds" and g.runs[0].meters.train_tokens == 0)
        ]
        if svg := scatter(points, axis_of(across, words), axis_of(up, words), caption):
            drawn.append((caption, svg))
    return drawn


def profile(groups: Sequence[Group], words: dict[str, str]) -> str:
    """Draw the three groups of headline figures as parallel axes; empty for a single method."""
    shown = groups[:MOST_LINES]
    names = [n for n in AXES if sum(not math.isnan(g.score(n)) for g in shown) > 1]
    if len(shown) < 2 or len(names) < 2:
        return ""
    axes = [Axis(a.name.partition(" (")[0], a.unit, a.low_is_better) for a in (axis_of(n, words) for n in names)]
    return parallel([g.label for g in shown], axes, [[g.score(n) for n in names] for g in shown], words["profile"])


def spread(groups: Sequence[Group], words: dict[str, str]) -> str:
    """Draw AP of every run; empty where every method has one."""
    if max(len(g.runs) for g in groups) < 2:
        return ""
    name = "average_performance"
    rows = [
        (g.label, [r.scores.get(name, math.nan) for r in g.runs], tuple(g.intervals.get(name, UNKNOWN))) for g in groups
    ]
    return strips(
        [(label, values, (ends[0], ends[1])) for label, values, ends in rows], axis_of(name, words), words["spread"]
    )


def kept_by_distance(groups: Sequence[Group], words: dict[str, str]) -> dict[str, object] | None:
    """Give what is left of a task by the number of lessons since: curves, and half-lives with their intervals.

    None for streams of fewer than five lessons. A share above 1 (a task that still improved) is drawn as 1.
    """
    long_ = [g for g in groups if g.mean.num_lessons >= SHORTEST]
    found = {g.label: retention_by_distance(g.mean) for g in long_}
    last = max((d for kept in found.values() for d in kept), default=0)
    if last < SHORTEST - 1:
        return None
    series = {label: [min(kept.get(d, math.nan), 1.0) for d in range(last + 1)] for label, kept in found.items()}
    every = max(1, last // 8)
    ticks = [str(d) if d % every == 0 else "" for d in range(last + 1)]
    rows: list[list[str]] = []
    for group in long_:
        half, (low, high) = retention_half_life(group.mean), half_life_interval(group.mean)
        ends = "" if math.isnan(low) else f" ({low:.1f} – {high:.1f})"
        rows.append([group.label, "–" if math.isnan(half) else f"{half:.1f}{ends}"])
    labels = [g.label for g in long_]
    return {"drawing": curves(series, words["retained"], ticks=ticks), "labels": labels, "rows": rows}


def over_orders(groups: Sequence[Group]) -> list[list[str]]:
    """Give, for learners that learnt the same tasks in several orders: learner, orders, mean AP, its deviation (FL)."""
    found: dict[str, list[Group]] = {}
    for group in groups:
        spec = group.runs[0].spec.model_copy(update={"seed": 0, "name": "x", "stream": "x"})
        tasks = sorted(group.runs[0].outline.tasks)
        found.setdefault(f"{spec.model_dump_json()} {tasks}", []).append(group)
    rows: list[list[str]] = []
    for members in found.values():
        if len({g.runs[0].outline.tasks for g in members}) > 1:
            scores = [g.score("average_performance") for g in members]
            spread_ = printed(float(np.std(scores, ddof=1)), "score")
            label = members[0].runs[0].spec.learner_label
            rows.append([label, str(len(members)), printed(float(np.mean(scores)), "score"), spread_])
    return rows


def ranking(groups: Sequence[Group], words: dict[str, str]) -> list[tuple[str, str, list[list[str]]]]:
    """Give every scenario (stream and model) as (its name, what was ranked over, rows).

    A row is method, AP, mean rank, and deviation of AP over seeds. Methods are ranked by AP within each seed that all
    of them have; with one such seed, by the last score on each task.
    """
    found: dict[str, list[Group]] = {}
    left_out = out_of_rankings(groups)
    for group in [g for g in groups if g.label not in left_out]:
        spec = group.runs[0].spec
        found.setdefault(f"{spec.stream} · {spec.model.name}", []).append(group)
    tables: list[tuple[str, str, list[list[str]]]] = []
    for scenario, members in found.items():
        if len(members) < 2:
            continue
        blocks, over = _blocks(members, words)
        ranks = rank_intervals(blocks)
        order = sorted(range(len(members)), key=lambda i: ranks[i][0])
        rows = [
            [
                members[i].label,
                cell(members[i], "average_performance"),
                "{:.1f} ({:.1f}–{:.1f})".format(*ranks[i]),
                _deviation(members[i]),
            ]
            for i in order
        ]
        tables.append((scenario, over, rows))
    return tables


def _deviation(group: Group) -> str:
    """Give the standard deviation of AP over seeds: fluctuation FL over seeds."""
    values = [r.scores.get("average_performance", math.nan) for r in group.runs]
    return printed(float(np.std(values, ddof=1)), "score") if len(values) > 1 else "–"


def _blocks(members: Sequence[Group], words: dict[str, str]) -> tuple[np.ndarray, str]:
    """Give scores of shape (methods, blocks), and what the blocks are."""
    seeds = sorted(set.intersection(*({r.spec.seed for r in g.runs} for g in members)))
    if len(seeds) > 1:
        by_seed = [{r.spec.seed: _or_nan(r.scores, "average_performance") for r in g.runs} for g in members]
        return np.array([[found[s] for s in seeds] for found in by_seed]), words["ranked_seeds"].format(num=len(seeds))
    own = members[0].mean.select("own")
    return np.array([g.mean.values[-1, own] for g in members]), words["ranked_tasks"].format(num=len(own))


def _or_nan(scores: dict[str, float], name: str) -> float:
    return scores.get(name, math.nan)


def value_with_interval(group: Group, name: str) -> str:
    """Print a figure with its 95 % interval."""
    unit = all_metrics()[name].unit
    found = group.intervals.get(name, UNKNOWN)
    text = printed(group.score(name), unit)
    return text if math.isnan(found.low) else f"{text} ({printed(found.low, unit)} … {printed(found.high, unit)})"
