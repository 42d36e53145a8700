"""A LoRA adapter per lesson, of which one answers: that of the task that is told, or else that with the nearest key.

    W'_k = W + (alpha / rank) * B_k A_k,   k = argmax_i cos(key_i, h(x)),   key_i = mean of h over lesson i's prompts

with h(x) the mean over a prompt's tokens of the untouched base model's last hidden state. A task that is told and was
taught has its own adapter, which later lessons never touch: its answers stay as they were, to the bit. A task that is
told and was never taught is answered by the base; a task that is taught again has its newest adapter. Where no task is
told, keys decide, and a question unlike every lesson is answered by the base (`unlike`; one rule for all isolated
methods, with its equation in `learners/_shared/lesson_keys.py`). Adapters: Hu et al. 2021, "LoRA", arXiv:2106.09685,
eq. 3; a frozen adapter per task: Rusu et al. 2016, arXiv:1606.04671; choosing it by the nearest key that the frozen
model gives: Wang et al. 2022, "Learning to Prompt", CVPR, arXiv:2112.08654, and S-Prompts, NeurIPS 2022,
arXiv:2207.12819. Otherwise than there, keys are means and are not trained, and the base may answer.

It is for causal models: an encoder's label head is one for all tasks, and would move under the old adapters.

Defaults: rank is lora's; 256 prompts fix a mean well enough; `unlike` 2 lets nearly all questions of the generated
worlds' exams through, and keeps most of the ability exams out.
Keeps: one adapter per lesson, rank * (in + out) numbers per layer, and one key, mean and variance of hidden states.
Told: where a lesson ends; better also the task, in lessons and in exams.
Not for: lessons that help each other, since nothing is shared; tasks whose prompts look alike and are not told.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from clbench.core.footprint import PLAIN
from clbench.core.types import Answer, Decode, Example, Lesson
from clbench.learners._shared.adapters import (
    LoraTraining,
    acting,
    adapter_of,
    add_lora,
    instead,
    lora_rate,
    take_out,
)
from clbench.learners._shared.lesson_keys import PART_FOR_EACH, At, Isolated, Parts
from clbench.training.method import Method
from clbench.training.plugin import plugin

if TYPE_CHECKING:
    from torch import Tensor

    from clbench.models.net import Net


class Config(LoraTraining, Isolated):
    """Settings of one adapter per lesson."""


class LoraPerTask(Method):
    """Adapters that never act together, and a key for each."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.parts = Parts(config)
        self.standing = 0  # part whose adapter stands in the net; those of earlier lessons lie beside it
        self.aside: dict[str, Tensor] = {}

    def lr_scale(self, name: str) -> float:
        """Let the adapter learn `lr_factor` times as fast as `lr` says."""
        return lora_rate(self.config, name)

    def prepare(self, net: Net, number: int) -> None:
        """Freeze all and put the lesson's adapter into the place of the last one."""
        add_lora(net, self.config, adapter_of(number))
        if self.standing:
            self.aside |= take_out(net, adapter_of(self.standing))
        self.standing = number

    def wake(self, net: Net, number: int) -> None:
        """Add the last lesson's adapter; those of earlier lessons stay beside the net."""
        self.prepare(net, number)

    def parked(self) -> Mapping[str, Tensor]:
        """Return the adapters of earlier lessons."""
        return self.aside

    def park(self, weights: Mapping[str, Tensor]) -> None:
        """Take over the adapters of earlier lessons."""
        self.aside = {name: weight for name, weight in weights.items() if ".lora_" in name}

    def consolidate(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> None:
        """Note which task the adapter belongs to, and make its key."""
        self.parts.add(net, lesson, rng, self.at(net))

    def answer(self, net: Net, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        """Let each question be answered by its adapter, or by the base, in the order of the questions."""
        return self.parts.answer(net, examples, decode, self.at(net))

    def at(self, net: Net) -> At:
        """Return what lets the adapter of a part act alone for a block, or the base."""
        return lambda part: self._acting(net, part)

    @contextmanager
    def _acting(self, net: Net, part: int | None) -> Generator[None]:
        if part is None or part == self.standing:
            with acting(net, [] if part is None else [adapter_of(part)]):
                yield
            return
        own, other = adapter_of(self.standing), f".{adapter_of(part)}."
        with acting(net, [own]), instead(net, own, {n: w for n, w in self.aside.items() if other in n}):
            yield

    def beyond_weights(self) -> str:
        """Return that the task must be told."""
        return PART_FOR_EACH

    def answer_state(self) -> dict[str, Any]:
        """Return tasks and keys: answers depend on both."""
        return self.parts.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Take over tasks and keys."""
        self.parts.restore(state)


PLUGIN = plugin(
    Config,
    LoraPerTask,
    version=3,
    footprint=PLAIN,
    stores="derived",
    model_families=("causal",),
    family="isolation",
    uses_task_ids=True,
    uses_boundaries=True,
    trains="part",
    paper="Wang et al. 2022, arXiv:2207.12819",
    about="A low-rank adapter per lesson; each question finds its own.",
)
