"""Losses and gradient norms of a lesson's steps; an accelerator is asked for them every few steps, not in each."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from clbench.core.errors import LessonError
from clbench.core.types import Lesson
from clbench.training.checkpoint import latest

EVERY = 16  # steps between looks at an accelerator: a look waits for all that it was given to do

Found = tuple[float, float]
"""Loss and gradient norm of a step."""


class Watch:
    """Sees that every step has a finite loss and gradient norm, and names the first that has not.

    On a CPU it looks at once. On an accelerator it looks every `EVERY` steps, before a checkpoint and at the end: the
    steps in between are lost, and nothing that they made is kept.
    """

    def __init__(self, device: torch.device, error: Callable[[int, Found], Exception]) -> None:
        self._every = 1 if device.type == "cpu" else EVERY
        self._error = error
        self._seen: list[tuple[int, Tensor, Tensor]] = []

    def see(self, step: int, loss: Tensor, norm: Tensor) -> None:
        """Note the loss and the gradient norm of a step, numbers on the device; look if it is time to."""
        self._seen.append((step, loss.detach(), norm.detach()))
        if len(self._seen) >= self._every:
            self.look()

    def look(self) -> None:
        """Read what was noted; raise the error of the first step with a number that is not finite."""
        if not self._seen:
            return
        seen, self._seen = self._seen, []
        numbers = torch.stack([number.float().reshape(()) for _, *both in seen for number in both]).tolist()
        for (step, _, _), loss, norm in zip(seen, numbers[::2], numbers[1::2], strict=True):
            if not math.isfinite(loss + norm):
                raise self._error(step, (loss, norm))


@contextmanager
def watched(device: torch.device, error: Callable[[int, Found], Exception]) -> Generator[Watch]:
    """Watch the steps of a block; what breaks after a step that was not finite is told as that step's error.

    Args:
        device: Where the numbers are made.
        error: Makes the error of a step from its index and what was found.
    """
    watch = Watch(device, error)
    try:
        yield watch
    except Exception:
        watch.look()
        raise
    watch.look()


def not_finite(total: int, lesson: Lesson, progress: Path | None, index: int, found: Found) -> LessonError:
    """Return the error of a step whose loss or gradient norm is not finite.

    Args:
        total: Steps of the lesson.
        lesson: The lesson.
        progress: Folder of its checkpoints; None without one.
        index: The step, counted from 0.
        found: What was found.
    """
    last = latest(progress) if progress is not None else None
    good = f"last good checkpoint: step {last[0].index} in {last[1]}" if last else "no checkpoint inside this lesson"
    return LessonError(
        f"the loss is {found[0]:.4g} and the gradient norm {found[1]:.4g} at step {index + 1} of {total}; {good}",
        where=f"lesson {lesson.number}" + (f" ({lesson.task_name})" if lesson.task_name else ""),
        mend="lower learner.lr, raise learner.warmup, or look at the lesson's longest examples with `clbench show`",
    )
