"""How a question finds the part of an isolated learner that answers it: one rule for all of them.

1. A question that names a task that was taught is answered by that task's part, one that names another by the base.
2. A question that names none goes to the part of the lesson whose key is nearest,

       k = argmax_i cos(key_i, h(x)),   key_i = mean of h over lesson i's prompts,

3. but a question unlike every lesson is answered by the base: one for which, for every lesson i,

       D_i(x) > unlike * max over lesson i's prompts p of D_(i without p)(p)
       D_i(x) = mean_d (h_d(x) - key_id)^2 / (var_id + e_i)

with h(x) the mean over a prompt's tokens of the untouched base's last hidden state, var_i the variance of h over lesson
i's prompts and e_i a hundredth of its mean, so that a direction that does not vary in a lesson cannot decide alone.
At `unlike` 2, chosen on worlds-tune, that stream's own questions all find a part, and of seven of its eight ability
exams most or all questions go to the base; the eighth, knowledge, asks facts as the lessons do.
Nearest keys: Wang et al. 2022, "Learning to Prompt", arXiv:2112.08654, and S-Prompts, arXiv:2207.12819; to call what
is far from every class mean, in units of the spread around it, unknown: Lee et al. 2018, "A Simple Unified Framework
for Detecting Out-of-Distribution Samples", NeurIPS, arXiv:1807.03888, here with a diagonal covariance per lesson.
Shapes: N questions, K lessons, H hidden, B texts, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from clbench.core.types import Answer, Decode, Example, Lesson
from clbench.learners._shared.task_parts import part_for, with_lesson
from clbench.training.settings import Training

if TYPE_CHECKING:
    from torch import Tensor

    from clbench.models.net import Net

BATCH = 32  # prompts read at a time; fixed, so that keys do not depend on the machine
PART_FOR_EACH = "it has a part for each task, and must be told the task of every question"
FLOOR = 0.01  # least variance of a direction, as a share of the mean variance of its lesson

At = Callable[[int | None], AbstractContextManager[object]]  # part -> it alone is at work for a block; None: the base


class Isolated(Training):
    """Settings of training, and of how questions find their part.

    Attributes:
        key_examples: Most prompts of a lesson that its key is the mean of, >= 1.
        unlike: A question that names no task is answered by the base if it lies this many times as far from every
            lesson as the farthest prompt of that lesson, > 0; null lets the nearest lesson's part answer everything.
    """

    key_examples: int = Field(default=256, ge=1)
    unlike: float | None = Field(default=2.0, gt=0)


class Added(Isolated):
    """Settings of isolated methods whose parts are new parameters on a frozen base.

    Attributes:
        lr_factor: Learning rate of the new parameters as a multiple of `lr`, > 0: what starts from nothing needs a
            higher one than what was trained before.
    """

    lr_factor: float = Field(default=1.0, gt=0)
    absent_at_default: ClassVar[frozenset[str]] = frozenset({"lr_factor"})


class Parts:
    """Which part belongs to which task, and the keys by which questions that name none find theirs.

    Attributes:
        tasks: Task -> part; part k is the one that lesson k trained.
        keys, spreads, limits: Lesson, as text -> its key (H,), the variance around it (H,), and its farthest prompt.
    """

    def __init__(self, config: Isolated) -> None:
        self.config = config
        self.tasks: dict[str, int] = {}
        self.keys: dict[str, Tensor] = {}
        self.spreads: dict[str, Tensor] = {}
        self.limits: dict[str, Tensor] = {}

    def add(self, net: Net, lesson: Lesson, rng: np.random.Generator, at: At) -> None:
        """Note what a lesson teaches, and make its key with the base."""
        num = min(self.config.key_examples, len(lesson.examples))
        chosen = [lesson.examples[i] for i in sorted(rng.choice(len(lesson.examples), num, replace=False))]
        with at(None):
            states_NH = mean_states(net, chosen)
        name = str(lesson.number)
        self.tasks = with_lesson(self.tasks, lesson)
        self.keys = {**self.keys, name: states_NH.mean(0)}
        self.spreads = {**self.spreads, name: states_NH.var(0, correction=0)}
        self.limits = {**self.limits, name: farthest(states_NH)}

    def drop(self, parts: Sequence[int]) -> None:
        """Forget the keys of parts that there are no longer."""
        for kept in (self.keys, self.spreads, self.limits):
            for part in parts:
                kept.pop(str(part), None)

    def answer(self, net: Net, examples: Sequence[Example], decode: Decode, at: At) -> list[Answer]:
        """Let each question be answered by its part, or by the base, in the order of the questions."""
        if not self.keys:
            return net.respond(examples, decode)
        routes = self.routes(net, examples, decode, at)
        answers: dict[int, Answer] = {}
        for part in sorted(set(routes), key=lambda p: p or 0):
            rows = [i for i, route in enumerate(routes) if route == part]
            with at(part):
                found = net.respond([examples[i] for i in rows], decode)
            answers.update(zip(rows, found, strict=True))
        return [answers[i] for i in range(len(examples))]

    def routes(self, net: Net, examples: Sequence[Example], decode: Decode, at: At) -> list[int | None]:
        """Return the part that answers each question; None is the base."""
        if decode.task_id is not None:
            return [part_for(self.tasks, decode.task_id)] * len(examples)
        if not examples:
            return []
        with at(None):
            states_NH = mean_states(net, examples)
        return self.nearest(states_NH)

    def nearest(self, states_NH: Tensor) -> list[int | None]:
        """Return the lesson whose key is nearest, of equals the earliest; None for what is unlike every lesson."""
        import torch
        from torch.nn import functional

        lessons = sorted(map(int, self.keys))
        keys_KH = functional.normalize(torch.stack([self.keys[str(k)] for k in lessons]), dim=-1)
        nearest_N = (functional.normalize(states_NH, dim=-1) @ keys_KH.T).argmax(-1)
        found: list[int | None] = [lessons[i] for i in nearest_N.tolist()]
        if self.config.unlike is None:
            return found
        ratios_KN = [distance(states_NH, self.keys[n], self.spreads[n]) / self.limits[n] for n in map(str, lessons)]
        unlike_N = torch.stack(ratios_KN).amin(0) > self.config.unlike
        return [None if unlike else part for part, unlike in zip(found, unlike_N.tolist(), strict=True)]

    def state(self) -> dict[str, Any]:
        """Return tasks and keys: answers depend on both."""
        named = {"parts": self.tasks, "keys": self.keys, "spreads": self.spreads, "limits": self.limits}
        return named if self.keys else {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over tasks and keys."""
        self.tasks = dict(state.get("parts", {}))
        self.keys, self.spreads, self.limits = (dict(state.get(n, {})) for n in ("keys", "spreads", "limits"))


def distance(states_NH: Tensor, key_H: Tensor, spread_H: Tensor) -> Tensor:
    """Return the mean squared distance from a key in units of the variance around it, (N,), >= 0.

    The key and its variance may be one for all states, or one for each of them, (N, H).

    Example:
        >>> import torch
        >>> key, spread = torch.tensor([0.0, 1.0]), torch.tensor([1.0, 3.0])
        >>> [round(d, 3) for d in distance(torch.tensor([[0.0, 1.0], [2.0, 1.0]]), key, spread).tolist()]
        [0.0, 1.961]
    """
    least = FLOOR * spread_H.mean(-1, keepdim=True) + 1e-12  # prompts that are all alike have no spread at all
    return ((states_NH - key_H).square() / (spread_H + least)).mean(-1)


def farthest(states_NH: Tensor) -> Tensor:
    """Return the largest distance of a prompt from all others of its lesson: each is left out of its own key.

    So it is as far as a question may lie that the lesson did not hold, however few prompts the lesson has. At least 1,
    the mean distance of a lesson's own prompts: one prompt alone, or like ones, have no farthest.
    """
    import torch

    num = len(states_NH)
    if num == 1:
        return torch.ones((), device=states_NH.device)
    keys_NH = (states_NH.sum(0) - states_NH) / (num - 1)
    squares_NH = (states_NH.square().sum(0) - states_NH.square()) / (num - 1)
    return distance(states_NH, keys_NH, (squares_NH - keys_NH.square()).clamp(min=0)).max().clamp(min=1.0)


def mean_states(net: Net, examples: Sequence[Example]) -> Tensor:
    """Return the mean over each prompt's tokens of a net's last hidden state: (N, H), float32.

    What stands in `targets` is not looked at.
    """
    import torch

    found: list[Tensor] = []
    blank = net.labels[:1] or ("",)  # a batch wants an answer; an encoder's must be a label that it knows
    asked = [e.model_copy(update={"targets": blank, "choices": e.choices or net.labels[:1]}) for e in examples]
    with torch.no_grad():
        for start in range(0, len(asked), BATCH):
            batch = net.batch(asked[start : start + BATCH])
            prompt_BT = batch.mask_BT.bool()
            if batch.labels.dim() == 2:  # a causal model's labels stand on the answer, not on the prompt
                prompt_BT = prompt_BT & (batch.labels < 0)
            total_BH = (net.hidden(batch.ids_BT, batch.mask_BT).float() * prompt_BT.unsqueeze(-1)).sum(1)
            found.append(total_BH / prompt_BT.sum(1, keepdim=True))
    return torch.cat(found)
