"""Settings of training, the order in which a lesson is walked, and how a trained learner is built.

Files of this room import torch inside functions only: what is already in the store is found without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from clbench.core.errors import DataError
from clbench.core.protocols import Learner, LearnerPlugin
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Frozen, Lesson
from clbench.learners._made import new_method

if TYPE_CHECKING:
    from clbench.learners._method import Method


LOOP = 2  # version of the training loop: part of the keys of learners that are not the package's own
FLOAT16 = 2  # of how lessons of a float16 model are computed: part of the keys of their states


class Training(Frozen):
    """Settings that every trained method shares; all of them are part of a result's identity.

    Attributes:
        lr: Highest learning rate of AdamW. The default suits full fine-tuning of large models.
        epochs: Passes over a lesson.
        batch_size: Examples per optimiser step, over all devices together.
        warmup: Share of the steps in which the rate rises linearly from 0, in [0, 1].
        decay: After warm-up the rate stays ("constant") or falls linearly to 0 ("linear").
        weight_decay: Decoupled weight decay of AdamW, >= 0.
        clip: Largest global gradient norm, > 0.
        precision: "no" computes in the model's dtype, "bf16" in bfloat16 (autocast). Weights of 16 bits have float32
            master copies while they learn; float16 models compute in float32 meanwhile.
        bucket: Batches are cut from runs of `bucket * batch_size` shuffled examples sorted by length, so that
            little is padded; 1 switches it off.
    """

    lr: float = Field(default=2e-5, gt=0)
    epochs: int = Field(default=3, ge=1)
    batch_size: int = Field(default=16, ge=1)
    warmup: float = Field(default=0.1, ge=0, le=1)
    decay: Literal["constant", "linear"] = "constant"
    weight_decay: float = Field(default=0.0, ge=0)
    clip: float = Field(default=1.0, gt=0)
    precision: Literal["no", "bf16"] = "no"
    bucket: int = Field(default=16, ge=1)


def schedule(
    lengths: Sequence[int], training: Training, rng: np.random.Generator, passes: int | None = None
) -> list[list[int]]:
    """Give the batches of a whole lesson, as indices of examples.

    Every epoch shows every example once. Batches hold examples of like length and come in random order.

    Args:
        lengths: Tokens of each example.
        training: Epochs, batch size and bucket width.
        rng: Source of the order.
        passes: Most passes over the lesson (`Lesson.passes`); None leaves it to `training.epochs`.
    """
    batches: list[list[int]] = []
    size, run = training.batch_size, training.batch_size * training.bucket
    for _ in range(training.epochs if passes is None else min(training.epochs, passes)):
        order = rng.permutation(len(lengths)).tolist()
        epoch: list[list[int]] = []
        for start in range(0, len(order), run):
            near = order[start : start + run]
            if training.bucket > 1:
                near.sort(key=lambda i: lengths[i])
            epoch += [near[i : i + size] for i in range(0, len(near), size)]
        batches += [epoch[i] for i in rng.permutation(len(epoch))]
    return batches


def rate(index: int, total: int, training: Training) -> float:
    """Give the learning rate of step `index` (from 0) of `total`.

    Example:
        >>> [rate(i, 10, Training(lr=1.0, warmup=0.2)) for i in (0, 1, 2, 9)]
        [0.5, 1.0, 1.0, 1.0]
    """
    rising = int(training.warmup * total)
    if index < rising:
        return training.lr * (index + 1) / rising
    if training.decay == "constant":
        return training.lr
    return training.lr * (total - index) / (total - rising)


def trained(training: Training, method: Method, model: ModelSpec, seed: int, machine: Machine) -> Learner:
    """Load the base model and make the learner that trains it with `method`."""
    from clbench.learners._gradient import GradientLearner
    from clbench.models.net import load_net

    return GradientLearner(training, method, load_net(model, machine), seed, machine)


def plugin(
    config: type[Any], method: Callable[[Any], Method], version: int, first_lesson_as: str | None = None, **fields: Any
) -> LearnerPlugin[Any]:
    """Declare a learner that trains the base model with a method: all that `LearnerPlugin` needs.

    Args:
        config: Its settings, a subclass of `Training`.
        method: Settings -> method.
        version: Raise it when results change.
        first_lesson_as: Learner whose first lesson it learns exactly.
        fields: Other fields of `LearnerPlugin`.
    """

    def build(config: Any, model: ModelSpec, seed: int, machine: Machine) -> Learner:
        return trained(config, new_method(method, config), model, seed, machine)

    settle = settle_copy if first_lesson_as is not None else None
    return LearnerPlugin(
        config=config,
        build=build,
        method=method,
        version=version,
        first_lesson_as=first_lesson_as,
        settle=settle,
        **fields,
    )


def settle_copy(learner: Any, folder: Path, lesson: Lesson) -> None:
    """Take over a shared first lesson: the form that `LearnerPlugin.settle` asks for."""
    learner.settle(folder, lesson)


def refuse_eval_only(lesson: Lesson) -> None:
    """Refuse a lesson that holds exam questions, or nothing.

    Raises:
        DataError: Names the first such example.
    """
    for example in lesson.examples:
        if example.eval_only:
            raise DataError(
                f"example {example.id!r} is for exams only and must not be learnt",
                where=f"lesson {lesson.step}",
                mend="keep exam items out of the lesson",
            )
    if not lesson.examples:
        raise DataError("there is nothing to learn", where=f"lesson {lesson.step}", mend="give the split some rows")
