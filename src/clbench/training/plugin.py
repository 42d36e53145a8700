"""Declare a learner that trains the base model with a method; torch is imported inside functions only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypedDict, TypeGuard, TypeVar, Unpack, cast

from clbench.core.errors import SpecError
from clbench.core.footprint import Held
from clbench.core.older_names import new_keyword
from clbench.core.protocols import Learner, LearnerPlugin
from clbench.core.spec import Machine, ModelSpec
from clbench.core.traits import Family, ModelFamily, Stores, Trains
from clbench.core.types import Lesson
from clbench.training.new_method import new_method
from clbench.training.settings import Training

if TYPE_CHECKING:
    from clbench.training.loop import GradientLearner
    from clbench.training.method import Method

C = TypeVar("C")


def trained(training: Training, method: Method, model: ModelSpec, seed: int, machine: Machine) -> Learner:
    """Load the base model and make the learner that trains it with `method`."""
    from clbench.models.load import load_net
    from clbench.training.loop import GradientLearner

    return GradientLearner(training, method, load_net(model, machine), seed, machine)


def undefined_on(plugin: LearnerPlugin[Any], name: str, model: ModelSpec, where: str) -> SpecError | None:
    """Return why a learner of this name is not defined on the family of a model; None where it is."""
    from clbench.models.source import abilities

    can = abilities(model)
    family = "causal" if can is None or "text" in can else "encoder"
    if family in plugin.model_families:
        return None
    mend = f"take a model of family {' or '.join(plugin.model_families)}"
    return SpecError(f"{name!r} is not defined on {family} models", where=where, mend=mend)


def saves_tensor_files(learner: Learner) -> TypeGuard[GradientLearner]:
    """Return whether a learner is that of the training loop: its states are tensor files, which can share parts."""
    return type(learner).__module__ == f"{__package__}.loop"  # by name: a learner without torch must not import it


class Fields(TypedDict, Generic[C], total=False):
    """Further fields of `LearnerPlugin`, and the traits, which are described in `clbench.core.traits.Traits`."""

    neutral: Mapping[str, object] | None
    teaches: Literal["in_turn", "at_once"]
    starts_as_base: bool
    answers: Literal["net", "own"] | None
    footprint: Held | Callable[[C], Held | None] | None
    family: Family | None
    stores: Stores | Callable[[C], Stores | None] | None
    needs_task_ids: bool
    uses_task_ids: bool | Callable[[C], bool | None] | None
    uses_boundaries: bool | Callable[[C], bool | None] | None
    sees_documents: bool
    model_families: tuple[ModelFamily, ...]
    trains: Trains | Callable[[C], Trains | None] | None
    paper: str
    about: str


def plugin(
    config: type[C],
    method: Callable[[C], Method],
    version: int = 0,  # to be told in our words where it is missing
    first_lesson_as: str | None = None,
    **fields: Unpack[Fields[C]],
) -> LearnerPlugin[C]:
    """Declare a learner that trains the base model with a method: all that `LearnerPlugin` needs.

    Args:
        config: Its settings, a subclass of `Training`.
        method: Settings -> method.
        version: Raise it when results change.
        first_lesson_as: Learner whose first lesson it learns exactly.
        fields: Other fields of `LearnerPlugin`: its traits, and what it promises.

    Raises:
        SpecError: Something of it is not what is wanted; says what is.
    """
    _check(config, method, version, fields)
    return LearnerPlugin(
        config=config,
        build=_build_with(method),
        method=method,
        version=version,
        first_lesson_as=first_lesson_as,
        adopt_first_lesson=adopt_first_lesson if first_lesson_as is not None else None,
        **fields,
    )


def _check(config: Any, method: Any, version: Any, fields: Mapping[str, Any]) -> None:
    """Refuse what cannot be declared at the line that declares it, not when a run first needs it."""
    if unknown := [name for name in fields if name not in Fields.__annotations__]:
        raise SpecError(f"plugin has no field {unknown[0]!r}", where="PLUGIN", mend=new_keyword("plugin", unknown[0]))
    order = "first the Config, then the method: cl.plugin(Config, MyMethod, version=1)"
    if not _is_config(config):
        what = "the method stands before its Config" if _is_config(method) else f"{config!r:.80} is not a Config"
        raise SpecError(what, where="PLUGIN", mend=f"{order}; a Config extends cl.Training")
    if not callable(method) or _is_config(method):
        raise SpecError(f"{method!r:.80} is not a method", where="PLUGIN", mend=order)
    if type(version) is int and version == 0:
        what = "version is missing, or 0"
        raise SpecError(what, where="PLUGIN", mend="begin with version=1, and raise it when results change")


def _is_config(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Training)


def _build_with(method: Callable[[C], Method]) -> Callable[[C, ModelSpec, int, Machine], Learner]:
    def build(config: C, model: ModelSpec, seed: int, machine: Machine) -> Learner:
        return trained(cast("Training", config), new_method(method, config), model, seed, machine)

    return build


def adopt_first_lesson(learner: Any, folder: Path, lesson: Lesson) -> None:
    """Take over a shared first lesson: the form that `LearnerPlugin.adopt_first_lesson` asks for."""
    learner.adopt_first_lesson(folder, lesson)
