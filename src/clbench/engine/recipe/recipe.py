"""A recipe: one base spec, and the axes along which it varies."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Required, TypedDict, Unpack

from pydantic import Field, ModelWrapValidatorHandler, ValidationError, field_validator, model_validator

from clbench.core.errors import DataError, SpecError, UserError, did_you_mean
from clbench.core.events import notice
from clbench.core.spec import HEADLINE, MOST_NAME, SERVER, ExamBudget, JudgeSpec, ModelSpec, RunSpec, folder_name
from clbench.core.strict import as_python, not_plain
from clbench.core.validation import check_numbers, validated, wrong_fields
from clbench.core.value import Value
from clbench.data.tasks.card_file import read_text
from clbench.data.tasks.card_folder import card_here, find_recipe, sort_of
from clbench.engine.recipe.changes import apply_change
from clbench.engine.recipe.exclude import check_exclude, is_excluded, still_there
from clbench.engine.recipe.left_out import not_of_both, tell_left_out
from clbench.engine.recipe.paths import place_paths
from clbench.engine.resolve import open_learner, resolve

MOST_RUNS = 10_000
IN_A_RUN = "`clbench init my-run` writes a recipe: name it there under "
NO_RECIPE = {
    "tasks": ("a task's card", f"{IN_A_RUN}`tasks:` of a stream, or under `exams:`"),
    "streams": ("a stream's card", f"{IN_A_RUN}`stream:`"),
    "exams": ("an exam's card", f"{IN_A_RUN}`exams:`; or clbench exam MODEL --exam FILE"),
    "models": ("a recipe of models", "clbench pretrain FILE makes them"),
}


class Written(TypedDict, total=False):
    """The fields of a recipe as a script may write them; what they mean stands at `Recipe`."""

    name: Required[str]
    stream: Required[str]
    model: ModelSpec | Mapping[str, Any] | str
    learner: Mapping[str, Any] | str | None
    exams: Sequence[str]
    judge: JudgeSpec | Mapping[str, Any] | str | None
    seed: int
    metrics: Sequence[str]
    budget: ExamBudget | Mapping[str, Any]
    exam_server: str | None
    training: Mapping[str, Any]
    axes: Mapping[str, Sequence[Any]]
    exclude: Sequence[Mapping[str, Any]]
    tuned: str | None
    about: str


class Recipe(Value):
    """One base run, shared training settings, and axes along which it varies: what a recipe file may say.

    Attributes:
        model: The base model; its name alone is short for `{name: ...}`.
        training: Settings that all trained learners share, so that methods are compared with equal budgets.
            A learner's own settings win; one that is not trained (`frozen`) has no use for them.
        axes: Field path -> values; every combination is one run. `learner` may list names or mappings.
        exclude: Combinations that are left out, each as axis -> a value or several: `{learner: joint, seed: [1, 2]}`.
            A learner is called by its `as`, or else its name.
        tuned: File that `clbench tune` wrote, beside the recipe: settings of learners, chosen on another stream, by
            the learner's `as` or else its name. They win over `training`; what the recipe says of a learner wins over
            them.
        about: What the recipe is for, for readers.
    """

    name: str = Field(max_length=MOST_NAME)
    model: ModelSpec = ModelSpec()
    learner: Mapping[str, Any] | str | None = None
    stream: str
    exams: tuple[str, ...] = ()
    judge: JudgeSpec | None = None
    seed: int = Field(default=0, ge=0)
    metrics: tuple[str, ...] = HEADLINE
    budget: ExamBudget = ExamBudget()
    exam_server: str | None = Field(default=None, pattern=SERVER, max_length=60)
    training: Mapping[str, Any] = {}
    axes: Mapping[str, tuple[Any, ...]] = {}
    exclude: tuple[Mapping[str, Any], ...] = ()
    tuned: str | None = None
    about: str = ""

    if TYPE_CHECKING:

        def __init__(self, **fields: Unpack[Written]) -> None:
            """Take the fields as they are written."""

    def specs(self, broken: dict[str, UserError] | None = None) -> list[RunSpec]:
        """Return the runs, every default visible.

        Args:
            broken: Where given, models that cannot be used are put in here (`resolve.model_key` -> why), and stay in
                their runs as they are written.

        Raises:
            SpecError: A name or a value in it is wrong.
            ModelError: A model cannot be used, and `broken` is not given.
        """
        return _expand(self, _chosen(self), broken)

    @model_validator(mode="wrap")
    @classmethod
    def _told(cls, values: Any, handler: ModelWrapValidatorHandler[Recipe]) -> Recipe:
        # Made in Python or read from a file, what is wrong is told in the same words.
        given = as_python(values)
        try:
            found = handler(given)
        except ValidationError as error:
            raise wrong_fields(cls, error, "") from error
        for field in ("learner", "training", "axes", "exclude"):
            if (odd := not_plain(vars(found)[field], field)) is not None:
                path, value = odd
                mend = "write a number, a text, True, False, None, or a list or a mapping of these"
                raise SpecError(
                    f"{value!r:.60} ({type(value).__name__}) has no place in a recipe", where=path, mend=mend
                )
        if isinstance(given, Mapping):
            check_numbers(given, found, "")
        return found

    if not TYPE_CHECKING:

        def __new__(cls, *given: Any, **_: Any) -> Recipe:
            """Refuse values without names, before pydantic speaks of its own arguments."""
            if given:
                what = f"{given[0]!r:.60} stands without the name of a field"
                mend = 'name each: cl.Recipe(name="mine", stream=...); one that is on file: cl.run("demo", set=[...])'
                raise SpecError(what, where="Recipe", mend=mend)
            return super().__new__(cls)

    @field_validator("learner", mode="before")
    @classmethod
    def _in_a_file(cls, value: Any) -> Any:
        if value is None or isinstance(value, (str, Mapping)):
            return value  # pyright: ignore[reportUnknownVariableType]  # checked next
        if isinstance(value, list):
            raise ValueError("one learner is named here")  # `wrong_fields` says where several stand
        what = "a learner is named: 'sft', {'name': 'ewc', 'strength': 30}; write a class of your own into a file"
        raise ValueError(f"{what} and name it 'my_file.py:Mine'")

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, value: str) -> str:
        if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", value) is None:
            raise ValueError("a name is made of the letters A to Z, digits and . _ -, since it names folders")
        return value

    @field_validator("model", mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


def load_recipe(path: Path | str, sets: Sequence[str] = ()) -> Recipe:
    """Read a recipe; a single run spec is one too.

    Args:
        path: A YAML file, or the name of a recipe that comes with clbench.
        sets: Changes `a.b.c=VALUE`, VALUE in YAML.

    Raises:
        SpecError: The file is missing or malformed, or a change has no effect.
    """
    values = read_values(path, sets)
    recipe: Recipe = validated(Recipe, values, "")
    if axed := sorted(axis for axis in recipe.axes if _is_written(values, axis)):
        notice(f"{', '.join(axed)}: not read, since `axes` of the recipe varies it")
    if recipe.tuned is not None:  # it lies beside the recipe
        recipe = recipe.model_copy(update={"tuned": str(find_recipe(path).parent / recipe.tuned)})
    if sets:
        recipe = recipe.model_copy(update={"exclude": still_there(recipe.exclude, recipe.axes, _axes_of(path))})
        chosen = _chosen(recipe)
        for change in sets:
            _check_read(change, recipe, chosen)
    return recipe


def _axes_of(path: Path | str) -> Mapping[str, Sequence[Any]]:
    axes: Any = read_values(path).get("axes")
    return axes if isinstance(axes, Mapping) else {}


def _is_written(values: Mapping[str, Any], path: str) -> bool:
    found: Any = values
    for part in path.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return False
        found = found[part]
    return found is not None


def _check_read(change: str, recipe: Recipe, chosen: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a change that no learner takes, and say which do not: their own settings win over `training`.

    Raises:
        SpecError: None takes it, or it names a setting of one learner and is meant for all of an axis.
    """
    path, _, _ = change.partition("=")
    room, _, setting = path.strip().partition(".")
    written = [value for value in recipe.axes.get("learner", (recipe.learner,)) if value is not None]
    learners = [{**_chosen_of(value, chosen), **_named(value)} for value in written]
    if room == "training":
        for name in [setting] if setting else recipe.training:
            _check_shared(name, [own for own in learners if _has(own, name)], recipe)
    elif room == "learner" and setting and "." not in setting:
        lacking = [str(own["name"]) for own in learners if not _has(own, setting)]
        if 0 < len(lacking) < len(learners):
            mend = f"--set training.{setting}=VALUE, if it is one of training; or narrow the axis: --set learner=NAME"
            raise SpecError(f"{', '.join(lacking)}: no setting {setting!r}", where=f"--set {path}", mend=mend)


def _has(own: Mapping[str, Any], setting: str) -> bool:
    return setting in open_learner({"name": own.get("name")})[0].config.model_fields


def _check_shared(name: str, takers: Sequence[Mapping[str, Any]], recipe: Recipe) -> None:
    axis = f"learner.{name}" in recipe.axes
    deaf = [str(own["name"]) for own in takers if axis or name in own]
    why = "the recipe or its `tuned` gives an own one"
    if deaf and len(deaf) == len(takers):
        mend = f"name it beside the learner: --set 'axes.learner=[{{name: {deaf[0]}, {name}: VALUE}}, ...]'"
        raise SpecError(f"no learner reads it: {', '.join(deaf)}: {why}", where=f"--set training.{name}", mend=mend)
    if deaf:
        notice(f"training.{name} is not read by {', '.join(deaf)}: {why}")


def _chosen(recipe: Recipe) -> Mapping[str, Mapping[str, Any]]:
    """Return learner -> settings that tuning chose for it."""
    return {} if recipe.tuned is None else chosen_in(Path(recipe.tuned), recipe)


def chosen_in(path: Path, recipe: Recipe) -> Mapping[str, Mapping[str, Any]]:
    """Return the settings that a file of `clbench tune` chose; they must come from another stream than the recipe's.

    Raises:
        SpecError: There is no such file, it is not one of `clbench tune`, or it was tuned on a stream of the recipe.
    """
    if not path.is_file():
        raise SpecError(f"there is no file {path}", where="tuned", mend="make it: clbench tune RECIPE")
    found = read_values(path)
    settings: Any = found.get("settings")
    whole = isinstance(settings, dict) and all(isinstance(s, dict) for s in settings.values())
    if not whole or "stream" not in found:
        raise SpecError(f"{path} is not a file of `clbench tune`", where="tuned", mend="make it: clbench tune RECIPE")
    if found["stream"] in (recipe.stream, *recipe.axes.get("stream", ())):
        raise SpecError(
            f"the settings in {path} were chosen on the stream {found['stream']!r} itself",
            where="tuned",
            mend="tune on another stream, such as worlds-tune",
        )
    return settings


def read_values(path: Path | str, sets: Sequence[str] = ()) -> dict[str, Any]:
    """Read a YAML file of fields and values, and change some of them; see `load_recipe`.

    Raises:
        SpecError: The file is missing, malformed or a card, or a change cannot be made.
    """
    file = find_recipe(path)
    values = _read(file)
    place_paths(values, file.parent)
    if (how := NO_RECIPE.get(sort_of(values))) is not None:
        what, mend = how
        raise SpecError(f"this is {what}, not a recipe", where=str(path), mend=mend)
    for change in sets:
        apply_change(values, change)
    return values


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(read_text(path).values)
    except DataError as error:
        raise SpecError(
            error.what, where=error.where, mend=error.mend or "write plain YAML: fields and values"
        ) from None


def _expand(
    recipe: Recipe, chosen: Mapping[str, Mapping[str, Any]], broken: dict[str, UserError] | None
) -> list[RunSpec]:
    written = recipe.model_dump(mode="json")
    base = {field: written[field] for field in RunSpec.model_fields if field != "name"}
    base["learner"] = recipe.learner  # as it is: JSON has no NaN, of which is told below
    for axis, points in recipe.axes.items():
        _check_axis(axis, points)
    num = math.prod(map(len, recipe.axes.values()))
    if num > MOST_RUNS:
        raise SpecError(
            f"{num:,} runs, more than {MOST_RUNS:,}", where="axes", mend="leave out values, or write several recipes"
        )
    check_exclude(recipe.exclude, recipe.axes)
    named = {str(s) for s in recipe.axes.get("stream", (recipe.stream,))}
    streams = {name: card_here("streams", name) for name in sorted(named)}
    runs: list[RunSpec] = []
    left_out: dict[str, dict[str, SpecError]] = {}
    known: dict[str, ModelSpec] = {}
    for point in itertools.product(*recipe.axes.values()):
        if is_excluded(dict(zip(recipe.axes, point, strict=True)), recipe.exclude):
            continue
        values: dict[str, Any] = dict(base)
        labels = [recipe.name]
        for axis, value in zip(recipe.axes, point, strict=True):
            labels.append(_label(axis, value))
            _place(values, axis, value)
        if len(name := "-".join(labels)) > MOST_NAME:
            mend = f"at most {MOST_NAME} characters: shorten `name`, or name points of the learner axis with `as:`"
            raise SpecError(
                f"a run would be named by {len(name)} characters, {name[:40]!r}...", where="name", mend=mend
            )
        values["model"] = {"name": values["model"]} if isinstance(values["model"], str) else values["model"]
        values["learner"] = _learner(values.get("learner"), recipe, chosen)
        values["stream"] = streams[str(values["stream"])]
        spec = resolve(validated(RunSpec, {**values, "name": name}, ""), broken, known)
        if (why := not_of_both(spec, recipe.axes, broken or {})) is None:
            runs.append(spec)
        else:
            left_out.setdefault(spec.model.name, {}).setdefault(spec.learner_label, why)
    tell_left_out(left_out, runs)
    if not runs:
        raise SpecError("all runs are left out", where="exclude", mend="leave fewer out")
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
    if axis == "model.path":
        axis, value = "model.name", folder_name(value)
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
        value = value.get("name", value.get("path", "model"))
    if axis == "judge" and isinstance(value, Mapping):
        model = value.get("model", "judge")
        value = model.get("name", "judge") if isinstance(model, Mapping) else model
    text = _plain(str(value))
    return f"{axis.rsplit('.', maxsplit=1)[-1][0]}{text}" if not isinstance(value, str) else text


def _plain(text: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in text)


def _learner(value: Any, recipe: Recipe, chosen: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    if value is None:
        raise SpecError("no learner is named", where="learner", mend="learner: sft, or axes: {learner: [sft, replay]}")
    own = _named(value)
    plugin, _ = open_learner({"name": own.get("name")})
    _check_training(recipe)
    known = set(plugin.config.model_fields)
    shared = {k: v for k, v in recipe.training.items() if k in known}
    return {**shared, **_chosen_of(value, chosen), **own}


def _chosen_of(value: Any, chosen: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the chosen settings of a learner: those of what it is called by `as`, else those of its name."""
    called = value.get("as") if isinstance(value, Mapping) else None
    name = value.get("name") if isinstance(value, Mapping) else value
    return chosen.get(str(called), chosen.get(str(name), {}))


def _named(value: Any) -> dict[str, Any]:
    return {"name": value} if isinstance(value, str) else {k: v for k, v in value.items() if k != "as"}


def _check_training(recipe: Recipe) -> None:
    # Training settings are those of plain fine-tuning; a method's own settings belong to the method.
    validated(open_learner({"name": "sft"})[0].config, recipe.training, "training")
