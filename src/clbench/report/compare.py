"""Two or more runs, pair by pair: which figures differ and by how much, and which items flipped."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from clbench.core.errors import SpecError, did_you_mean
from clbench.core.sheets import Sheet
from clbench.metrics import all_metrics
from clbench.report import originals
from clbench.report.gather import Group, RunRecord, group_runs, load_runs, seed_order
from clbench.report.marks import marked_rows
from clbench.stats.bootstrap import Interval, difference_of, possible
from clbench.stats.marked import Marked
from clbench.stats.paired import Difference, discordant, holm, paired_difference, paired_permutation
from clbench.stats.power import items_needed, seeds_needed


@dataclass(frozen=True)
class FigureChange:
    """A figure of two sides: the means over seeds, two - one with its 95 % interval, p and Holm's p over figures.

    Costs (time, memory, tokens) are measured and no hypotheses: their p is NaN, and they do not count in Holm's family.
    """

    name: str
    one: float
    two: float
    change: Interval
    p: float
    adjusted: float


@dataclass(frozen=True)
class ExamChange:
    """An exam after the last lesson: scores, two - one, p, Holm's p over exams, and how many items rose and fell.

    Scores are made by the exam's own rule of the items that both sides have marked; `discordant` is the mean square of
    the items' differences, for the power of a test.
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
    """An item that one side got right and the other wrong, as the model saw it; texts are empty where not at hand."""

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
        separate: What would separate their average performance: (items per exam, seeds), infinite where nothing would.
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
        """Names of the exams of which no item was marked in the last row of every run."""
        compared = {e.exam for e in self.exams}
        return tuple(s.exam for s in self.one.runs[0].sheets.sheets if s.exam not in compared)


def sides_of(paths: Sequence[Path], only: Sequence[str] = ()) -> list[Group]:
    """Give what is compared: a result folder is a side, and so are the runs of one method in a folder of several.

    Args:
        paths: Result folders, or folders that hold some.
        only: Labels of the sides that are wanted; all of them where it is empty.

    Raises:
        DataError: There is no result, or a broken one.
        SpecError: There is one side only, or none of a wanted label.
    """
    sides: list[Group] = []
    for path in paths:
        runs = load_runs([path])
        groups = group_runs(runs)
        name = path.name if len(runs) == 1 and len(paths) > 1 else ""
        sides += [replace(g, label=name or g.label) for g in groups]
    labels = [s.label for s in sides]
    numbered = [f"{label} ({n})" if labels.count(label) > 1 else label for n, label in enumerate(labels, start=1)]
    sides = [replace(s, label=label) for s, label in zip(sides, numbered, strict=True)]
    for wanted in only:
        if wanted not in numbered:
            raise SpecError(f"there is no side {wanted!r}", where="--only", mend=did_you_mean(wanted, numbered))
    sides = [s for s in sides if not only or s.label in only]
    if len(sides) < 2:
        mend = "name two result folders, or a folder that holds runs of several methods"
        raise SpecError("there is one side only", where=" ".join(map(str, paths)), mend=mend)
    return sides


def comparisons(sides: Sequence[Group], against: str | None, most_flips: int = 5) -> list[Comparison]:
    """Compare every side with one of them: the named one, else the first of those given.

    Raises:
        SpecError: There is no side of that name; or two sides were not asked the same, and says what differs.
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
    """Say what was asked or marked otherwise; nothing where two sides can be compared."""
    first, second = one.runs[0], two.runs[0]
    mine, theirs = {s.exam: s for s in first.sheets.sheets}, {s.exam: s for s in second.sheets.sheets}
    if not mine or not theirs:
        yield "their items are not on record"
        return
    if only := sorted(mine.keys() ^ theirs.keys()):
        yield f"exams of one side only: {', '.join(only)}"
    if first.matrix.num_lessons != second.matrix.num_lessons:
        yield f"{first.matrix.num_lessons} and {second.matrix.num_lessons} lessons"
    for name in [n for n in mine if n in theirs]:
        yield from _unlike(mine[name], theirs[name])


def _unlike(one: Sheet, two: Sheet) -> Iterator[str]:
    where = f"exam {one.exam}"
    if one.ids != two.ids:
        gone, new = len(set(one.ids) - set(two.ids)), len(set(two.ids) - set(one.ids))
        yield f"{where}: other items ({gone} of one are not in two, {new} of two not in one)"
    elif {s: r.asked for s, r in one.rows.items()} != {s: r.asked for s, r in two.rows.items()}:
        yield f"{where}: the same items were asked in other words, with other choices or decoding, or in other rows"
    if one.scorer != two.scorer:
        mine, theirs = (f"{s.scorer.name} {dict(s.scorer.settings)}" for s in (one, two))
        yield f"{where}: scorer {mine} and {theirs}"
    elif one.version != two.version:
        yield f"{where}: version {one.version} and {two.version} of scorer {one.scorer.name}"


def _settings(one: RunRecord, two: RunRecord) -> Iterator[tuple[str, str, str]]:
    mine, theirs = (_flat(r.spec.model_dump(mode="json", exclude={"name", "seed", "metrics"})) for r in (one, two))
    for field in dict.fromkeys([*mine, *theirs]):
        if mine.get(field, "–") != theirs.get(field, "–"):
            yield field, mine.get(field, "–"), theirs.get(field, "–")
    for package in ("torch", "transformers", "clbench"):
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
    """Tell whether a figure says how well something was learnt or kept, and not what it cost: costs are not tested."""
    plugin = all_metrics()[name]
    return plugin.needs != "meters" and plugin.group in ("performance", "stability")


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


def last_row(group: Group, exam: str) -> Marked | None:
    """Give what came of an exam after the last lesson in every run of a group; None where it was not due in one."""
    last = group.mean.num_lessons
    sheets = [r.sheets.named(exam) for r in group.runs]
    if any(last not in s.rows for s in sheets):
        return None
    return marked_rows([s.rows[last] for s in sheets], sheets[0].scorer.name)


def _exams(one: Group, two: Group) -> tuple[ExamChange, ...]:
    found: list[tuple[str, Marked, Marked, list[str] | None]] = []
    for sheet in one.runs[0].sheets.sheets:
        before, after = last_row(one, sheet.exam), last_row(two, sheet.exam)
        both = before.known & after.known if before is not None and after is not None else np.zeros(0, dtype=np.bool_)
        if before is not None and after is not None and both.any():
            groups = [sheet.groups[i] for i in np.flatnonzero(both)] if sheet.groups else None
            found.append((sheet.exam, before.only(both), after.only(both), groups))
    p_values = [paired_permutation(a, b, groups=groups) for _, a, b, groups in found]
    return tuple(
        ExamChange(
            exam=name,
            one=a.value,
            two=b.value,
            change=_change(a, b, groups, certain=_very_same(one, two, name)),
            p=p,
            adjusted=corrected,
            gained=int((b.means > a.means).sum()),
            lost=int((b.means < a.means).sum()),
            discordant=discordant(a, b, groups=groups),
        )
        for (name, a, b, groups), p, corrected in zip(found, p_values, holm(p_values), strict=True)
    )


def _very_same(one: Group, two: Group, exam: str) -> bool:
    """Tell whether both sides' last rows are the very same answers, and not only equal ones: other items would be."""
    asks = [[r.sheets.named(exam).rows[g.mean.num_lessons].ask for r in seed_order(g.runs)] for g in (one, two)]
    return asks[0] == asks[1] and all(asks[0])


def _change(one: Marked, two: Marked, groups: Sequence[str] | None, *, certain: bool) -> Difference:
    return Difference(0.0, 0.0, 0.0, one.items) if certain else paired_difference(one, two, groups=groups)


def _flips(one: RunRecord, two: RunRecord, most: int) -> Iterator[Flip]:
    """Give at most so many items of each exam and direction, those that changed most first; of the first seeds."""
    last = one.matrix.num_lessons
    for sheet in one.sheets.sheets:
        other = two.sheets.named(sheet.exam)
        if last not in sheet.rows or last not in other.rows:
            continue
        change = other.rows[last].values() - sheet.rows[last].values()
        order = np.argsort(change, kind="stable")
        fell = [int(i) for i in order if change[i] < 0][:most]
        rose = [int(i) for i in order[::-1] if change[i] > 0][:most]
        yield from (_flip(one, two, sheet, other, i) for i in (*fell, *rose))


def _flip(one: RunRecord, two: RunRecord, mine: Sheet, theirs: Sheet, item: int) -> Flip:
    last = one.matrix.num_lessons
    asked = mine.rows[last].asked
    found = [originals.questions(s, asked) for r in (one, two) if (s := originals.store_of(r)) is not None]
    examples = next((q for q in found if q), ())
    gained = theirs.rows[last].values()[item] > mine.rows[last].values()[item]
    said = [_said(run, sheet, item, last) for run, sheet in ((one, mine), (two, theirs))]
    if not examples:
        shown = {(i.exam, i.id): i for i in one.showcase.items}.get((mine.exam, mine.ids[item]))
        question, expected = (shown.question, shown.expected) if shown else ("", ())
        return Flip(mine.exam, mine.ids[item], bool(gained), question, expected, *said)
    example = examples[item]
    return Flip(mine.exam, example.id, bool(gained), originals.seen(example), example.targets[:3], *said)


def _said(run: RunRecord, sheet: Sheet, item: int, row: int) -> str:
    store = originals.store_of(run)
    if store is not None and (answers := originals.answers(store, sheet.rows[row].ask)):
        return originals.cut(answers[item].text)
    for shown in run.showcase.items:
        if (shown.exam, shown.id) == (sheet.exam, sheet.ids[item]) and row in shown.said:
            return shown.said[row].text
    return ""


def _separating(one: Group, two: Group, exams: Sequence[ExamChange]) -> tuple[float, float]:
    """Give how many items in each own exam, and how many seeds, would show the difference of average performance."""
    own = {c.name for c in one.mean.columns if c.kind == "own"}
    changes = [e for e in exams if e.exam in own]
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
