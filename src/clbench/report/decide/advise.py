"""Recommend a method under constraints, from measured results; say what was excluded, and how sure the choice is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from rich import box
from rich.table import Table

from clbench.core.keys import rng
from clbench.core.traits import ModelFamily, Traits
from clbench.metrics import all_metrics
from clbench.report.decide.texts import TEXTS, heads
from clbench.report.escape import plain
from clbench.report.runs.groups import Group
from clbench.report.runs.traits import traits_of
from clbench.report.tables.table import as_text, cell, printed, seeds_a_row
from clbench.report.tables.translations import TRANSLATIONS
from clbench.stats.bootstrap import difference_of

AP, FM, GAD = "average_performance", "forgetting", "general_ability_delta"
OBJECTIVES = (AP, FM, GAD, "train_seconds", "kept_bytes")
COLUMNS = (AP, FM, GAD, "train_seconds", "peak_memory_bytes", "kept_bytes")
SAMPLES = 4000


@dataclass(frozen=True)
class Limits:
    """Constraints on a method; None means no limit.

    Attributes:
        stored_data: Whether it may keep users' examples, or text that may quote them.
        task_known: Whether questions come with their task id; None: it does not matter.
        memory_bytes: Largest memory of a process, or of the accelerator.
        kept_bytes: Most bytes kept beside the base model: stored examples, other state and added parameters.
        hours: Most hours of learning, all lessons together.
        ability_drop: Largest drop of the average of general abilities, in [0, 1].
        family: Kind of the model that the method is for: "causal" or "encoder".
    """

    stored_data: bool = True
    task_known: bool | None = None
    memory_bytes: float | None = None
    kept_bytes: float | None = None
    hours: float | None = None
    ability_drop: float | None = None
    family: ModelFamily | None = None


class Reason(NamedTuple):
    """Why a method is excluded: the key of a sentence, and the texts that stand in it."""

    key: str
    values: Mapping[str, str] = {}


@dataclass(frozen=True)
class Advice:
    """The recommendation.

    Attributes:
        ranked: Methods within the limits, highest AP first.
        best_shares: For each of them, the share of samples of items and seeds in which it has the highest AP.
        front: Labels of those on the Pareto front of AP, FM, GAD, time and bytes kept.
        excluded: (label, why) of all others.
        gap: (AP of the first less that of the second, low, high, p); NaN where there is no second.
    """

    ranked: tuple[Group, ...]
    best_shares: tuple[float, ...]
    front: tuple[str, ...]
    excluded: tuple[tuple[str, Reason], ...]
    gap: tuple[float, float, float, float]


def advise(groups: Sequence[Group], limits: Limits) -> Advice:
    """Return the recommendation among methods that were measured on one stream and model.

    The shares of being best come from a parametric bootstrap over seeds beside the bootstrap over items.
    """
    kept: list[Group] = []
    excluded: list[tuple[str, Reason]] = []
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
    return Advice(tuple(kept), tuple(_best_shares(kept)), tuple(_front(kept)), tuple(excluded), gap)


def _why_not(group: Group, limits: Limits) -> Reason | None:
    """Return why a method is excluded; None if it is not."""
    known = _known(group)
    if math.isnan(group.score(AP)):
        return Reason("why_unknown")
    if known.family == "bounds" and group.runs[0].spec.learner_name != "sft":
        return Reason("why_bound")
    if known.unbounded:
        return Reason("why_unbounded")
    if limits.family is not None and known.model_families and limits.family not in known.model_families:
        return Reason(f"why_not_{limits.family}")
    return _data(group, known, limits) or _sizes(group, limits)


def _known(group: Group) -> Traits:
    return traits_of(group.runs[0].spec.learner, group.runs[0].provenance)


def _data(group: Group, known: Traits, limits: Limits) -> Reason | None:
    if not limits.stored_data:
        if known.stores is None:
            return Reason("why_stores_unknown")
        if known.stores_text:
            return Reason(f"why_stores_{known.stores}")
    given = group.runs[0].stream.task_ids == "given"
    if limits.task_known is False and known.needs_task_ids:
        return Reason("why_task_id")
    if limits.task_known is False and given and known.uses_task_ids is not False:
        return Reason("why_task_given")
    return None


def _sizes(group: Group, limits: Limits) -> Reason | None:
    memory = max(_or_0(group.score("device_memory_bytes")), _or_0(group.score("peak_memory_bytes")))
    checks = (
        (memory, limits.memory_bytes, "memory", "bytes"),
        (group.score("kept_bytes"), limits.kept_bytes, "kept_bytes", "bytes"),
        (group.score("train_seconds"), None if limits.hours is None else 3600 * limits.hours, "time", "seconds"),
        (-group.score(GAD), limits.ability_drop, "ability_loss", "score"),
    )
    for value, most, name, unit in checks:
        if most is not None and not value <= most + 1e-12:
            return Reason("why_more", {"name": name, "value": printed(value, unit), "most": printed(most, unit)})
    return None


def _said(why: Reason, texts: dict[str, str]) -> str:
    """Return a reason in the language of the texts; the name of what is too large is a key of its own."""
    named = {"name": texts[why.values["name"]]} if "name" in why.values else {}
    return texts[why.key].format(**{**why.values, **named})


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


def _best_shares(groups: Sequence[Group]) -> list[float]:
    """Return how often each method has the highest AP over samples of items (the same for all) and of seeds."""
    randomness = rng(0, SAMPLES, "advice")
    which = randomness.integers(0, 10**9, size=SAMPLES)
    columns: list[np.ndarray] = []
    for group in groups:
        values, samples = group.by_seed(AP)
        items = (
            np.mean(samples, axis=0)[which % len(samples[0])] if samples else np.full(SAMPLES, float(np.mean(values)))
        )
        error = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
        columns.append(items + (error * randomness.standard_t(len(values) - 1, size=SAMPLES) if error else 0.0))
    if not columns:
        return []
    best = np.argmax(np.stack(columns), axis=0)
    return [float((best == k).mean()) for k in range(len(columns))]


# --- as text and JSON ---------------------------------------------------------------------------------------------


def as_table(found: Advice, lang: str = "en") -> str:
    """Return the recommendation for the terminal, in "en" or "zh"."""
    texts = TEXTS[lang]
    if not found.ranked:
        parts = [texts["none_within"]]
    else:
        sure = _sure(found, texts)
        parts = [texts["recommended"].format(label=plain(found.ranked[0].label), sure=sure)]
        parts.append(as_text(_table(found, texts, lang)))
    parts += [texts["excluded"].format(label=plain(each), why=_said(why, texts)) for each, why in found.excluded]
    return "\n".join(parts)


def _table(found: Advice, texts: dict[str, str], lang: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, caption=_note(found, texts, lang), caption_justify="left")
    method, _, *others = heads(texts, "advise_heads", figures="")
    for head in (method, *(all_metrics()[name].symbol for name in COLUMNS), *others):
        left = head in (method, *others[1:])
        table.add_column(head, justify="left" if left else "right", no_wrap=head != others[0])
    for group, share in zip(found.ranked, found.best_shares, strict=True):
        figures = [cell(group, name) for name in COLUMNS]
        on_front = "*" if group.label in found.front else ""
        table.add_row(plain(group.label), *figures, f"{100 * share:.0f} %", on_front, _known(group).stores or "?")
    return table


def _sure(found: Advice, texts: dict[str, str]) -> str:
    gap, low, high, p = found.gap
    if math.isnan(gap):
        return texts["no_other"]
    key = "unsure" if math.isnan(p) else "significant" if p <= 0.05 else "not_significant"
    return texts["ahead"].format(
        gap=printed(gap, "score"),
        label=plain(found.ranked[1].label),
        ends=texts["to"].format(low=printed(low, "score"), high=printed(high, "score")),
        sure=texts[key].format(share=f"{100 * found.best_shares[0]:.0f}"),
    )


def _note(found: Advice, texts: dict[str, str], lang: str) -> str:
    counts = sorted({len(g.runs) for g in found.ranked})
    seeds = texts["advise_one_seed"] if counts == [1] else seeds_a_row(counts, TRANSLATIONS[lang])
    return texts["advise_note"].format(seeds=seeds)


def as_json(found: Advice) -> dict[str, Any]:
    """Return the recommendation as a JSON value."""

    def number(value: float) -> float | None:
        return None if math.isnan(value) else value

    return {
        "recommended": found.ranked[0].label if found.ranked else None,
        "gap": [number(v) for v in found.gap],
        "methods": [
            {
                "label": g.label,
                "best_in": share,
                "front": g.label in found.front,
                "stores": _known(g).stores,
                **{n: number(g.score(n)) for n in COLUMNS},
            }
            for g, share in zip(found.ranked, found.best_shares, strict=True)
        ],
        "excluded": [{"label": label, "why": _said(why, TEXTS["en"])} for label, why in found.excluded],
    }
