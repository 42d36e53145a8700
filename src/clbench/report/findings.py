"""What was found, in plain sentences with their numbers; what cannot be told from the runs is not said."""

from __future__ import annotations

import math
from collections.abc import Sequence

from clbench.metrics.ability import ability_deltas
from clbench.report.abilities import ability_curves, first_lost
from clbench.report.compare import unlikeness
from clbench.report.gather import Group
from clbench.report.overview import value_with_interval
from clbench.report.table import printed
from clbench.report.vouched import out_of_rankings
from clbench.stats.bootstrap import difference_of
from clbench.stats.paired import holm

AP, FM = "average_performance", "forgetting"
BOUNDS = ("frozen", "joint", "separate", "cumulative")


def findings(groups: Sequence[Group], words: dict[str, str]) -> list[str]:
    """Give the sentences, most important first."""
    said: list[str] = []
    ranked = [g for g in groups if not math.isnan(g.score(AP))]
    if ranked:
        said.append(words["best"].format(label=ranked[0].label, value=value_with_interval(ranked[0], AP)))
    forgot = [g for g in groups if not math.isnan(g.score(FM))]
    if len(forgot) > 1:
        most = max(forgot, key=lambda g: g.score(FM))
        said.append(words["forgot"].format(label=most.label, value=value_with_interval(most, FM)))
    plain = next((g for g in groups if g.runs[0].spec.learner_name == "sft"), None)
    if plain is not None:
        said += _against(plain, ranked, words)
        said += _lost(plain, words)
    counts = sorted({len(g.runs) for g in groups})
    seeds = words["seeds"].format(counts=", ".join(map(str, counts)))
    unsound = [words["not_ranked"].format(label=g, why="; ".join(why)) for g, why in out_of_rankings(groups).items()]
    return [*said, *unsound, words["one_run"] if counts == [1] else seeds]


def _against(plain: Group, ranked: Sequence[Group], words: dict[str, str]) -> list[str]:
    """Say which methods are surely better or worse than plain fine-tuning in AP, and of which nothing is shown."""
    spec = plain.runs[0].spec
    others = [
        g
        for g in ranked
        if g is not plain
        and g.runs[0].spec.learner_name not in BOUNDS
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
    said = [(words["surely_better"], better), (words["surely_worse"], worse), (words["nothing_shown"], unclear)]
    return [form.format(labels=", ".join(names)) for form, names in said if names]


def _lost(plain: Group, words: dict[str, str]) -> list[str]:
    """Say which ability plain fine-tuning loses most of, and which first."""
    said: list[str] = []
    lost = {k: v for k, v in ability_deltas(plain.mean).items() if not math.isnan(v)}
    if lost:
        worst = min(lost, key=lambda name: lost[name])
        if lost[worst] < 0:
            value = printed(-lost[worst], "score")
            said.append(words["lost"].format(label=plain.label, exam=worst, value=value))
    curves = ability_curves(plain.mean, plain.runs)
    if names := first_lost(curves):
        step = min(c.lost for c in curves if c.lost is not None)
        said.append(words["first_lost"].format(label=plain.label, abilities=", ".join(names), step=step))
    return said
