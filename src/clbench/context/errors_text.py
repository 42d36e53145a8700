"""Classes of errors as tables: how many answers have each, beside the paper's, and how far two judges agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from clbench.context.error_classes import MEANINGS, PAPER
from clbench.context.tables import Section, decimal, percent, span
from clbench.stats.agreement import cohen
from clbench.stats.clustered import ratio_interval

Classes = Mapping[tuple[str, int], tuple[str, ...]]


def class_section(classes: Classes, contexts: Mapping[str, str], title: str) -> Section:
    """Return how many failed answers have each class, with intervals over contexts.

    Args:
        classes: Of each failed answer, by task and trial.
        contexts: The context of each task.
        title: Of the table.
    """
    keys = list(classes)
    groups = [contexts[task] for task, _ in keys]
    names = [*MEANINGS, *sorted({n for given in classes.values() for n in given} - set(MEANINGS))]
    rows: list[tuple[str, ...]] = []
    for name in names:
        has = np.array([float(name in classes[key]) for key in keys])
        if not has.any() and name not in PAPER:
            continue
        _, low, high = ratio_interval(has, np.ones(len(keys)), groups) if keys else (0.0, np.nan, np.nan)
        paper = "–" if name not in PAPER else f"{PAPER[name][0]} to {PAPER[name][1]}"
        share = percent(float(has.mean())) if keys else "–"
        rows.append((name, str(int(has.sum())), share, span(low, high), paper))
    notes = (
        f"{len(keys)} answers failed or were not judged; one may have several classes, and shares are of all of them",
        "paper: arXiv:2602.03587, lowest and highest of ten models, by another judge and prompt",
    )
    return Section(title, ("class", "answers", "%", "95 %", "paper, %"), tuple(rows), notes)


def agreement_section(judges: Mapping[str, Classes], contexts: Mapping[str, str]) -> Section:
    """Return Cohen's kappa of each two judges on each class, over answers that both classified."""
    names = list(judges)
    rows: list[tuple[str, ...]] = []
    for place, one in enumerate(names):
        for two in names[place + 1 :]:
            shared = [key for key in judges[one] if key in judges[two]]
            groups = [contexts[task] for task, _ in shared]
            rows += [_kappa(name, (judges[one], judges[two]), shared, groups, f"{one} / {two}") for name in MEANINGS]
    notes = ("of answers that both classified; those that code classifies are left out",)
    return Section(
        "agreement on classes", ("class", "judges", "answers", "equal, %", "kappa", "95 %"), tuple(rows), notes
    )


def _kappa(
    name: str, both: tuple[Classes, Classes], shared: Sequence[tuple[str, int]], groups: Sequence[str], judges: str
) -> tuple[str, ...]:
    one, two = (np.array([float(name in classes[key]) for key in shared]) for classes in both)
    found = cohen(one, two, groups)
    kappa = (decimal(found.kappa), f"{decimal(found.low)} to {decimal(found.high)}")
    return (name, judges, str(found.items), percent(found.agreement), *kappa)
