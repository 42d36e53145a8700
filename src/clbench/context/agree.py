"""Judges beside each other on the very same answers: agreement, the same judge twice, other orders, own family."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clbench.context.graded import Graded, TaskSet
from clbench.context.grades import one_each, system_name
from clbench.core.errors import DataError
from clbench.core.keys import digest
from clbench.stats.agreement import Kappa, cohen, fleiss_kappa, krippendorff_alpha
from clbench.stats.clustered import clustered_mean

Floats = NDArray[np.float64]


class Reading(NamedTuple):
    """One judge's verdicts of one answer, by the task's rubrics in a fixed order.

    Attributes:
        file: Number of the file, and `trial` of it.
        met: Whether each rubric is met.
        order: Digest of the order in which the judge saw the rubrics.
    """

    file: int
    trial: int
    met: tuple[bool, ...]
    order: str


@dataclass(frozen=True)
class Answer:
    """One answer that judges read: its task's context, who answered, and the readings of each judge."""

    task: str
    context: str
    model: str
    readings: dict[str, list[Reading]]


@dataclass(frozen=True)
class PairOfJudges:
    """Two judges on the answers that both read: by rubric, and by whether the answer passes."""

    one: str
    two: str
    rubrics: Kappa
    tasks: Kappa


@dataclass(frozen=True)
class AllJudges:
    """Many judges: Fleiss' kappa of what all of them read, Krippendorff's alpha of what two or more read."""

    fleiss: float
    alpha: float
    items: int


@dataclass(frozen=True)
class Again:
    """The same judge on the same answer twice.

    Attributes:
        judge: Who.
        kind: "test-retest" over two files; "order" over trials of one file, whose rubrics stand in other orders;
            "repeat" over trials in one order.
        answers: How many answers were read twice.
        rubrics, tasks: Agreement of the first two readings, by rubric and by passing.
        flipped_rubrics, flipped_tasks: Share on which not all readings agree.
    """

    judge: str
    kind: str
    answers: int
    rubrics: Kappa
    tasks: Kappa
    flipped_rubrics: float
    flipped_tasks: float


@dataclass(frozen=True)
class OwnFamily:
    """How much more often a judge passes answers of its own family than other judges do, beyond its general leniency.

    Attributes:
        judge, family: Who.
        value, low, high: Mean over tasks, with the interval over contexts.
        tasks: Tasks with answers of its family and of others, read by another judge too.
    """

    judge: str
    family: str
    value: float
    low: float
    high: float
    tasks: int


@dataclass(frozen=True)
class Agreement:
    """What was found.

    Attributes:
        judges: How many answers each judge read.
        pairs, again, own: See their classes.
        by_rubric, by_task: Over all judges.
        alone: Answers that only one judge read, once.
        unjudged: Rows without verdicts that fit.
    """

    judges: dict[str, int]
    pairs: tuple[PairOfJudges, ...]
    by_rubric: AllJudges
    by_task: AllJudges
    again: tuple[Again, ...]
    own: tuple[OwnFamily, ...]
    alone: int
    unjudged: int


def agree(paths: Sequence[Path], known: TaskSet | None = None, families: Mapping[str, str] | None = None) -> Agreement:
    """Compare the verdicts of graded files. Rows are of one answer if their task and the answer's text are the same.

    Args:
        paths: The files; a judge is what the field `judge` says, else the file.
        known: The data set, where rows lack their task.
        families: Family of judges and models by name; others by the first word of their name.

    Raises:
        DataError: A row is wrong, or no answer was read twice.
    """
    answers, unjudged = _read(paths, known)
    alone = sum(sum(map(len, a.readings.values())) == 1 for a in answers)
    if alone == len(answers):
        mend = "name files of several judges, or of one judge twice, over the same answers"
        raise DataError("no answer was judged twice", where=" ".join(map(str, paths)), mend=mend)
    judges = sorted({judge for each in answers for judge in each.readings})
    return Agreement(
        judges={judge: sum(judge in each.readings for each in answers) for judge in judges},
        pairs=tuple(_pair(answers, one, two) for one, two in itertools.combinations(judges, 2)),
        by_rubric=_all(answers, len(judges), lambda r: r.met),
        by_task=_all(answers, len(judges), lambda r: (all(r.met),)),
        again=tuple(found for judge in judges for found in _again(answers, judge)),
        own=tuple(_own_families(answers, judges, families or {})),
        alone=alone,
        unjudged=unjudged,
    )


def _read(paths: Sequence[Path], known: TaskSet | None) -> tuple[list[Answer], int]:
    found: dict[tuple[str, str, str], Answer] = {}
    unjudged = 0
    for number, path in enumerate(paths):
        for row in one_each(path, known):
            if row.state != "ok" or not row.fits or not row.met:
                unjudged += 1
                continue
            text = row.answer or f"trial {row.trial}"
            # With other rubrics it is another question to the judge.
            place = (row.task.id, text, digest(sorted(row.task.rubrics)))
            each = found.setdefault(place, Answer(row.task.id, row.task.context, row.model, {}))
            each.readings.setdefault(row.judge or system_name(path), []).append(_reading(row, number))
    return list(found.values()), unjudged


def _reading(row: Graded, file: int) -> Reading:
    order = sorted(range(len(row.met)), key=lambda place: row.task.rubrics[place])
    return Reading(file, row.trial, tuple(row.met[place] for place in order), digest(row.task.rubrics)[:16])


def _kappas(pairs: Sequence[tuple[Answer, Reading, Reading]]) -> tuple[Kappa, Kappa]:
    """Return the agreement of two readings of each answer, by rubric and by whether the answer passes."""
    firsts, seconds = [first for _, first, _ in pairs], [second for _, _, second in pairs]
    contexts = [each.context for each, first, _ in pairs for _ in first.met]
    rubrics = cohen(_flat([r.met for r in firsts]), _flat([r.met for r in seconds]), contexts)
    passed = [np.array([float(all(r.met)) for r in readings]) for readings in (firsts, seconds)]
    return rubrics, cohen(passed[0], passed[1], [each.context for each, _, _ in pairs])


def _flat(verdicts: Sequence[tuple[bool, ...]]) -> Floats:
    return np.array([float(met) for each in verdicts for met in each])


def _pair(answers: Sequence[Answer], one: str, two: str) -> PairOfJudges:
    both = [(a, a.readings[one][0], a.readings[two][0]) for a in answers if one in a.readings and two in a.readings]
    return PairOfJudges(one, two, *_kappas(both))


def _all(answers: Sequence[Answer], judges: int, marks: Callable[[Reading], tuple[bool, ...]]) -> AllJudges:
    """Return the agreement of all judges, each by its first reading."""
    counts: list[tuple[float, float]] = []
    for each in answers:
        first = [marks(readings[0]) for readings in each.readings.values()]
        yes = [sum(verdicts) for verdicts in zip(*first, strict=True)]
        counts += [(len(first) - num, float(num)) for num in yes]
    table = np.array(counts, dtype=np.float64)
    whole = table[table.sum(axis=1) == judges]
    fleiss = fleiss_kappa(whole) if judges > 1 else float("nan")
    return AllJudges(fleiss, krippendorff_alpha(table), int((table.sum(axis=1) > 1).sum()))


def _again(answers: Sequence[Answer], judge: str) -> list[Again]:
    """Return what a judge says of the same answers again, over files, and over trials within a file."""
    found: dict[str, list[tuple[Answer, list[Reading]]]] = defaultdict(list)
    for each in answers:
        readings = each.readings.get(judge, [])
        files = {reading.file: reading for reading in reversed(readings)}
        if len(files) > 1:
            found["test-retest"].append((each, [files[number] for number in sorted(files)]))
        for number in files:
            own = [reading for reading in readings if reading.file == number]
            if len(own) > 1:
                kind = "order" if len({reading.order for reading in own}) > 1 else "repeat"
                found[kind].append((each, own))
    return [_of_readings(judge, kind, read) for kind, read in sorted(found.items())]


def _of_readings(judge: str, kind: str, read: Sequence[tuple[Answer, list[Reading]]]) -> Again:
    rubrics, tasks = _kappas([(each, readings[0], readings[1]) for each, readings in read])
    flips = [len(set(marks)) > 1 for _, readings in read for marks in zip(*(r.met for r in readings), strict=True)]
    turned = [len({all(r.met) for r in readings}) > 1 for _, readings in read]
    return Again(judge, kind, len(read), rubrics, tasks, float(np.mean(flips)), float(np.mean(turned)))


def family_of(name: str, families: Mapping[str, str]) -> str:
    """Return the family of a model: the given one, else the first word of its name.

    Example:
        >>> family_of("openai/gpt-5.1", {}), family_of("o3", {"o3": "gpt"}), family_of("Claude Opus 4.5", {})
        ('gpt', 'gpt', 'claude')
    """
    if name in families:
        return families[name]
    found = re.match(r"[a-z]+", name.rpartition("/")[2].lower())
    return found[0] if found else name


def _own_families(answers: Sequence[Answer], judges: Sequence[str], families: Mapping[str, str]) -> list[OwnFamily]:
    """Return for each judge the difference of differences: (it - other judges) on its family - the same on others.

    Taken task by task, so that neither how hard tasks are nor how lenient the judge is counts.
    """
    found: list[OwnFamily] = []
    for judge in judges:
        own = family_of(judge, families)
        gaps: dict[tuple[str, str], dict[bool, list[float]]] = defaultdict(lambda: defaultdict(list))
        for each in answers:
            others = [float(all(read[0].met)) for name, read in each.readings.items() if name != judge]
            if judge in each.readings and others and each.model:
                gap = float(all(each.readings[judge][0].met)) - sum(others) / len(others)
                gaps[each.task, each.context][family_of(each.model, families) == own].append(gap)
        both = {place: sides for place, sides in gaps.items() if len(sides) == 2}
        if both:
            values = np.array([float(np.mean(sides[True]) - np.mean(sides[False])) for sides in both.values()])
            contexts = [context for _, context in both]
            found.append(OwnFamily(judge, own, *clustered_mean(values, contexts), len(both)))
    return found
