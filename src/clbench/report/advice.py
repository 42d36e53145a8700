"""Which method, under these constraints? From measured results, with what was excluded and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from clbench.core.keys import rng
from clbench.metrics import all_metrics
from clbench.report.facts import SAID, Facts, facts
from clbench.report.gather import Group
from clbench.report.safe import plain
from clbench.report.table import as_text, cell, printed
from clbench.stats.bootstrap import difference_of

AP, FM, GAD = "average_performance", "forgetting", "general_ability_delta"
OBJECTIVES = (AP, FM, GAD, "train_seconds", "kept_bytes")
SHOWN = (AP, FM, GAD, "train_seconds", "peak_memory_bytes", "kept_bytes")
DRAWS = 4000


@dataclass(frozen=True)
class Limits:
    """What a method must keep to; None is no limit.

    Attributes:
        stored_data: False: it may keep no users' examples, nor text that may quote them.
        task_known: Whether questions come with their task; None: it does not matter.
        memory_bytes, kept_bytes: Most memory of a process (or of the accelerator), and most bytes kept beside the base
            model: stored examples, other state and added parameters.
        hours: Most hours of learning, all lessons together.
        ability_drop: Most that the average of general abilities may fall, in [0, 1].
    """

    stored_data: bool = True
    task_known: bool | None = None
    memory_bytes: float | None = None
    kept_bytes: float | None = None
    hours: float | None = None
    ability_drop: float | None = None


@dataclass(frozen=True)
class Advice:
    """What to use.

    Attributes:
        ranked: Methods that keep to the limits, highest AP first.
        chances: For each of them, how often it would have the highest AP with other items and other seeds.
        front: Of those, labels of the ones that no other beats in AP, FM, GAD, time and bytes kept together.
        excluded: (label, why) of all others.
        gap: (difference of AP to the second, low, high, p); NaN where there is no second.
    """

    ranked: tuple[Group, ...]
    chances: tuple[float, ...]
    front: tuple[str, ...]
    excluded: tuple[tuple[str, str], ...]
    gap: tuple[float, float, float, float]


def advise(groups: Sequence[Group], limits: Limits) -> Advice:
    """Choose among methods that were measured on one stream and model.

    Source of the chance of being best: the parametric bootstrap over seeds beside that over items.
    """
    kept: list[Group] = []
    excluded: list[tuple[str, str]] = []
    for group in groups:
        why = _why_not(group, limits)
        if why:
            excluded.append((group.label, why))
        else:
            kept.append(group)
    kept.sort(key=lambda g: -g.score(AP))
    gap = (math.nan, math.nan, math.nan, math.nan)
    if len(kept) > 1:
        change, p = difference_of(*kept[1].by_seed(AP), *kept[0].by_seed(AP))
        gap = (kept[0].score(AP) - kept[1].score(AP), change.low, change.high, p)
    return Advice(tuple(kept), tuple(_chances(kept)), tuple(_front(kept)), tuple(excluded), gap)


def _why_not(group: Group, limits: Limits) -> str:
    """Say why a method is out; empty if it is not."""
    known = _known(group)
    if math.isnan(group.score(AP)):
        return "its average performance is not known"
    if known.family == "bounds" and group.runs[0].spec.learner_name != "sft":
        return "a bound to compare with, no method for a stream"
    return _data(group, known, limits) or _sizes(group, limits)


def _known(group: Group) -> Facts:
    return facts(group.runs[0].spec.learner, group.runs[0].provenance)


def _data(group: Group, known: Facts, limits: Limits) -> str:
    if not limits.stored_data:
        if known.stores is None:
            return "it is not known whether it stores users' examples"
        if known.stores_data:
            return f"it keeps {SAID[known.stores]}"
    told = group.runs[0].outline.reveals == "task"
    if limits.task_known is False and known.needs_task:
        return "it must be told the task of a question"
    if limits.task_known is False and told and known.uses_task is not False:
        return "it was measured with tasks told, and answers otherwise without"
    return ""


def _sizes(group: Group, limits: Limits) -> str:
    memory = max(_or_0(group.score("device_memory_bytes")), _or_0(group.score("peak_memory_bytes")))
    checks = (
        (memory, limits.memory_bytes, "memory", "bytes"),
        (group.score("kept_bytes"), limits.kept_bytes, "kept bytes", "bytes"),
        (group.score("train_seconds"), None if limits.hours is None else 3600 * limits.hours, "time", "seconds"),
        (-group.score(GAD), limits.ability_drop, "loss of general ability", "score"),
    )
    for value, most, name, unit in checks:
        if most is not None and not value <= most + 1e-12:
            return f"{name}: {printed(value, unit)}, more than {printed(most, unit)}"
    return ""


def _or_0(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def _front(groups: Sequence[Group]) -> list[str]:
    names = [n for n in OBJECTIVES if all(not math.isnan(g.score(n)) for g in groups)]

    def worth(group: Group) -> tuple[float, ...]:
        return tuple((-1 if all_metrics()[n].better == "low" else 1) * group.score(n) for n in names)

    def beaten(group: Group) -> bool:
        mine = worth(group)
        return any(all(a >= b for a, b in zip(w, mine, strict=True)) and w != mine for w in map(worth, groups))

    return [g.label for g in groups if not beaten(g)]


def _chances(groups: Sequence[Group]) -> list[float]:
    """Draw AP of every method with other items (the same for all) and other seeds; give how often each is best."""
    chance = rng(0, DRAWS, "advice")
    which = chance.integers(0, 10**9, size=DRAWS)
    columns: list[np.ndarray] = []
    for group in groups:
        values, draws = group.by_seed(AP)
        items = np.mean(draws, axis=0)[which % len(draws[0])] if draws else np.full(DRAWS, float(np.mean(values)))
        error = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
        columns.append(items + (error * chance.standard_t(len(values) - 1, size=DRAWS) if error else 0.0))
    if not columns:
        return []
    best = np.argmax(np.stack(columns), axis=0)
    return [float((best == k).mean()) for k in range(len(columns))]


# --- as text and JSON ---------------------------------------------------------------------------------------------


def as_table(found: Advice) -> str:
    """Give the advice for the terminal."""
    parts: list[str] = []
    if found.ranked:
        first = found.ranked[0]
        parts.append(f"Recommended: {plain(first.label)} ({_sure(found)})")
        table = Table(box=box.SIMPLE_HEAD, caption=_note(found), caption_justify="left")
        table.add_column("method", no_wrap=True)
        for name in SHOWN:
            table.add_column(all_metrics()[name].symbol, justify="right", no_wrap=True)
        table.add_column("best in", justify="right")
        table.add_column("front", no_wrap=True)
        table.add_column("keeps", no_wrap=True)
        for group, chance in zip(found.ranked, found.chances, strict=True):
            on_front = "*" if group.label in found.front else ""
            table.add_row(
                plain(group.label),
                *(cell(group, n) for n in SHOWN),
                f"{100 * chance:.0f} %",
                on_front,
                _known(group).stores or "?",
            )
        parts.append(as_text(table))
    else:
        parts.append("Nothing that was measured keeps to these limits.")
    parts += [f"excluded: {plain(label)}: {why}" for label, why in found.excluded]
    return "\n".join(parts)


def _sure(found: Advice) -> str:
    gap, low, high, p = found.gap
    if math.isnan(gap):
        return "nothing else is left"
    ends = f"{printed(low, 'score')} to {printed(high, 'score')}"
    ahead = f"{printed(gap, 'score')} points of AP before {plain(found.ranked[1].label)} ({ends})"
    if math.isnan(p):
        return f"{ahead}; how sure that is cannot be told"
    sure = "sure at 5 %" if p <= 0.05 else "not sure: it may be chance"
    return f"{ahead}; {sure}, best in {100 * found.chances[0]:.0f} %"


def _note(found: Advice) -> str:
    counts = sorted({len(g.runs) for g in found.ranked})
    seeds = "one seed each: other seeds are not in it" if counts == [1] else f"seeds: {', '.join(map(str, counts))}"
    return (
        f"Best in: share of draws of other items and other seeds in which the method has the highest AP ({seeds}). "
        "*: on the Pareto front of AP, FM, GAD, time and bytes kept. Keeps: what of users' data lies beside the "
        "trained weights (none, derived numbers, text that may_quote, examples; ?: not known). Measured on this stream "
        "and model; another model needs its own measurement."
    )


def as_json(found: Advice) -> dict[str, Any]:
    """Give the advice as a JSON value."""

    def number(value: float) -> float | None:
        return None if math.isnan(value) else value

    return {
        "recommended": found.ranked[0].label if found.ranked else None,
        "gap": [number(v) for v in found.gap],
        "methods": [
            {
                "label": g.label,
                "best_in": chance,
                "front": g.label in found.front,
                "stores": _known(g).stores,
                **{n: number(g.score(n)) for n in SHOWN},
            }
            for g, chance in zip(found.ranked, found.chances, strict=True)
        ],
        "excluded": [{"label": label, "why": why} for label, why in found.excluded],
    }
