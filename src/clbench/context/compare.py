"""Two or more systems on the same tasks: do they differ, by how much, and what could these tasks show at all?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clbench.context.grades import Grades
from clbench.core.errors import SpecError
from clbench.stats.clustered import Clustered, clustered_interval
from clbench.stats.paired import Difference, discordant, holm, mcnemar, paired_difference, paired_permutation
from clbench.stats.power import detectable
from clbench.stats.ranks import ranks_allowed

Floats = NDArray[np.float64]
SIGNIFICANT = 0.05
MCNEMAR, SIGNS = "McNemar, exact", "signs of contexts flipped"
SIZES = (200, 500, 1899)  # tasks: what public reruns use, and all of CL-bench
TRIALS = (1, 3, 5)


@dataclass(frozen=True)
class System:
    """One side: its rate over all trials, and the ranks that the tests leave open, (best, worst)."""

    name: str
    trials: int
    rate: Clustered
    ranks: tuple[int, int]


@dataclass(frozen=True)
class Pair:
    """Two systems, task by task.

    Attributes:
        one, two: Their names.
        change: two - one, of tasks solved, with its 95 % interval over contexts.
        test: `MCNEMAR` where each has one trial, else `SIGNS`.
        p, adjusted: Two-sided, and after Holm's correction over all pairs.
        p_contexts: Of flipping the signs of whole contexts, beside McNemar's.
        gained, lost: Tasks that rose and fell.
        powers: The smallest difference found with 80 % power, for tasks and trials.
    """

    one: str
    two: str
    change: Difference
    test: str
    p: float
    adjusted: float
    p_contexts: float
    gained: int
    lost: int
    powers: tuple[Power, ...]


@dataclass(frozen=True)
class Power:
    """The smallest difference that so many tasks and trials show with 80 % power at the 5 % level."""

    tasks: int
    trials: int
    difference: float


@dataclass(frozen=True)
class Table:
    """All systems and pairs.

    Attributes:
        systems: In the order given.
        pairs: Of all systems, or of each with one of them.
        tasks, contexts: What they are compared on.
        judges: Who judged; "" where that is not recorded.
        forced: What differs and was to be overlooked.
    """

    systems: tuple[System, ...]
    pairs: tuple[Pair, ...]
    tasks: int
    contexts: int
    judges: tuple[str, ...]
    forced: tuple[str, ...]


def compare(sides: Sequence[Grades], against: str | None = None, *, force: bool = False) -> Table:
    """Compare systems pair by pair on the tasks that all have.

    Args:
        sides: Two or more.
        against: Compare the others with this one only; None: all pairs.
        force: Compare even where tasks, rubrics or judges differ.

    Raises:
        SpecError: There is one side only, no side of that name, or something differs; it says what.
    """
    sides = _distinct(sides)
    names = [side.name for side in sides]
    if len(sides) < 2:
        raise SpecError("there is only one side", where=names[0], mend="name two or more graded files or folders")
    if against is not None and against not in names:
        raise SpecError(f"there is no side {against!r}", where="--against", mend=f"the sides are {', '.join(names)}")
    differ = [line for one, two in itertools.combinations(sides, 2) for line in unlikeness(one, two)]
    if differ and not force:
        listed = "\n  - ".join(differ[:12])
        mend = "grade with one data set and one judge; --dataset counts missing tasks as failed; --force overlooks it"
        raise SpecError(f"these cannot be compared:\n  - {listed}", where="context compare", mend=mend)
    shared = set[str].intersection(*({task.id for task in side.tasks} for side in sides))
    ids = [task.id for task in sides[0].tasks if task.id in shared]
    if not ids:
        raise SpecError(
            "the sides have no task in common", where="context compare", mend="compare files of one data set"
        )
    same = [side.only(ids) for side in sides]
    chosen = [(a, b) for a, b in itertools.combinations(same, 2) if against in (None, a.name, b.name)]
    if against is not None:
        chosen = [(b, a) if b.name == against else (a, b) for a, b in chosen]
    pairs = _adjusted([_pair(one, two) for one, two in chosen])
    ranks = _ranks(same, pairs) if against is None else [(1, len(same))] * len(same)
    systems = tuple(_system(side, rank) for side, rank in zip(same, ranks, strict=True))
    judges = sorted({judge for side in same for judge in side.judges})
    return Table(systems, pairs, len(ids), len(set(same[0].contexts)), tuple(judges), tuple(differ))


def _distinct(sides: Sequence[Grades]) -> list[Grades]:
    names = [side.name for side in sides]
    return [
        replace(side, name=f"{side.name} ({place})") if names.count(side.name) > 1 else side
        for place, side in enumerate(sides, start=1)
    ]


def unlikeness(one: Grades, two: Grades) -> Iterator[str]:
    """Yield what two sides were asked, or how they were graded, differently; nothing if they can be compared."""
    mine, theirs = ({task.id: task for task in side.tasks} for side in (one, two))
    gone, new = len(mine.keys() - theirs.keys()), len(theirs.keys() - mine.keys())
    if gone or new:
        yield f"{one.name} and {two.name}: {gone} tasks of the first are not in the second, {new} the other way"
    both = [name for name in mine if name in theirs]
    prompts = [n for n in both if mine[n].prompt and theirs[n].prompt and mine[n].prompt != theirs[n].prompt]
    if prompts:
        yield f"{one.name} and {two.name}: the messages of {len(prompts)} tasks differ, first {prompts[0]}"
    rubrics = [n for n in both if mine[n].rubrics != theirs[n].rubrics]
    if rubrics:
        yield f"{one.name} and {two.name}: the rubrics of {len(rubrics)} tasks differ, first {rubrics[0]}"
    if one.data_sets and two.data_sets and one.data_sets != two.data_sets:
        first, second = one.data_sets[0][:12], two.data_sets[0][:12]
        yield f"{one.name} and {two.name}: the rows name other data sets, {first} and {second}"
    if one.judges != two.judges:
        yield f"{one.name} and {two.name}: judged by {_listed(one.judges)} and by {_listed(two.judges)}"


def _listed(judges: Sequence[str]) -> str:
    return ", ".join(name or "a judge that is not recorded" for name in judges) or "nobody"


def _system(side: Grades, ranks: tuple[int, int]) -> System:
    return System(side.name, side.trials, clustered_interval(side.passed().mean(axis=1), side.contexts), ranks)


def _pair(one: Grades, two: Grades) -> Pair:
    mine, theirs = one.passed(), two.passed()
    before, after = mine.mean(axis=1), theirs.mean(axis=1)
    gained, lost = int((after > before).sum()), int((after < before).sum())
    blocked = paired_permutation(before, after, groups=one.contexts)
    single = one.trials == two.trials == 1
    return Pair(
        one=one.name,
        two=two.name,
        change=paired_difference(before, after, groups=one.contexts),
        test=MCNEMAR if single else SIGNS,
        p=mcnemar(gained, lost) if single else blocked,
        adjusted=math.nan,
        p_contexts=blocked,
        gained=gained,
        lost=lost,
        powers=tuple(_powers(mine, theirs, one.contexts)),
    )


def _adjusted(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    corrected = holm([pair.p for pair in pairs])
    return tuple(replace(pair, adjusted=p) for pair, p in zip(pairs, corrected, strict=True))


def _ranks(sides: Sequence[Grades], pairs: Sequence[Pair]) -> list[tuple[int, int]]:
    places = {side.name: place for place, side in enumerate(sides)}
    differ = np.zeros((len(sides), len(sides)), dtype=np.bool_)
    for pair in pairs:
        i, j = places[pair.one], places[pair.two]
        differ[i, j] = differ[j, i] = pair.adjusted <= SIGNIFICANT
    return ranks_allowed([float(side.passed().mean()) for side in sides], differ)


def _powers(one: Floats, two: Floats, contexts: Sequence[str]) -> Iterator[Power]:
    """Yield what other numbers of tasks and trials would show; other trials only where two or more tell their noise.

    The mean square of the tasks' differences is what trials repeat, and noise / trials:
    S^2(T) = max(0, S^2 - noise_1 / T_1 - noise_2 / T_2) + (noise_1 + noise_2) / T.
    """
    before, after = one.mean(axis=1), two.mean(axis=1)
    square = discordant(before, after, groups=contexts)
    own = one.shape[1] if one.shape[1] == two.shape[1] else 0
    sizes = sorted({len(before), *SIZES})
    if min(one.shape[1], two.shape[1]) < 2:
        yield from (Power(num, own, detectable(square, num)) for num in sizes if own)
        return
    plain = float(((after - before) ** 2).mean())
    effect = square / plain if plain else 1.0
    noise = [float(side.var(axis=1, ddof=1).mean()) for side in (one, two)]
    lasting = max(0.0, plain - noise[0] / one.shape[1] - noise[1] / two.shape[1])
    for trials in sorted({*TRIALS, own} - {0}):
        yield from (Power(num, trials, detectable(effect * (lasting + sum(noise) / trials), num)) for num in sizes)
