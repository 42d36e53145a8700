"""Compare runs pair by pair: which figures differ and by how much, and which items flipped."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from clbench.core.differences import differences
from clbench.core.errors import SpecError, did_you_mean
from clbench.core.graded import GradedItems
from clbench.core.item_scores import ExamScores
from clbench.core.types import ScorerSpec
from clbench.metrics import all_metrics
from clbench.report.runs.choose import Choice, choose_runs
from clbench.report.runs.exam_items import marked_rows
from clbench.report.runs.groups import Group, group_runs, seed_order
from clbench.report.runs.item_histories import texts_of
from clbench.report.runs.load import RunRecord, load_runs
from clbench.stats.bootstrap import Interval, difference_of, possible
from clbench.stats.paired import Difference, discordant, holm, paired_difference, paired_permutation
from clbench.stats.power import items_needed, seeds_needed

ALL = Choice()


@dataclass(frozen=True)
class FigureChange:
    """A figure of two sides.

    Costs (time, memory, tokens) are measured, not tested: their p is NaN, and Holm's correction does not count them.

    Attributes:
        name: Of the figure.
        one, two: Means over seeds.
        change: 95 % interval of two - one.
        p, adjusted: p, and p after Holm's correction over figures.
    """

    name: str
    one: float
    two: float
    change: Interval
    p: float
    adjusted: float


@dataclass(frozen=True)
class ExamChange:
    """An exam after the last lesson, over the items that both sides have graded.

    Attributes:
        exam: Its name.
        one, two: Scores, by the exam's own rule.
        change: two - one, with its interval.
        p, adjusted: p, and p after Holm's correction over exams.
        gained, lost: How many items rose and fell.
        discordant: Mean square of the items' differences, for the power of a test.
    """

    exam: str
    one: float
    two: float
    change: Difference
    p: float
    adjusted: float
    gained: int
    lost: int
    discordant: float = math.nan


@dataclass(frozen=True)
class Flip:
    """An item that one side got right and the other wrong, as the model saw it; missing texts are empty."""

    exam: str
    id: str
    gained: bool
    question: str
    expected: tuple[str, ...]
    one: str
    two: str


@dataclass(frozen=True)
class Comparison:
    """Two sides.

    Attributes:
        one, two: The sides.
        settings: What differs in their specs: (field, of one, of two).
        figures, exams: What differs in their results.
        flips: Items that flipped, those that fell first.
        seeds: (number of runs of one, of two).
        separate: (items per exam, seeds) that would show a difference of average performance; infinite if none would.
    """

    one: Group
    two: Group
    settings: tuple[tuple[str, str, str], ...]
    figures: tuple[FigureChange, ...]
    exams: tuple[ExamChange, ...]
    flips: tuple[Flip, ...]
    seeds: tuple[int, int]
    separate: tuple[float, float]

    @property
    def left_out(self) -> tuple[str, ...]:
        """Return the names of the exams with no item that every run graded after the last lesson."""
        compared = {e.exam for e in self.exams}
        return tuple(s.exam for s in self.one.runs[0].item_scores.exams if s.exam not in compared)


def sides_of(paths: Sequence[Path], only: Sequence[str] = (), choice: Choice = ALL) -> list[Group]:
    """Return the sides: each result folder is one, and so are the runs of one method in a folder of several.

    Args:
        paths: Result folders, or folders that hold some.
        only: Labels of the sides to compare; all of them where it is empty.
        choice: Which runs count.

    Raises:
        DataError: There is no result, or a broken one, or none that is chosen.
        SpecError: There is only one side, or no side with such a label.
    """
    sides: list[Group] = []
    for path in paths:
        runs = choose_runs(load_runs([path]), choice)
        groups = group_runs(runs)
        name = path.name if len(runs) == 1 and len(paths) > 1 else ""
        sides += [replace(g, label=name or g.label) for g in groups]
    labels = [s.label for s in sides]
    unique = [f"{label} ({n})" if labels.count(label) > 1 else label for n, label in enumerate(labels, start=1)]
    sides = [replace(s, label=label) for s, label in zip(sides, unique, strict=True)]
    for wanted in only:
        if wanted not in unique:
            raise SpecError(f"there is no side {wanted!r}", where="--only", mend=did_you_mean(wanted, unique))
    sides = [s for s in sides if not only or s.label in only]
    if len(sides) < 2:
        mend = "name two result folders, or a folder that holds runs of several methods"
        raise SpecError("there is only one side", where=" ".join(map(str, paths)), mend=mend)
    return sides


def comparisons(sides: Sequence[Group], against: str | None, most_flips: int = 5) -> list[Comparison]:
    """Compare every side with the side named `against`, or with the first one.

    Raises:
        SpecError: There is no side of that name, or two sides were not asked the same questions; it says what differs.
    """
    labels = [s.label for s in sides]
    if against is not None and against not in labels:
        raise SpecError(f"there is no side {against!r}", where="--against", mend=did_you_mean(against, labels))
    one = sides[labels.index(against)] if against is not None else sides[0]
    return [compare(one, two, most_flips) for two in sides if two is not one]


def compare(one: Group, two: Group, most_flips: int = 5) -> Comparison:
    """Compare two sides; see `comparisons`."""
    if unlike := list(unlikeness(one, two)):
        listed = "\n  - ".join(unlike)
        raise SpecError(
            f"{one.label} and {two.label} cannot be compared:\n  - {listed}",
            where="compare",
            mend="run both on the same stream, exams and version of clbench",
        )
    exams, figures = _exams(one, two), _figures(one, two)
    return Comparison(
        one,
        two,
        tuple(_settings(one.runs[0], two.runs[0])),
        figures,
        exams,
        tuple(_flips(one.runs[0], two.runs[0], most_flips)),
        (len(one.runs), len(two.runs)),
        _separating(one, two, exams),
    )


def unlikeness(one: Group, two: Group) -> Iterator[str]:
    """Yield what was asked or graded differently; nothing where two sides can be compared."""
    first, second = one.runs[0], two.runs[0]
    mine, theirs = {s.exam: s for s in first.item_scores.exams}, {s.exam: s for s in second.item_scores.exams}
    if not mine or not theirs:
        yield "their items are not on record"
        return
    if only := sorted(mine.keys() ^ theirs.keys()):
        yield f"exams of only one side: {', '.join(only)}"
    if first.matrix.num_lessons != second.matrix.num_lessons:
        yield f"{first.matrix.num_lessons} and {second.matrix.num_lessons} lessons"
    for name in [n for n in mine if n in theirs]:
        yield from unlike_scores(mine[name], theirs[name])


def unlike_scores(one: ExamScores, two: ExamScores) -> Iterator[str]:
    """Yield why the scores of two sides in an exam cannot be paired; nothing where they can."""
    where = f"exam {one.exam}"
    if one.ids != two.ids:
        gone, new = len(set(one.ids) - set(two.ids)), len(set(two.ids) - set(one.ids))
        yield f"{where}: other items ({gone} of one are not in two, {new} of two not in one)"
    elif {s: r.questions for s, r in one.rows.items()} != {s: r.questions for s, r in two.rows.items()}:
        yield f"{where}: the same items in other words, with other choices or decoding, or after other lessons"
    if one.scorer != two.scorer:
        yield f"{where}: {_unlike_scorers(one.scorer, two.scorer)}"
    elif one.version != two.version:
        yield f"{where}: version {one.version} and {two.version} of scorer {one.scorer.name}"


def _unlike_scorers(one: ScorerSpec, two: ScorerSpec) -> str:
    if one.name != two.name:
        return f"scorer {one.name} {dict(one.settings)} and {two.name} {dict(two.settings)}"
    parts = [f"{path} {a} and {b}" for path, a, b in differences(one.settings, two.settings)]
    return f"{', '.join(parts)} of scorer {one.name}"


def _settings(one: RunRecord, two: RunRecord) -> Iterator[tuple[str, str, str]]:
    mine, theirs = (_flat(r.spec.model_dump(mode="json", exclude={"name", "seed", "metrics"})) for r in (one, two))
    for field in dict.fromkeys([*mine, *theirs]):
        if mine.get(field, "–") != theirs.get(field, "–"):
            yield field, mine.get(field, "–"), theirs.get(field, "–")
    for package in ("torch", "transformers", "lm_eval", "clbench"):
        a, b = (str(r.provenance.get("packages", {}).get(package, "–")) for r in (one, two))
        if a != b:
            yield f"packages.{package}", a, b


def _flat(value: Any, prefix: str = "") -> dict[str, str]:
    if not isinstance(value, dict):
        return {prefix: str(value)}
    return {
        k: v for name, part in value.items() for k, v in _flat(part, f"{prefix}.{name}" if prefix else name).items()
    }


# --- figures --------------------------------------------------------------------------------------------------


def is_hypothesis(name: str) -> bool:
    """Return whether a figure is tested: it says how well something was learnt or kept, not what it cost."""
    plugin = all_metrics()[name]
    return plugin.needs != "costs" and plugin.group in ("performance", "stability")


def _figures(one: Group, two: Group) -> tuple[FigureChange, ...]:
    both = [n for n in all_metrics() if n in one.scores and n in two.scores]
    names = [n for n in both if not math.isnan(one.scores[n] + two.scores[n])]
    found = [(n, *difference_of(*one.by_seed(n), *two.by_seed(n))) for n in names]
    p_values = [p if is_hypothesis(n) else math.nan for n, _, p in found]
    return tuple(
        FigureChange(name, one.scores[name], two.scores[name], possible(change, _range(name)), p, corrected)
        for (name, change, _), p, corrected in zip(found, p_values, holm(p_values), strict=True)
    )


def _range(name: str) -> tuple[float, float]:
    return all_metrics()[name].low, all_metrics()[name].high


# --- exams and items --------------------------------------------------------------------------------------------


def last_grades(group: Group, exam: str) -> GradedItems | None:
    """Return the items of an exam after the last lesson in every run of a group; None where one run was not asked."""
    last = group.mean.num_lessons
    item_scores = [r.item_scores.named(exam) for r in group.runs]
    if any(last not in s.rows for s in item_scores):
        return None
    return marked_rows([s.rows[last] for s in item_scores], item_scores[0].scorer.name)


def _exams(one: Group, two: Group) -> tuple[ExamChange, ...]:
    found: list[tuple[str, GradedItems, GradedItems, list[str] | None]] = []
    for exam_scores in one.runs[0].item_scores.exams:
        before, after = last_grades(one, exam_scores.exam), last_grades(two, exam_scores.exam)
        both = before.known & after.known if before is not None and after is not None else np.zeros(0, dtype=np.bool_)
        if before is not None and after is not None and both.any():
            groups = [exam_scores.groups[i] for i in np.flatnonzero(both)] if exam_scores.groups else None
            found.append((exam_scores.exam, before.only(both), after.only(both), groups))
    p_values = [paired_permutation(a, b, groups=groups) for _, a, b, groups in found]
    return tuple(
        ExamChange(
            exam=name,
            one=a.value,
            two=b.value,
            change=_change(a, b, groups, certain=_same_answers(one, two, name)),
            p=p,
            adjusted=corrected,
            gained=int((b.means > a.means).sum()),
            lost=int((b.means < a.means).sum()),
            discordant=discordant(a, b, groups=groups),
        )
        for (name, a, b, groups), p, corrected in zip(found, p_values, holm(p_values), strict=True)
    )


def _same_answers(one: Group, two: Group, exam: str) -> bool:
    """Return whether both sides' last answers are the same by their key in the store, and not merely equal."""
    last = one.mean.num_lessons
    keys = [[r.item_scores.named(exam).rows[last].answers_key for r in seed_order(g.runs)] for g in (one, two)]
    return keys[0] == keys[1] and all(keys[0])


def _change(one: GradedItems, two: GradedItems, groups: Sequence[str] | None, *, certain: bool) -> Difference:
    return Difference(0.0, 0.0, 0.0, one.items) if certain else paired_difference(one, two, groups=groups)


def _flips(one: RunRecord, two: RunRecord, most: int) -> Iterator[Flip]:
    """Yield at most `most` items of each exam and direction, the largest changes first; of the first seeds."""
    last = one.matrix.num_lessons
    for exam_scores in one.item_scores.exams:
        other = two.item_scores.named(exam_scores.exam)
        if last not in exam_scores.rows or last not in other.rows:
            continue
        change = other.rows[last].values() - exam_scores.rows[last].values()
        order = np.argsort(change, kind="stable")
        fell = [int(i) for i in order if change[i] < 0][:most]
        rose = [int(i) for i in order[::-1] if change[i] > 0][:most]
        yield from (_flip(one, two, exam_scores, other, i) for i in (*fell, *rose))


def _flip(one: RunRecord, two: RunRecord, mine: ExamScores, theirs: ExamScores, item: int) -> Flip:
    last = one.matrix.num_lessons
    texts = [texts_of(run, scores, item, {last}) for run, scores in ((one, mine), (two, theirs))]
    question = next((found.question for found in texts if found.question), "")
    expected = next((found.expected for found in texts if found.question), ())
    gained = theirs.rows[last].values()[item] > mine.rows[last].values()[item]
    answers = [found.said.get(last, "") for found in texts]
    return Flip(mine.exam, mine.ids[item], bool(gained), question, expected[:3], *answers)


def _separating(one: Group, two: Group, exams: Sequence[ExamChange]) -> tuple[float, float]:
    """Return how many items per task, and how many seeds, would show the difference of average performance."""
    tasks = {c.name for c in one.mean.columns if c.kind == "task"}
    changes = [e for e in exams if e.exam in tasks]
    difference = two.score("average_performance") - one.score("average_performance")
    if not changes or math.isnan(difference):
        return math.inf, math.inf
    items = sum(e.change.items for e in changes)
    differ = sum(e.discordant * e.change.items for e in changes) / items
    needed = items_needed(difference, differ) / len(changes) if differ else math.inf
    both = zip(*(g.by_seed("average_performance")[0] for g in (one, two)), strict=False)
    gaps = [b - a for a, b in both]
    return math.ceil(needed) if math.isfinite(needed) else needed, (
        seeds_needed(difference, float(np.std(gaps, ddof=1))) if len(gaps) > 1 else math.inf
    )
