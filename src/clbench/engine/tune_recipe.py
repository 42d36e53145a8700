"""A tuning recipe: grids of equal size for all learners, on a stream that is not a reported one."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotated_types import Ge, Le
from pydantic import BaseModel, Field

from clbench.core.errors import SpecError, did_you_mean
from clbench.core.spec import ExamBudget, Machine, ModelSpec
from clbench.core.types import Example, Stream
from clbench.core.validation import validated
from clbench.core.value import Value
from clbench.data.streams.stream import asked, open_stream
from clbench.data.tasks.card_folder import find_recipe
from clbench.engine.recipe.recipe import Recipe, read_values
from clbench.engine.resolve import open_learner

AP, FM = "average_performance", "forgetting"
EQUAL = ("epochs", "batch_size")  # how much is trained: the same for all, so nothing to be tuned
LEAST_RATES, MOST_VALUES, LEAST_SEEDS = 3, 4, 3


class TuneRecipe(Value):
    """What a tuning recipe may say.

    Attributes:
        name: Names the runs.
        model: The base model.
        stream: The tuning stream; it shares neither a task nor an exam question with a reported one.
        reported: Recipes, from this file's folder, whose results the settings are meant for.
        seeds: Three or more; every combination is run on the first, the best ones on all.
        training: Settings that all trained learners share; not the rate, which each learner tunes.
        budget: Which cells of the matrix are due.
        learners: Learner -> setting -> values to try, the default first, or one value that is fixed. Each learner that
            has a rate lists three or more values of `lr`, at most four of any other setting, and all learners have
            the same number of combinations.
        widen: Most combinations beyond the grid, per learner.
        about: What it is for, for readers.
    """

    name: str = "tune"
    model: ModelSpec = ModelSpec()
    stream: str
    reported: tuple[str, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=LEAST_SEEDS)
    training: Mapping[str, Any] = {}
    budget: ExamBudget = ExamBudget(policy="seen")
    learners: Mapping[str, Mapping[str, Any]] = Field(min_length=1)
    widen: int = Field(default=3, ge=0)
    about: str = ""


@dataclass(frozen=True)
class Grid:
    """What is tried of one learner.

    Attributes:
        values: Setting -> its values, the default first.
        fixed: Setting -> its one value.
    """

    values: Mapping[str, tuple[Any, ...]]
    fixed: Mapping[str, Any]

    @property
    def combinations(self) -> list[dict[str, Any]]:
        """All combinations, the default first; later settings vary fastest."""
        points = itertools.product(*self.values.values())
        return [{**self.fixed, **dict(zip(self.values, point, strict=True))} for point in points]


@dataclass(frozen=True)
class Tuning:
    """A tuning recipe, and what is tried of each learner.

    Attributes:
        path: The recipe's file.
        tries: Combinations of each learner's grid.
    """

    path: Path
    recipe: TuneRecipe
    grids: Mapping[str, Grid]
    tries: int

    def runs(self, learners: Sequence[tuple[str, int, Mapping[str, Any]]], seeds: Sequence[int]) -> Recipe:
        """Return the runs of some combinations, all seeds of one, then the next.

        Args:
            learners: Learner, number of the combination, settings.
            seeds: Seeds, the same for each.
        """
        points = [{**settings, "name": name, "as": f"{name}-{number}"} for name, number, settings in learners]
        return Recipe(
            name=self.recipe.name,
            model=self.recipe.model,
            stream=self.recipe.stream,
            training=self.recipe.training,
            budget=self.recipe.budget,
            metrics=(AP, FM),
            axes={"learner": tuple(points), "seed": tuple(seeds)},
        )

    def legal(self, name: str, settings: Mapping[str, Any], setting: str, value: float) -> float | None:
        """Return a new value of a setting, cut off at the learner's limits; None where it can go no further."""
        plugin, _ = open_learner({"name": name})
        low, high = limits(plugin.config, setting)
        within = type(value)(max(low, min(value, high)))
        if within == settings[setting]:
            return None
        try:
            open_learner({"name": name, **settings, setting: within})
        except SpecError:
            return None
        return within

    def only(self, names: Sequence[str]) -> Tuning:
        """Return the tuning of some of its learners.

        Raises:
            SpecError: It has no such learner.
        """
        for name in names:
            if name not in self.grids:
                raise SpecError(f"{name!r} is not tuned", where="--only", mend=did_you_mean(name, self.grids))
        return Tuning(self.path, self.recipe, {n: g for n, g in self.grids.items() if n in names}, self.tries)


def limits(config: type[BaseModel], setting: str) -> tuple[float, float]:
    """Return the least and the largest value of a setting, infinite where it has none or may only come close to one.

    Example:
        >>> from clbench.learners.replay import Config
        >>> limits(Config, "share"), limits(Config, "lr")
        ((0, 1), (-inf, inf))
    """
    bounds = config.model_fields[setting].metadata
    low: Any = next((bound.ge for bound in bounds if isinstance(bound, Ge)), float("-inf"))
    high: Any = next((bound.le for bound in bounds if isinstance(bound, Le)), float("inf"))
    return low, high


def load_tuning(path: Path | str, sets: Sequence[str] = ()) -> Tuning:
    """Read a tuning recipe.

    Raises:
        SpecError: The file is missing or malformed, a name or value in it is wrong, a learner is tuned in what must be
            equal for all, or learners would be tuned unequally hard.
    """
    recipe: TuneRecipe = validated(TuneRecipe, read_values(path, sets), "")
    if len(set(recipe.seeds)) < len(recipe.seeds):
        raise SpecError("a seed stands twice", where="seeds", mend="list different ones")
    if "lr" in recipe.training:
        raise SpecError("every learner tunes its own rate", where="training.lr", mend="leave it out")
    grids = {name: _grid(name, recipe) for name in recipe.learners}
    return Tuning(Path(path), recipe, grids, _equal_tries(grids))


def _grid(name: str, recipe: TuneRecipe) -> Grid:
    where, written = f"learners.{name}", recipe.learners[name]
    lists = {k: tuple(v) for k, v in written.items() if isinstance(v, (list, tuple))}
    known = open_learner({"name": name})[0].config.model_fields
    for setting in written:
        _check_values(setting, lists.get(setting, (written[setting],)), f"{where}.{setting}")
    if not known:
        raise SpecError("it has no settings, so nothing to tune", where=where, mend="leave it out")
    num = len(lists.get("lr", ("lr",) if "lr" in written else ()))
    if "lr" in known and num < LEAST_RATES:
        mend = "list three or more rates, the default first: lr: [1.0e-3, 5.0e-4, 2.5e-4]"
        raise SpecError(f"rates to try: {num}, and at least {LEAST_RATES} are wanted", where=f"{where}.lr", mend=mend)
    grid = Grid(lists, {k: v for k, v in written.items() if k not in lists})
    shared = {k: v for k, v in recipe.training.items() if k in known}
    for settings in grid.combinations:
        open_learner({"name": name, **shared, **settings})  # a wrong value is told before anything is spent
    return grid


def _check_values(setting: str, values: tuple[Any, ...], where: str) -> None:
    if setting in EQUAL:
        what = f"{setting} says how much is trained, and that is equal for all learners"
        raise SpecError(what, where=where, mend="set it under training")
    if not values:
        raise SpecError("no values to try", where=where, mend="list at least one")
    if any(value in values[:i] for i, value in enumerate(values)):
        raise SpecError("a value stands twice", where=where, mend="list different ones")
    if setting != "lr" and len(values) > MOST_VALUES:
        raise SpecError(f"{len(values)} values, and {MOST_VALUES} are the most", where=where, mend="list fewer")


def _equal_tries(grids: Mapping[str, Grid]) -> int:
    numbers: dict[int, list[str]] = {}
    for name, grid in grids.items():
        numbers.setdefault(len(grid.combinations), []).append(name)
    if len(numbers) > 1:
        told = "; ".join(f"{num}: {', '.join(names)}" for num, names in sorted(numbers.items()))
        raise SpecError(
            f"the numbers of combinations differ ({told})",
            where="learners",
            mend="give each learner the same number; one that has nothing but a rate lists more rates",
        )
    return next(iter(numbers))


def check_apart(tuning: Tuning, machine: Machine) -> Stream:
    """Open the tuning stream, and refuse it if a reported recipe runs on it, on one of its tasks or on its questions.

    Raises:
        SpecError: Names the recipe, and what both have.
        DataError: A stream does not open, so nobody can tell.
    """
    mine = open_stream(tuning.recipe.stream, machine.data)
    for name in tuning.recipe.reported:
        path = find_recipe(tuning.path).parent / name
        reported: Recipe = validated(Recipe, read_values(path), "")
        for stream in dict.fromkeys([reported.stream, *map(str, reported.axes.get("stream", ()))]):
            same = stream == tuning.recipe.stream
            shared = "it is the same stream" if same else _shared(mine, open_stream(stream, machine.data))
            if shared:
                raise SpecError(
                    f"{tuning.recipe.stream!r} is not a tuning stream for {path}, which reports {stream!r}: {shared}",
                    where="stream",
                    mend="tune on other tasks, such as worlds-tune; settings chosen on reported tasks flatter a method",
                )
    return mine


def _shared(tuning: Stream, reported: Stream) -> str:
    """Say what the two have in common: a task's rows, or a question that the reported one asks; "" for nothing."""
    digests = {task.digest: task.name for task in reported.tasks}
    for task in tuning.tasks:
        if task.digest in digests:
            return f"its task {digests[task.digest]!r} has the rows of {task.name!r}"
    questions = {asked(e): task.name for task in reported.tasks for e in task.exam}
    for task in tuning.tasks:
        seen: tuple[Example, ...] = (*task.lesson, *task.dev, *task.exam)
        if found := next((e for e in seen if asked(e) in questions), None):
            return f"the exam of {questions[asked(found)]!r} asks what example {found.id!r} of {task.name!r} asks"
    return ""
