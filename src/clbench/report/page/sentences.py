"""The summary: plain sentences with their numbers, and none that the runs do not support."""

from __future__ import annotations

import math
from collections.abc import Sequence

from clbench.metrics.ability import ability_deltas
from clbench.report.decide.compare import unlikeness
from clbench.report.page.overview import value_with_interval
from clbench.report.runs.abilities import ability_curves, first_lost
from clbench.report.runs.groups import Group
from clbench.report.runs.leaders import is_bound
from clbench.report.runs.orders import told_of
from clbench.report.runs.vouched import out_of_rankings
from clbench.report.tables.table import printed, seeds_a_row
from clbench.report.tables.translations import TRANSLATIONS
from clbench.report.tables.words import word
from clbench.stats.bootstrap import difference_of
from clbench.stats.paired import holm

AP, FM = "average_performance", "forgetting"


def summary_sentences(groups: Sequence[Group], texts: dict[str, str]) -> list[str]:
    """Return the sentences, most important first."""
    sentences: list[str] = []
    known = [g for g in groups if not math.isnan(g.score(AP))]
    ranked = [g for g in known if not is_bound(g) and told_of(g) != "unbounded"]
    if ranked:
        sentences.append(texts["best"].format(label=ranked[0].label, value=value_with_interval(ranked[0], AP)))
    if bounds := [f"{g.label} {value_with_interval(g, AP)}" for g in known if is_bound(g)]:
        sentences.append(texts["upper"].format(labels=", ".join(bounds)))
    forgot = [g for g in groups if not math.isnan(g.score(FM))]
    if len(forgot) > 1:
        most = max(forgot, key=lambda g: g.score(FM))
        sentences.append(texts["forgot"].format(label=most.label, value=value_with_interval(most, FM)))
    plain = next((g for g in groups if g.runs[0].spec.learner_name == "sft"), None)
    if plain is not None:
        sentences += _against(plain, ranked, texts)
        sentences += _lost(plain, texts)
    counts = sorted({len(g.runs) for g in groups})
    seeds = texts["seeds"].format(counts=seeds_a_row(counts, texts)) if counts else ""
    unsound = [texts["not_ranked"].format(label=g, why="; ".join(why)) for g, why in out_of_rankings(groups).items()]
    return [*sentences, *unsound, texts["one_run"] if counts == [1] else seeds]


def _against(plain: Group, ranked: Sequence[Group], texts: dict[str, str]) -> list[str]:
    """Return which methods are significantly better or worse than plain fine-tuning in AP, and which are neither."""
    spec = plain.runs[0].spec
    others = [
        g
        for g in ranked
        if g is not plain
        and (g.runs[0].spec.stream, g.runs[0].spec.model) == (spec.stream, spec.model)
        and not any(unlikeness(plain, g))
    ]
    found = [difference_of(*plain.by_seed(AP), *g.by_seed(AP)) for g in others]
    adjusted = holm([p for _, p in found])
    better: list[str] = []
    worse: list[str] = []
    unclear: list[str] = []
    for group, (change, _), p in zip(others, found, adjusted, strict=True):
        gap = group.score(AP) - plain.score(AP)
        ends = f"{printed(change.low, 'score')} … {printed(change.high, 'score')}"
        text = f"{group.label} {'+' if gap > 0 else ''}{printed(gap, 'score')} ({ends})"
        sure = not math.isnan(p) and p <= 0.05
        (unclear if not sure else better if gap > 0 else worse).append(text if sure else group.label)
    lists = [(texts["surely_better"], better), (texts["surely_worse"], worse), (texts["nothing_shown"], unclear)]
    return [form.format(labels=", ".join(names)) for form, names in lists if names]


def _lost(plain: Group, texts: dict[str, str]) -> list[str]:
    """Return which ability plain fine-tuning loses most of, and which first."""
    sentences: list[str] = []
    lost = {k: v for k, v in ability_deltas(plain.mean).items() if not math.isnan(v)}
    if lost:
        worst = min(lost, key=lambda name: lost[name])
        if lost[worst] < 0:
            value = printed(-lost[worst], "score")
            sentences.append(texts["lost"].format(label=plain.label, exam=word(worst, texts), value=value))
    curves = ability_curves(plain.mean, plain.runs)
    if names := first_lost(curves):
        lesson = min(c.lost for c in curves if c.lost is not None)
        listed = ("、" if texts is TRANSLATIONS["zh"] else ", ").join(word(name, texts) for name in names)
        sentences.append(texts["first_lost"].format(label=plain.label, abilities=listed, lesson=lesson))
    return sentences
