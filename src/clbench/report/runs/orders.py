"""Methods over several orders of the same tasks: figures, and their intervals over items, seeds and orders."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from clbench.core.keys import canonical
from clbench.report.runs.groups import Group, interval_of, seed_order
from clbench.report.runs.load import RunRecord
from clbench.report.runs.traits import traits_of
from clbench.stats.bootstrap import UNKNOWN, Interval, Samples, difference_of
from clbench.stats.intervals import shares_of

PLAIN = "sft"
Block = tuple[tuple[str, ...], int]  # order of the tasks, and seed
Told = Literal["nothing", "boundaries", "task", "unbounded"]
TOLD: tuple[Told, ...] = get_args(Told)


@dataclass(frozen=True)
class Method:
    """One method of a scenario: a group of seeds for every order of the tasks."""

    label: str
    groups: tuple[Group, ...]

    @property
    def runs(self) -> list[RunRecord]:
        """All its runs, by order and seed."""
        ordered = sorted(self.groups, key=lambda group: group.runs[0].stream.tasks)
        return [run for group in ordered for run in seed_order(group.runs)]

    @property
    def orders(self) -> list[tuple[str, ...]]:
        """The order of the tasks in each of `runs`."""
        return [run.stream.tasks for run in self.runs]

    @property
    def is_bound(self) -> bool:
        """Whether it is a reference point that methods lie between: frozen, joint, cumulative, separate.

        Plain fine-tuning is of their family, and ranked: it is what a method has to beat.
        """
        first = self.runs[0]
        return not self.is_plain and traits_of(first.spec.learner, first.provenance).family == "bounds"

    @property
    def is_plain(self) -> bool:
        """Whether it is plain fine-tuning."""
        return self.runs[0].spec.learner_name == PLAIN

    @property
    def told(self) -> Told:
        """What it was told and uses."""
        return told_of(self.groups[0])

    def score(self, figure: str) -> float:
        """Return the mean of a figure over orders; NaN where it is undefined."""
        return float(np.mean([group.score(figure) for group in self.groups]))

    @property
    def blocks(self) -> list[Block]:
        """The order of the tasks and the seed of each of `runs`."""
        return [(run.stream.tasks, run.spec.seed) for run in self.runs]

    def by_run(self, figure: str, blocks: Collection[Block] = ()) -> tuple[list[float], list[Samples]]:
        """Return a figure of each of `runs`, and its bootstrap samples where items are on record.

        The exams of another order stand in other columns; in the samples they are brought into the first one's.

        Args:
            figure: Name of the figure.
            blocks: The runs that count; all of them where it is empty.
        """
        runs = [run for run, block in zip(self.runs, self.blocks, strict=True) if not blocks or block in blocks]
        names = runs[0].matrix.exams
        samples = [
            found[figure].arranged([run.matrix.exams.index(name) for name in names])
            for run in runs
            if figure in (found := run.figure_samples) and set(names) == set(run.matrix.exams)
        ]
        return [run.scores.get(figure, math.nan) for run in runs], samples

    def interval(self, figure: str) -> Interval:
        """Return the 95 % interval of a figure's mean over items, seeds and orders."""
        if len(self.groups) == 1:
            return self.groups[0].intervals.get(figure, UNKNOWN)
        return interval_of(figure, *self.by_run(figure), self.blocks)


def difference(one: Method, two: Method, figure: str) -> tuple[float, Interval, float]:
    """Return a figure of `two` less that of `one`, its 95 % interval over items, seeds and orders, and p of none.

    Over several orders, runs are pairs by order and seed, and what only one of the two has run does not count: else
    their runs would not be pairs, and runs of one order would pass for independent ones. Methods that share no run, as
    on streams of other tasks, are compared as they are.
    """
    blocks = one.blocks
    if blocks != two.blocks:
        several = len({*one.orders, *two.orders}) > 1
        shared = set(one.blocks) & set(two.blocks) if several else set[Block]()
        if not shared:
            ends, p = difference_of(*one.by_run(figure), *two.by_run(figure))
            return two.score(figure) - one.score(figure), ends, p
        blocks = [block for block in blocks if block in shared]
    orders = [order for order, _ in blocks]
    sides = [method.by_run(figure, blocks) for method in (one, two)]
    before, after = (float(shares_of(len(orders), orders) @ np.array(values)) for values, _ in sides)
    return after - before, *difference_of(*sides[0], *sides[1], blocks)


def by_performance(methods: Iterable[Method]) -> list[Method]:
    """Return methods with the best AP first, and those without one last."""
    return sorted(methods, key=lambda method: -np.nan_to_num(method.score("average_performance"), nan=-1))


def plain_of(methods: Iterable[Method]) -> Method | None:
    """Return plain fine-tuning; of several settings of it the one with the best AP, which a method must beat too."""
    return next(iter(by_performance(method for method in methods if method.is_plain)), None)


def scenario_of(group: Group) -> str:
    """Return a text that is the same for the same lessons in any order: what they teach, what is asked, of which model.

    Lessons that teach two tasks at once are not another order of those that teach them one by one.
    """
    first = group.runs[0]
    lessons = sorted(sorted(lesson.teaches) for lesson in first.stream.lessons)
    asked = sorted((exam.exam, exam.digest) for exam in first.item_scores.exams if exam.exam in first.stream.tasks)
    return canonical([first.spec.model, lessons, asked])


def by_scenario(groups: Sequence[Group]) -> list[list[Group]]:
    """Return the groups of each scenario (`scenario_of`), in the order in which they come."""
    found: dict[str, list[Group]] = {}
    for group in groups:
        found.setdefault(scenario_of(group), []).append(group)
    return list(found.values())


def methods_of(groups: Sequence[Group]) -> list[Method]:
    """Return groups of one learner that are told the same and differ in the order of tasks alone as one method."""
    found: dict[str, list[Group]] = {}
    for group in groups:
        spec = group.runs[0].spec.model_copy(update={"seed": 0, "name": "x", "stream": "x"})
        found.setdefault(f"{spec.model_dump_json()} {told_of(group)}", []).append(group)
    streams = {g.runs[0].spec.stream for g in groups}
    named: list[Method] = []
    for members in found.values():
        words = members[0].label.split(" ")
        label = " ".join(w for w in words if w not in streams) if len(members) > 1 else members[0].label
        named.append(Method(label, tuple(members)))
    return named


def told_of(group: Group) -> Told:
    """Return what a method was told and uses; one that does not say counts as told nothing.

    What another program learnt, with a memory that nothing bounds, stands apart from all of them.

    A method that uses the task of a question uses it only where the stream tells it; so with boundaries.
    """
    first = group.runs[0]
    known, task_ids = traits_of(first.spec.learner, first.provenance), first.stream.task_ids
    if known.unbounded:
        return "unbounded"
    if known.uses_task_ids and task_ids == "given":
        return "task"
    return "boundaries" if known.uses_boundaries and task_ids != "hidden" else "nothing"
