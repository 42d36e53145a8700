"""Choose the settings of methods by one rule, on a stream that is not the reported one."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from clbench.core.atomic_write import write_atomically
from clbench.core.errors import SpecError
from clbench.core.spec import ExamBudget, Machine, ModelSpec
from clbench.core.types import Example, Stream
from clbench.core.value import Value
from clbench.data.streams.stream import asked, open_stream
from clbench.data.tasks.card_folder import find_recipe
from clbench.engine.recipe.recipe import Recipe, read_values
from clbench.engine.resolve import validated
from clbench.engine.run import run
from clbench.models import source
from clbench.store.store import Store

RULE = (
    "highest AP on the tuning stream after its last lesson, mean over the seeds; "
    "of equal ones the lowest FM; of equal ones the one named first"
)
AP, FM = "average_performance", "forgetting"
EQUAL = ("epochs", "batch_size")  # how much is trained: the same for all, so nothing to be tuned


class TuneRecipe(Value):
    """What a tuning recipe may say.

    Attributes:
        name: Names the runs.
        model: The base model.
        stream: The tuning stream; it shares neither a task nor an exam question with a reported one.
        reported: Recipes, from this file's folder, whose results the settings are meant for.
        seeds: Each combination is run with each of them.
        training: Settings that all trained learners share.
        budget: Which cells of the matrix are due.
        learners: Learner -> setting -> values to try, or one value that is fixed; {} runs the learner as it is.
        tries: Most combinations of one learner: none is tuned harder than others.
        about: What it is for, for readers.
    """

    name: str = "tune"
    model: ModelSpec = ModelSpec()
    stream: str
    reported: tuple[str, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    training: Mapping[str, Any] = {}
    budget: ExamBudget = ExamBudget(policy="seen")
    learners: Mapping[str, Mapping[str, Any]] = Field(min_length=1)
    tries: int = Field(default=8, ge=1)
    about: str = ""


@dataclass(frozen=True)
class Tried:
    """One combination of settings and what came of it.

    Attributes:
        learner, settings: What was run.
        ap, fm: Means over the seeds; NaN if undefined in one of them.
        by_seed: AP of each seed.
    """

    learner: str
    settings: Mapping[str, Any]
    ap: float
    fm: float
    by_seed: tuple[float, ...]


@dataclass(frozen=True)
class Tuning:
    """A tuning recipe, its combinations in order, and the runs that try them: all seeds of one, then the next.

    Attributes:
        path: The recipe's file.
        runs: The recipe of these runs.
    """

    path: Path
    recipe: TuneRecipe
    combinations: tuple[tuple[str, Mapping[str, Any]], ...]
    runs: Recipe


def load_tuning(path: Path | str, sets: Sequence[str] = ()) -> Tuning:
    """Read a tuning recipe.

    Raises:
        SpecError: The file is missing or malformed, a name or value in it is wrong, or a learner is tuned in what must
            be equal for all.
    """
    recipe: TuneRecipe = validated(TuneRecipe, read_values(path, sets), "")
    found = tuple((name, settings) for name in recipe.learners for settings in _combinations(name, recipe))
    learners = [{**settings, "name": name, "as": f"{name}-{i}"} for i, (name, settings) in enumerate(found, start=1)]
    runs = Recipe(
        name=recipe.name,
        model=recipe.model,
        stream=recipe.stream,
        training=recipe.training,
        budget=recipe.budget,
        metrics=(AP, FM),
        axes={"learner": tuple(learners), "seed": recipe.seeds},
    )
    return Tuning(Path(path), recipe, found, runs)


def _combinations(name: str, recipe: TuneRecipe) -> list[dict[str, Any]]:
    where = f"learners.{name}"
    grid = {k: v if isinstance(v, (list, tuple)) else (v,) for k, v in recipe.learners[name].items()}
    for setting, values in grid.items():
        if setting in EQUAL:
            raise SpecError(
                f"{setting} says how much is trained, and that is equal for all learners",
                where=f"{where}.{setting}",
                mend="set it under training",
            )
        if not values:
            raise SpecError("no values to try", where=f"{where}.{setting}", mend="list at least one")
    found = [dict(zip(grid, point, strict=True)) for point in itertools.product(*grid.values())]
    if len(found) > recipe.tries:
        raise SpecError(
            f"{len(found)} combinations, and {recipe.tries} are allowed", where=where, mend="list fewer, or raise tries"
        )
    return found


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


def tune(tuning: Tuning, store: Store, machine: Machine) -> dict[str, Any]:
    """Try every combination on the tuning stream and choose by `RULE`; work that is in the store is not done again.

    Returns:
        Plain data: the rule, where and with what it was tried, the chosen settings, and all that was tried.

    Raises:
        SpecError: The tuning stream is not apart from a reported one.
        UserError: A run could not be made.
    """
    stream = check_apart(tuning, machine)
    folders = run(tuning.runs, store, machine).folders
    num = len(tuning.recipe.seeds)
    tried = [
        _tried(name, settings, [_scores(f) for f in folders[i * num : (i + 1) * num]])
        for i, (name, settings) in enumerate(tuning.combinations)
    ]
    return _record(tuning, stream, tried)


def _scores(folder: Path) -> tuple[float, float]:
    found = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    ap, fm = (math.nan if found[name] is None else float(found[name]) for name in (AP, FM))
    return ap, fm


def _tried(name: str, settings: Mapping[str, Any], scores: Sequence[tuple[float, float]]) -> Tried:
    aps, fms = zip(*scores, strict=True)
    return Tried(name, settings, sum(aps) / len(aps), sum(fms) / len(fms), tuple(aps))


def choose(tried: Sequence[Tried]) -> Tried:
    """Choose by `RULE` among what was tried of one learner, scores to six digits; undefined ones come last.

    Example:
        >>> a, b = Tried("ewc", {"strength": 1}, 0.5, 0.2, ()), Tried("ewc", {"strength": 9}, 0.5, 0.1, ())
        >>> choose([a, b]).settings
        {'strength': 9}
    """

    def worth(one: Tried) -> tuple[float, float]:
        ap = -math.inf if math.isnan(one.ap) else round(one.ap, 6)
        return ap, -math.inf if math.isnan(one.fm) else -round(one.fm, 6)

    return max(tried, key=worth)  # of equal ones max takes the first


def _record(tuning: Tuning, stream: Stream, tried: Sequence[Tried]) -> dict[str, Any]:
    recipe = tuning.recipe
    of = {name: [t for t in tried if t.learner == name] for name in recipe.learners}
    best = {name: choose(members) for name, members in of.items()}
    edges = {name: edge for name in of if (edge := at_edge(best[name], of[name]))}
    return {
        "rule": RULE,
        "stream": recipe.stream,
        "tasks": {task.name: task.digest[:16] for task in stream.tasks},
        "reported": list(recipe.reported),
        "model": source.settled(recipe.model).model_dump(mode="json"),
        "seeds": list(recipe.seeds),
        "training": dict(recipe.training),
        "settings": {name: dict(b.settings) for name, b in best.items() if b.settings},
        "at_edge": edges,
        "tried": {name: [_plain(t) for t in members] for name, members in of.items()},
    }


def at_edge(best: Tried, tried: Sequence[Tried]) -> list[str]:
    """Name the numeric settings whose best value is the least or the largest of two or more: the grid may be too small.

    Example:
        >>> tried = [Tried("ewc", {"strength": s, "fisher": "sampled"}, 0.5, 0.2, ()) for s in (1, 3, 9)]
        >>> at_edge(tried[2], tried), at_edge(tried[1], tried)
        (['strength'], [])
    """
    found: list[str] = []
    for setting, value in best.settings.items():
        values = {t.settings[setting] for t in tried if _is_number(t.settings[setting])}
        if len(values) > 1 and _is_number(value) and value in (min(values), max(values)):
            found.append(setting)
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _plain(one: Tried) -> dict[str, Any]:
    ap, fm = (None if math.isnan(v) else round(v, 6) for v in (one.ap, one.fm))
    return {"settings": dict(one.settings), "AP": ap, "FM": fm, "AP_by_seed": [round(v, 6) for v in one.by_seed]}


def write_tuned(record: Mapping[str, Any], path: Path, recipe: Path) -> None:
    """Write what `tune` gave as YAML, which a recipe takes over by `tuned: FILE`.

    Raises:
        SpecError: The file is there and was not written by this function.
    """
    check_place(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(dict(record), sort_keys=False, allow_unicode=True, width=120)
    write_atomically(path, f"# Made by: clbench tune {recipe.as_posix()}\n{text}")


def check_place(path: Path) -> None:
    """Refuse to write over anything but an older file of `write_tuned`; raises as it does."""
    if path.exists() and "rule" not in read_values(path):
        raise SpecError(f"{path} exists and is not a file of `clbench tune`", where="--out", mend="name another file")
