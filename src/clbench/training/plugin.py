"""Declare a learner that trains the base model with a method; torch is imported inside functions only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypedDict, TypeVar, Unpack, cast

from clbench.core.protocols import Learner, LearnerPlugin
from clbench.core.spec import Machine, ModelSpec
from clbench.core.traits import Family, ModelFamily, Stores, Trains
from clbench.core.types import Lesson
from clbench.training.new_method import new_method
from clbench.training.settings import Training

if TYPE_CHECKING:
    from clbench.training.method import Method

C = TypeVar("C")


def trained(training: Training, method: Method, model: ModelSpec, seed: int, machine: Machine) -> Learner:
    """Load the base model and make the learner that trains it with `method`."""
    from clbench.models.load import load_net
    from clbench.training.loop import GradientLearner

    return GradientLearner(training, method, load_net(model, machine), seed, machine)


class Fields(TypedDict, Generic[C], total=False):
    """Further fields of `LearnerPlugin`, and the traits, which are described in `clbench.core.traits.Traits`."""

    neutral: Mapping[str, object] | None
    teaches: Literal["in_turn", "at_once"]
    starts_as_base: bool
    answers: Literal["net", "own"] | None
    family: Family | None
    stores: Stores | Callable[[C], Stores | None] | None
    needs_task_ids: bool
    uses_task_ids: bool | Callable[[C], bool | None] | None
    sees_documents: bool
    model_families: tuple[ModelFamily, ...]
    trains: Trains | Callable[[C], Trains | None] | None
    paper: str
    about: str


def plugin(
    config: type[C],
    method: Callable[[C], Method],
    version: int,
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
    """
    return LearnerPlugin(
        config=config,
        build=_build_with(method),
        method=method,
        version=version,
        first_lesson_as=first_lesson_as,
        adopt_first_lesson=adopt_first_lesson if first_lesson_as is not None else None,
        **fields,
    )


def _build_with(method: Callable[[C], Method]) -> Callable[[C, ModelSpec, int, Machine], Learner]:
    def build(config: C, model: ModelSpec, seed: int, machine: Machine) -> Learner:
        return trained(cast("Training", config), new_method(method, config), model, seed, machine)

    return build


def adopt_first_lesson(learner: Any, folder: Path, lesson: Lesson) -> None:
    """Take over a shared first lesson: the form that `LearnerPlugin.adopt_first_lesson` asks for."""
    learner.adopt_first_lesson(folder, lesson)
