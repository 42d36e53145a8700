"""Methods side by side: trade-offs, headline figures, and the spread over seeds and orders."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from clbench.metrics import all_metrics
from clbench.metrics.forgetting import half_life_interval, retention_by_distance, retention_half_life
from clbench.report.drawings.axes import Axis
from clbench.report.drawings.figures import curves
from clbench.report.drawings.plots import MOST_BARS, WIDTH, Point, parallel, scatter, strips
from clbench.report.runs.groups import Group
from clbench.report.runs.leaders import is_bound
from clbench.report.runs.orders import Method, by_performance, by_scenario, methods_of
from clbench.report.tables.table import methods_table, printed
from clbench.stats.bootstrap import UNKNOWN

AXES = (
    *("average_performance", "learning_accuracy", "general_ability_delta"),
    *("forgetting", "worst_retention", "fluctuation"),
    *("train_seconds", "exam_latency_s_p50", "kept_bytes"),
)
TRADEOFFS = (("forgetting", "learning_accuracy"), ("train_seconds", "average_performance"))
SHORTEST = 5  # lessons below which retention by distance says nothing


def axis_of(name: str, texts: dict[str, str]) -> Axis:
    """Return the axis of a figure."""
    plugin = all_metrics()[name]
    better = {"high": texts["more_better"], "low": texts["less_better"], "neither": ""}[plugin.better]
    log = name == "train_seconds"
    told = texts["logarithmic"].format(better=better) if log else better
    name_text = plugin.symbol + (texts["in_brackets"].format(text=told) if told else "")
    return Axis(name_text, plugin.unit, plugin.better == "low", log=log)


def tradeoffs(groups: Sequence[Group], texts: dict[str, str], width: int = WIDTH) -> list[tuple[str, str]]:
    """Draw stability against plasticity, and cost against performance, as (caption, SVG) of a width in pixels."""
    captions = (texts["stability_plasticity"], texts["cost_performance"])
    drawn: list[tuple[str, str]] = []
    for (across, up), caption in zip(TRADEOFFS, captions, strict=True):
        points = [
            Point(
                g.label,
                g.score(across),
                g.score(up),
                g.intervals.get(across, UNKNOWN)[:2],
                g.intervals.get(up, UNKNOWN)[:2],
                is_bound(g),
            )
            for g in groups
            # A learner that trains nothing has no place on a logarithmic axis of time.
            if not (across == "train_seconds" and g.runs[0].costs.train_tokens == 0)
        ]
        if svg := scatter(points, axis_of(across, texts), axis_of(up, texts), caption, width):
            drawn.append((caption, svg))
    return drawn


def overview_note(groups: Sequence[Group], texts: dict[str, str]) -> str:
    """Return what the drawings show, and what they leave out."""
    crowded = len(groups) > MOST_BARS
    bars = texts["without_bars" if crowded else "with_bars"].format(most=MOST_BARS)
    return f"{texts['overview_note']}{texts['space']}{bars}"


def profile(groups: Sequence[Group], texts: dict[str, str]) -> str:
    """Draw the headline figures as parallel axes; empty for a single method."""
    first = groups[:MOST_BARS]  # nobody can follow more lines
    names = [n for n in AXES if sum(not math.isnan(g.score(n)) for g in first) > 1]
    if len(first) < 2 or len(names) < 2:
        return ""
    axes = [Axis(a.name.partition(" (")[0], a.unit, a.low_is_better) for a in (axis_of(n, texts) for n in names)]
    return parallel([g.label for g in first], axes, [[g.score(n) for n in names] for g in first], texts["profile"])


def spread(groups: Sequence[Group], texts: dict[str, str]) -> str:
    """Draw AP of every run; empty where every method has one run."""
    if max(len(g.runs) for g in groups) < 2:
        return ""
    name = "average_performance"
    rows = [
        (g.label, [r.scores.get(name, math.nan) for r in g.runs], tuple(g.intervals.get(name, UNKNOWN))) for g in groups
    ]
    return strips(
        [(label, values, (ends[0], ends[1])) for label, values, ends in rows], axis_of(name, texts), texts["spread"]
    )


def retention(groups: Sequence[Group], texts: dict[str, str]) -> dict[str, object] | None:
    """Return retention by the number of lessons since, as curves and half-lives with their intervals.

    Returns None for streams of fewer than five lessons. A share above 1 (a task that still improved) is drawn as 1.
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
    return {"drawing": curves(series, texts["retained"], ticks=ticks), "labels": labels, "rows": rows}


def over_orders(groups: Sequence[Group], texts: dict[str, str]) -> tuple[list[str], list[list[str]]] | None:
    """Return heads and rows of the methods that learnt the tasks in several orders; None if none did."""
    methods = [method for members in by_scenario(groups) for method in methods_of(members)]
    several = by_performance([method for method in methods if len(set(method.orders)) > 1])
    if not several:
        return None
    heads, rows = methods_table(several)
    heads = [texts["learner"], *heads[1:], texts["order_deviation"], texts["num_orders"]]
    return heads, [[*row, _over_orders(m), str(len(set(m.orders)))] for m, row in zip(several, rows, strict=True)]


def _over_orders(method: Method) -> str:
    scores = [group.score("average_performance") for group in method.groups]
    return printed(float(np.std(scores, ddof=1)), "score")


def value_with_interval(group: Group, name: str) -> str:
    """Return a figure with its 95 % interval, as text."""
    unit = all_metrics()[name].unit
    found = group.intervals.get(name, UNKNOWN)
    text = printed(group.score(name), unit)
    return text if math.isnan(found.low) else f"{text} ({printed(found.low, unit)} … {printed(found.high, unit)})"
