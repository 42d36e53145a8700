"""The order in which a lesson is walked, and the learning rate of every optimiser step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clbench.core.errors import DataError
from clbench.core.types import Lesson
from clbench.training.settings import Training


def schedule(
    lengths: Sequence[int], training: Training, rng: np.random.Generator, passes: int | None = None
) -> list[list[int]]:
    """Return the batches of a whole lesson, as indices of examples.

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
    """Return the learning rate of step `index` (from 0) of `total`.

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


def refuse_eval_only(lesson: Lesson) -> None:
    """Refuse a lesson that holds exam questions, or nothing.

    Raises:
        DataError: Names the first such example.
    """
    for example in lesson.examples:
        if example.eval_only:
            raise DataError(
                f"example {example.id!r} is for exams only and must not be learnt",
                where=f"lesson {lesson.number}",
                mend="keep exam items out of the lesson",
            )
    if not lesson.examples:
        raise DataError("there is nothing to learn", where=f"lesson {lesson.number}", mend="give the split some rows")
