"""The order in which a lesson is walked, and the learning rate of every optimiser step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from clbench.core.errors import DataError
from clbench.core.types import Lesson
from clbench.training.settings import Training

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
ANY = -1  # the kind of old examples, which may belong to any earlier task


def schedule(
    lengths: Sequence[int],
    training: Training,
    rng: np.random.Generator,
    passes: int | None = None,
    kinds: Sequence[int] = (),
) -> list[list[int]]:
    """Return the batches of a whole lesson, as indices of examples.

    Every epoch shows every example once. Batches come in random order. A batch holds of each kind its share of the
    lesson, and of a kind examples of like length.

    Args:
        lengths: Tokens of each example.
        training: Epochs, batch size and bucket width.
        rng: Source of the order.
        passes: Most passes over the lesson (`Lesson.passes`); None leaves it to `training.epochs`.
        kinds: The kind of each example; `ANY` is a mixture, which stays in random order. Empty: all are of one kind.
    """
    batches: list[list[int]] = []
    size, run = training.batch_size, training.batch_size * training.bucket
    for _ in range(training.epochs if passes is None else min(training.epochs, passes)):
        order = rng.permutation(len(lengths)).tolist()
        epoch: list[list[int]] = []
        for start in range(0, len(order), run):
            near = order[start : start + run]
            if training.bucket > 1:
                near = _spread(near, lengths, kinds)
            epoch += [near[i : i + size] for i in range(0, len(near), size)]
        batches += [epoch[i] for i in rng.permutation(len(epoch))]
    return batches


def _spread(near: list[int], lengths: Sequence[int], kinds: Sequence[int]) -> list[int]:
    """Return examples so that every piece of them holds of each kind its share; of a kind short ones come first."""
    of_kind: dict[int, list[int]] = {}
    for i in near:
        of_kind.setdefault(kinds[i] if kinds else 0, []).append(i)
    placed: list[tuple[float, int]] = []
    for kind, members in of_kind.items():
        ordered = members if kind == ANY else sorted(members, key=lambda i: lengths[i])
        placed += [((place + 0.5) / len(members), i) for place, i in enumerate(ordered)]
    return [i for _, i in sorted(placed, key=lambda x: x[0])]


def kinds_in(wide: Lesson, lesson: Lesson) -> tuple[int, ...]:
    """Return the kind of each example of a lesson to which old examples were added; () if there is one kind alone."""
    if wide.examples == lesson.examples:
        return lesson.kinds
    own = dict(zip(map(id, lesson.examples), lesson.kinds or (0,) * len(lesson.examples), strict=True))
    return tuple(own.get(id(example), ANY) for example in wide.examples)


def rate(index: int, total: int, training: Training) -> float:
    """Return the learning rate of step `index` (from 0) of `total`.

    Example:
        >>> [rate(i, 10, Training(lr=1.0, warmup=0.2, decay="constant")) for i in (0, 1, 2, 9)]
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


def without_documents(lesson: Lesson) -> Lesson:
    """Return a lesson whose examples carry no documents: who trains reads none, and a memory would keep their bytes."""
    if not any(example.document for example in lesson.examples):
        return lesson
    plain = tuple(example.model_copy(update={"document": ""}) for example in lesson.examples)
    return lesson.model_copy(update={"examples": plain})


def pieces(items: Sequence[T], most: int | None) -> list[Sequence[T]]:
    """Return items in pieces of at most `most`, in their order; None keeps them together.

    Example:
        >>> pieces([1, 2, 3], 2), pieces([], 2)
        ([[1, 2], [3]], [])
    """
    size = most or max(len(items), 1)
    return [items[start : start + size] for start in range(0, len(items), size)]


def by_rate(params: dict[str, Tensor], speed: Callable[[str], float]) -> list[dict[str, Any]]:
    """Group parameters by how fast they learn."""
    speeds: dict[float, list[Tensor]] = {}
    for name, param in params.items():
        speeds.setdefault(speed(name), []).append(param)
    return [{"params": group, "speed": speed} for speed, group in speeds.items()]
