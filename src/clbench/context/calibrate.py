"""A judge against labels by people: how often it errs, and the rate that people would have given."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clbench.context.graded import Graded
from clbench.context.labels import Item, Label, Stratum, judged_rows, strata_of
from clbench.core.errors import DataError
from clbench.stats import calibration
from clbench.stats.agreement import Kappa, cohen, krippendorff_alpha
from clbench.stats.calibration import Calibration


@dataclass(frozen=True)
class OfCategory:
    """The labels of one category of tasks."""

    name: str
    agreement: Kappa


@dataclass(frozen=True)
class Result:
    """A judge against people, rubric by rubric.

    Attributes:
        judge: Its rates, and the corrected rate of rubrics met.
        agreement: Kappa and PABAK, strata weighed by their size.
        categories: The same for each category.
        labels, items, ties: Labels read, rubrics that they are of, and rubrics left out since as many say yes as no.
        annotators: How many; `alpha` is Krippendorff's among them, NaN for one.
        tasks: Answers all of whose rubrics are labelled, and how judge and people agree on whether they pass.
        perfect_failed: Share of perfect answers that the judge fails, if its errors are independent of each other.
    """

    judge: Calibration
    agreement: Kappa
    categories: tuple[OfCategory, ...]
    labels: int
    items: int
    ties: int
    annotators: int
    alpha: float
    tasks: Kappa
    perfect_failed: float


def calibrated(grades: Sequence[Graded], labels: Sequence[Label]) -> Result:
    """Return what labels say of the judge of these answers.

    Raises:
        DataError: None of the rubrics that the judge calls met, or none of the others, has a label.
    """
    people, ties = _majority(labels)
    rows = judged_rows(grades)
    strata = _merged(strata_of(grades), people)
    verdicts = {item: rows[item.task, item.trial].met[item.rubric - 1] for item in people}
    weights = _weights(strata, people)
    order = list(people)
    sensitivity = (found := _calibration(grades, strata, people)).sensitivity.value
    sizes = np.array([len(row.met) for row in rows.values()], dtype=np.float64)
    return Result(
        judge=found,
        agreement=_agreement(order, verdicts, people, rows, weights),
        categories=tuple(_by_category(order, verdicts, people, rows, weights)),
        labels=len(labels),
        items=len(people),
        ties=ties,
        annotators=len({label.annotator for label in labels}),
        alpha=_alpha(labels),
        tasks=_of_tasks(people, rows),
        perfect_failed=math.nan if math.isnan(sensitivity) else float((1 - sensitivity**sizes).mean()),
    )


def _majority(labels: Sequence[Label]) -> tuple[dict[Item, bool], int]:
    votes: dict[Item, list[bool]] = defaultdict(list)
    for label in labels:
        votes[label.item].append(label.met)
    found = {item: 2 * sum(met) > len(met) for item, met in votes.items() if 2 * sum(met) != len(met)}
    return found, len(votes) - len(found)


def _merged(pools: dict[Stratum, list[Item]], people: dict[Item, bool]) -> list[tuple[bool, set[Item]]]:
    """Return (verdict, items) of strata with labels; one without any is joined with the other of its verdict."""
    found: list[tuple[bool, set[Item]]] = []
    for verdict in (True, False):
        own = [set(items) for name, items in sorted(pools.items()) if name.verdict == verdict]
        if not own:
            continue
        if all(any(item in items for item in people) for items in own):
            found += [(verdict, items) for items in own]
            continue
        whole = set[Item]().union(*own)
        if not any(item in whole for item in people):
            said = "met" if verdict else "not met"
            what = f"none of the {len(whole)} rubrics that the judge calls {said} has a label"
            raise DataError(what, where="labels", mend="label some of both kinds: `--plan N` chooses them")
        found.append((verdict, whole))
    return found


def _weights(strata: Sequence[tuple[bool, set[Item]]], people: dict[Item, bool]) -> dict[Item, float]:
    """Return for how many verdicts of its stratum each label stands."""
    found: dict[Item, float] = {}
    for _, items in strata:
        labelled = [item for item in people if item in items]
        found |= dict.fromkeys(labelled, len(items) / len(labelled))
    return found


def _calibration(
    grades: Sequence[Graded], strata: Sequence[tuple[bool, set[Item]]], people: dict[Item, bool]
) -> Calibration:
    counted: list[calibration.Stratum] = []
    place: dict[Item, int] = {}
    for number, (verdict, items) in enumerate(strata):
        labelled = [item for item in people if item in items]
        yes = sum(people[item] for item in labelled)
        counted.append(calibration.Stratum(verdict, len(items), len(labelled), yes))
        place |= dict.fromkeys(items, number)
    rows = judged_rows(grades)
    order = [Item(*key, number) for key, row in rows.items() for number in range(1, len(row.met) + 1)]
    others = calibration.over_contexts(
        np.array([place[item] for item in order], dtype=np.intp),
        np.array([met for row in rows.values() for met in row.met]),
        np.array([float(people[item]) if item in people else math.nan for item in order]),
        [row.task.context for row in rows.values() for _ in row.met],
    )
    return calibration.calibrate(counted, others)


def _agreement(
    order: Sequence[Item],
    verdicts: dict[Item, bool],
    people: dict[Item, bool],
    rows: dict[tuple[str, int], Graded],
    weights: dict[Item, float],
) -> Kappa:
    one, two = (np.array([float(side[item]) for item in order]) for side in (verdicts, people))
    contexts = [rows[item.task, item.trial].task.context for item in order]
    return cohen(one, two, contexts, np.array([weights[item] for item in order]))


def _by_category(
    order: Sequence[Item],
    verdicts: dict[Item, bool],
    people: dict[Item, bool],
    rows: dict[tuple[str, int], Graded],
    weights: dict[Item, float],
) -> list[OfCategory]:
    found: dict[str, list[Item]] = defaultdict(list)
    for item in order:
        found[rows[item.task, item.trial].task.category].append(item)
    return [
        OfCategory(name, _agreement(items, verdicts, people, rows, weights)) for name, items in sorted(found.items())
    ]


def _alpha(labels: Sequence[Label]) -> float:
    counts: dict[Item, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for label in labels:
        counts[label.item][label.met] += 1
    return krippendorff_alpha(np.array(list(counts.values())))


def _of_tasks(people: dict[Item, bool], rows: dict[tuple[str, int], Graded]) -> Kappa:
    judge: list[float] = []
    human: list[float] = []
    contexts: list[str] = []
    for (task, trial), row in rows.items():
        labels = [people.get(Item(task, trial, number)) for number in range(1, len(row.met) + 1)]
        if None not in labels:
            judge.append(float(all(row.met)))
            human.append(float(all(labels)))
            contexts.append(row.task.context)
    return cohen(np.array(judge), np.array(human), contexts)
