"""Methods side by side: trade-offs, the groups of headline figures, ranks, and what seeds change."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from clbench.metrics import all_metrics
from clbench.report.gather import Group
from clbench.report.plots import Axis, Point, parallel, scatter, strips
from clbench.report.table import cell, printed
from clbench.stats.bootstrap import UNKNOWN
from clbench.stats.ranks import rank_intervals

AXES = (
    *("average_performance", "learning_accuracy", "general_ability_delta"),
    *("forgetting", "worst_retention", "fluctuation"),
    *("train_seconds", "exam_latency_s_p50", "kept_bytes"),
)
TRADES = (("forgetting", "learning_accuracy"), ("train_seconds", "average_performance"))
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


def ranking(groups: Sequence[Group], words: dict[str, str]) -> list[tuple[str, str, list[list[str]]]]:
    """Give, for every scenario (stream and model), its name, what was ranked over, and the rows: method, AP, mean rank.

    Methods are ranked by AP within each seed that all of them have; with one such seed, by the last score on each task.
    """
    found: dict[str, list[Group]] = {}
    for group in groups:
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
            [members[i].label, cell(members[i], "average_performance"), "{:.1f} ({:.1f}–{:.1f})".format(*ranks[i])]
            for i in order
        ]
        tables.append((scenario, over, rows))
    return tables


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
