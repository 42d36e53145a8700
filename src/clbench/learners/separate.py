"""Separate models: one for each task, trained from the base, and the task of a question says which one answers.

Nothing is shared, so nothing is forgotten and nothing carries over: a bound of stability, against which transfer is
read. A task that was never taught is answered by the base model, and a question that names no task by the model of the
lesson that it is most like, or, if it is unlike every lesson, by the base (`learners/_shared/lesson_keys.py`). A lesson
that teaches two tasks trains one model for both; a task that is taught again goes on from its own model, which then is
the only one it has. Source: the "single-task" or "independent" row of every comparison, for example Lopez-Paz and
Ranzato 2017, "Gradient Episodic Memory", NIPS, arXiv:1706.08840, sec. 5.2.

A label row that a model has not trained stands as it was when it arrived, so models of encoders answer alike whatever
other tasks have added.

Defaults: those of training.
Keeps: one full copy of the trained weights per task, and a key, mean and variance of hidden states; in memory, one more
copy of the base.
Told: the task of a lesson and of every question. It refuses streams that do not reveal it.
Not for: anything but a bound, save where tasks are few and are always told: storage grows by a model per task.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from clbench.core.footprint import Footprint
from clbench.core.types import Answer, Decode, Example, Lesson
from clbench.learners._shared.lesson_keys import PART_FOR_EACH, Isolated, Parts
from clbench.learners._shared.task_parts import part_for
from clbench.training.method import Method
from clbench.training.plugin import plugin

if TYPE_CHECKING:
    from torch import Tensor

    from clbench.models.net import Net


class Config(Isolated):
    """Settings of training; every model is trained by them alone."""


class Separate(Method):
    """The net is the model of the last lesson; those of earlier ones lie beside it."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.parts = Parts(config)
        self.born: dict[str, Tensor] = {}  # base weights, and label rows as they arrived
        self.weights: dict[int, dict[str, Tensor]] = {}  # of parts that do not stand in the net
        self.standing = 0  # part whose weights stand in the net
        self.start: int | None = None  # part that the next lesson goes on from

    def expand(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> Lesson:
        """Lay the standing model aside, and see whether the lesson's task has one already."""
        if self.standing:
            self.weights[self.standing] = _copies(net)
        names = lesson.task_name.split("+") if lesson.task_name else []
        owned = {part_for(self.parts.tasks, name) for name in names}
        self.start = owned.pop() if len(owned) == 1 else None
        return lesson

    def prepare(self, net: Net, number: int) -> None:
        """Begin from the base, or from the model that the lesson's task has."""
        import torch

        from clbench.learners._shared.label_rows import with_new_rows

        for name, param in net.module.named_parameters():
            known = self.born.get(name)
            self.born[name] = param.detach().clone() if known is None else with_new_rows(known, param.detach())
        with torch.no_grad():
            for name, value in self._model(self.start).items():
                net.module.get_parameter(name).copy_(value)
        self.standing, self.start = number, None

    def wake(self, net: Net, number: int) -> None:
        """Note the base; the model of the last lesson stands."""
        self.prepare(net, number)

    def consolidate(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> None:
        """Say whose model it is, and drop those that no task has any more."""
        self.parts.add(net, lesson, rng, lambda part: self._at(net, part))
        known = set(self.parts.tasks.values())
        self.parts.drop([part for part in self.weights if part not in known])
        self.weights = {part: self.weights[part] for part in sorted(self.weights) if part in known}

    def answer(self, net: Net, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        """Answer each question with its model, or with the base."""
        return self.parts.answer(net, examples, decode, lambda part: self._at(net, part))

    def _at(self, net: Net, part: int | None) -> AbstractContextManager[None]:
        """Let the model of a part, or the base, stand in the net for a block."""
        return nullcontext() if part == self.standing else _instead(net, self._model(part))

    def _model(self, part: int | None) -> dict[str, Tensor]:
        """Return all weights of a part, with label rows that came after it as they arrived; None is the base."""
        from clbench.learners._shared.label_rows import with_new_rows

        own = self.weights[part] if part is not None else {}
        whole = dict(self.born)
        for name, value in own.items():
            whole[name] = with_new_rows(value, self.born[name])
        return whole

    def beyond_weights(self) -> str:
        """Return that the task must be told."""
        return PART_FOR_EACH

    def answer_state(self) -> dict[str, Any]:
        """Return which part is whose, the keys, and the weights of parts that do not stand: "part.1", "part.2", ..."""
        named = {f"part.{part}": weights for part, weights in self.weights.items()}
        return {**self.parts.state(), **named} if self.parts.keys else {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over the parts."""
        self.parts.restore(state)
        numbers = sorted(int(name.removeprefix("part.")) for name in state if name.startswith("part."))
        self.weights = {number: state[f"part.{number}"] for number in numbers}


def _copies(net: Net) -> dict[str, Tensor]:
    return {n: p.detach().clone() for n, p in net.module.named_parameters()}


@contextmanager
def _instead(net: Net, weights: Mapping[str, Tensor]) -> Generator[None]:
    """Let other weights stand in the net for a while; its own come back untouched."""
    params = dict(net.module.named_parameters())
    own = {name: param.data for name, param in params.items()}
    try:
        for name, param in params.items():
            param.data = weights[name].to(param.dtype)  # those of a model of 16 bits lie here as float32
        yield
    finally:
        for name, param in params.items():
            param.data = own[name]


PLUGIN = plugin(
    Config,
    Separate,
    version=3,
    footprint=Footprint(base=1, each=1, keeps_each=1),
    stores="derived",
    needs_task_ids=True,
    uses_boundaries=True,
    family="bounds",
    trains="all",
    paper="Lopez-Paz and Ranzato 2017, arXiv:1706.08840",
    about="A model of its own for every task.",
)
