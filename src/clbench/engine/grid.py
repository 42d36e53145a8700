"""A grid: one base spec and the axes along which it varies, read from a recipe."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from clbench.core.errors import DataError, SpecError, UserError, did_you_mean
from clbench.core.spec import HEADLINE, ExamBudget, Machine, ModelSpec, RunSpec
from clbench.core.types import Frozen
from clbench.data.cardfile import read_text
from clbench.engine.executors.local import make_all
from clbench.engine.opening import opened_once
from clbench.engine.resolve import open_learner, resolve, validated
from clbench.engine.run import run
from clbench.engine.schedule import open_run, units_of
from clbench.engine.work import is_made
from clbench.store.store import Store


class Recipe(Frozen):
    """What a recipe file may say: the fields of a run, shared training settings, and axes.

    Attributes:
        training: Settings that all trained learners share, so that methods are compared with equal budgets.
            A learner's own settings win; one that is not trained (`frozen`) has no use for them.
        axes: Field path -> values; every combination is one run. `learner` may list names or mappings.
        tuned: File beside the recipe that `clbench tune` wrote: settings of learners, chosen on another stream.
            They win over `training`; what the recipe says of a learner wins over them.
        about: What the recipe is for, for readers.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    model: ModelSpec = ModelSpec()
    learner: Mapping[str, Any] | str | None = None
    stream: str
    exams: tuple[str, ...] = ()
    judge: ModelSpec | None = None
    seed: int = Field(default=0, ge=0)
    metrics: tuple[str, ...] = HEADLINE
    budget: ExamBudget = ExamBudget()
    training: Mapping[str, Any] = {}
    axes: Mapping[str, tuple[Any, ...]] = {}
    tuned: str | None = None
    about: str = ""


class Grid(Frozen):
    """Runs that are made together."""

    name: str
    runs: tuple[RunSpec, ...]

    def specs(self) -> list[RunSpec]:
        """Give the runs, resolved: every default visible."""
        return list(self.runs)


def load_grid(path: Path | str, sets: Sequence[str] = ()) -> Grid:
    """Read a recipe, or a single run spec, which is a grid of one.

    Args:
        path: A YAML file, or the name of a recipe in `recipes/`.
        sets: Changes `a.b.c=VALUE`, VALUE in YAML.

    Raises:
        SpecError: The file is missing or malformed, or a name or value in it is wrong.
    """
    recipe: Recipe = validated(Recipe, read_values(path, sets), "")
    chosen = chosen_in(Path(path).parent / recipe.tuned, recipe) if recipe.tuned is not None else {}
    return grid_of(recipe, chosen)


def grid_of(recipe: Recipe, chosen: Mapping[str, Mapping[str, Any]] | None = None) -> Grid:
    """Give the runs of a recipe.

    Args:
        recipe: What is run.
        chosen: Learner -> settings that tuning chose for it.

    Raises:
        SpecError: A name or a value in it is wrong.
    """
    return Grid(name=recipe.name, runs=tuple(_expand(recipe, chosen or {})))


def chosen_in(path: Path, recipe: Recipe) -> Mapping[str, Mapping[str, Any]]:
    """Give the settings that a file of `clbench tune` chose; they must come from another stream than the recipe's.

    Raises:
        SpecError: There is no such file, it is none of `clbench tune`, or it was tuned on a stream of the recipe.
    """
    if not path.is_file():
        raise SpecError(f"there is no file {path}", where="tuned", mend="make it: clbench tune RECIPE")
    found = read_values(path)
    settings: Any = found.get("settings")
    whole = isinstance(settings, dict) and all(isinstance(s, dict) for s in settings.values())
    if not whole or "stream" not in found:
        raise SpecError(f"{path} is no file of `clbench tune`", where="tuned", mend="make it: clbench tune RECIPE")
    if found["stream"] in (recipe.stream, *recipe.axes.get("stream", ())):
        raise SpecError(
            f"the settings in {path} were chosen on the stream {found['stream']!r} itself",
            where="tuned",
            mend="tune on another stream, such as worlds-tune",
        )
    return settings


def read_values(path: Path | str, sets: Sequence[str] = ()) -> dict[str, Any]:
    """Read a YAML file of fields and values, and change some of them; see `load_grid`.

    Raises:
        SpecError: The file is missing or malformed, or a change cannot be made.
    """
    values = _read(Path(path))
    for change in sets:
        _apply(values, change)
    return values


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        near = sorted(str(p) for p in [*Path().glob("*.yaml"), *Path("recipes").glob("*.yaml")])
        raise SpecError(f"there is no recipe {str(path)!r}", where="SPEC", mend=did_you_mean(str(path), near))
    try:
        return dict(read_text(path).values)
    except DataError as error:
        raise SpecError(
            error.what, where=error.where, mend=error.mend or "write plain YAML: fields and values"
        ) from None


def _apply(values: dict[str, Any], change: str) -> None:
    path, sign, text = change.partition("=")
    if not sign or not path.strip():
        raise SpecError(f"{change!r} is no change", where="--set", mend="write --set field.path=VALUE, such as seed=3")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise SpecError(
            f"{text!r} is no YAML value", where=f"--set {path}", mend="quote it: --set 'a=\"x: y\"'"
        ) from None
    *parents, last = path.strip().split(".")
    place: dict[str, Any] = values
    for depth, part in enumerate(parents):
        found: Any = place.setdefault(part, {})
        if isinstance(found, str) and part == "learner":
            found = {"name": found}
        if not isinstance(found, Mapping):
            raise SpecError(
                f"{'.'.join(parents[: depth + 1])} holds {found!r}, no fields", where="--set", mend="name a field of it"
            )
        inner: dict[str, Any] = dict(found)
        place[part] = inner
        place = inner
    place[last] = value


def _expand(recipe: Recipe, chosen: Mapping[str, Mapping[str, Any]]) -> list[RunSpec]:
    written = recipe.model_dump(mode="json")
    base = {field: written[field] for field in RunSpec.model_fields if field != "name"}
    for axis, points in recipe.axes.items():
        _check_axis(axis, points)
    runs: list[RunSpec] = []
    for point in itertools.product(*recipe.axes.values()):
        values: dict[str, Any] = dict(base)
        labels = [recipe.name]
        for axis, value in zip(recipe.axes, point, strict=True):
            labels.append(_label(axis, value))
            _place(values, axis, value)
        values["learner"] = _learner(values.get("learner"), recipe, chosen)
        spec = validated(RunSpec, {**values, "name": "-".join(labels)}, "")
        runs.append(resolve(spec))
    return runs


def _check_axis(axis: str, points: tuple[Any, ...]) -> None:
    first = axis.split(".", maxsplit=1)[0]
    if first not in RunSpec.model_fields or first == "name":
        raise SpecError(
            f"no field {first!r} to vary", where=f"axes.{axis}", mend=did_you_mean(first, RunSpec.model_fields)
        )
    if not points:
        raise SpecError("no values to vary over", where=f"axes.{axis}", mend="list at least one")


def _place(values: dict[str, Any], axis: str, value: Any) -> None:
    *parents, last = axis.split(".")
    place: dict[str, Any] = values
    for part in parents:
        found: Any = place.get(part) or {}
        inner: dict[str, Any] = {"name": found} if isinstance(found, str) else dict(found)
        place[part] = inner
        place = inner
    place[last] = value


def _label(axis: str, value: Any) -> str:
    if axis == "learner":
        if isinstance(value, Mapping) and "as" in value:
            return _plain(str(value["as"]))
        named = str(value.get("name", "unnamed") if isinstance(value, Mapping) else value)
        return _plain(named.partition("@")[0].rpartition(":")[2])  # of a user's own file, the class
    if axis == "model" and isinstance(value, Mapping):
        value = value.get("name", "model")
    text = _plain(str(value))
    return f"{axis.rsplit('.', maxsplit=1)[-1][0]}{text}" if not isinstance(value, str) else text


def _plain(text: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in text)


def _learner(value: Any, recipe: Recipe, chosen: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    if value is None:
        raise SpecError("no learner is named", where="learner", mend="learner: sft, or axes: {learner: [sft, replay]}")
    own = {"name": value} if isinstance(value, str) else {k: v for k, v in value.items() if k != "as"}
    plugin, _ = open_learner({"name": own.get("name")})
    _check_training(recipe)
    known = set(plugin.config.model_fields)
    shared = {k: v for k, v in recipe.training.items() if k in known}
    return {**shared, **chosen.get(str(own.get("name")), {}), **own}


def _check_training(recipe: Recipe) -> None:
    # Training settings are those of plain fine-tuning; a method's own settings belong to the method.
    open_learner({"name": "sft", **recipe.training})


def run_grid(grid: Grid, store: Store, machine: Machine) -> list[Path]:
    """Make every run of a grid; work that runs share is done once.

    Returns:
        The result folders, in the order of the runs.

    Raises:
        UserError: A run could not be made. The others are finished and recorded first.
    """
    specs = grid.specs()
    with opened_once():
        units = [unit for unit in units_of(specs, store, machine) if not is_made(unit, store, machine)]
        failed = make_all(units, machine) if units else {}
        results = [run(spec, store, machine) for spec in specs if not _touches(spec, failed, store, machine)]
    if failed:
        raise next(iter(failed.values()))
    return results


def _touches(spec: RunSpec, failed: Mapping[str, UserError], store: Store, machine: Machine) -> bool:
    return bool(failed) and not failed.keys().isdisjoint(open_run(spec, store, machine)[2].keys)
