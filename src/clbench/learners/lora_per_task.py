"""A LoRA adapter per lesson, of which one answers: that of the task that is told, or else that with the nearest key.

    W'_k = W + (alpha / rank) * B_k A_k,   k = argmax_i cos(key_i, h(x)),   key_i = mean of h over lesson i's prompts

with h(x) the mean over a prompt's tokens of the untouched base model's last hidden state. A task that is told and was
taught has its own adapter, which later lessons never touch: its answers stay as they were, to the bit. A task that is
told and was never taught goes by key as well; a task that is taught again has its newest adapter. Adapters: Hu et al.
2021, "LoRA", arXiv:2106.09685, eq. 3; a frozen adapter per task: Rusu et al. 2016, arXiv:1606.04671; choosing it by the
nearest key that the frozen model gives: Wang et al. 2022, "Learning to Prompt", CVPR, arXiv:2112.08654, and
S-Prompts, NeurIPS 2022, arXiv:2207.12819. Otherwise than there, keys are means and are not trained.

It is for causal models: an encoder's label head is one for all tasks, and would move under the old adapters.

Defaults: rank is lora's; 256 prompts fix a mean well enough.
Keeps: one adapter per lesson, rank * (in + out) numbers per layer, and one key, the mean of hidden states.
Told: where a lesson ends; better also the task, in lessons and in exams.
Not for: lessons that help each other, since nothing is shared; tasks whose prompts look alike and are not told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from clbench.core.types import Answer, Decode, Example, Lesson
from clbench.learners._shared.adapters import LoraTraining, acting, adapter_of, add_lora
from clbench.learners._shared.task_parts import part_for, with_lesson
from clbench.training.method import Method
from clbench.training.plugin import plugin

if TYPE_CHECKING:
    from torch import Tensor

    from clbench.models.net import Net

BATCH = 32  # prompts read at a time; fixed, so that keys do not depend on the machine


class Config(LoraTraining):
    """Settings of one adapter per lesson.

    Attributes:
        key_examples: Most prompts of a lesson that its key is the mean of, >= 1.
    """

    key_examples: int = Field(default=256, ge=1)


class LoraPerTask(Method):
    """Adapters that never act together, and a key for each."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.parts: dict[str, int] = {}
        self.keys: dict[str, Tensor] = {}

    def prepare(self, net: Net, number: int) -> None:
        """Freeze all and add the lesson's adapter, which alone acts."""
        add_lora(net, self.config, adapter_of(number))

    def consolidate(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> None:
        """Note which task the adapter belongs to, and make its key."""
        num = min(self.config.key_examples, len(lesson.examples))
        chosen = [lesson.examples[i] for i in sorted(rng.choice(len(lesson.examples), num, replace=False))]
        self.parts = with_lesson(self.parts, lesson)
        self.keys = {**self.keys, str(lesson.number): mean_states(net, chosen).mean(0)}

    def answer(self, net: Net, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        """Let each question be answered by its adapter, in the order of the questions."""
        if not self.keys:
            return net.respond(examples, decode)
        told = part_for(self.parts, decode.task_id)
        routes = [told] * len(examples) if told is not None else self.route(net, examples)
        answers: dict[int, Answer] = {}
        for part in sorted(set(routes)):
            rows = [i for i, route in enumerate(routes) if route == part]
            with acting(net, [adapter_of(part)]):
                found = net.respond([examples[i] for i in rows], decode)
            answers.update(zip(rows, found, strict=True))
        return [answers[i] for i in range(len(examples))]

    def route(self, net: Net, examples: Sequence[Example]) -> list[int]:
        """Return the lesson whose key is nearest to each question, by cosine; of equals the earliest."""
        import torch
        from torch.nn import functional

        steps = sorted(int(number) for number in self.keys)
        keys_KH = functional.normalize(torch.stack([self.keys[str(number)] for number in steps]), dim=-1)
        nearest_N = (functional.normalize(mean_states(net, examples), dim=-1) @ keys_KH.T).argmax(-1)
        return [steps[i] for i in nearest_N.tolist()]

    def answer_state(self) -> dict[str, Any]:
        """Return parts and keys: answers depend on both."""
        return {"parts": self.parts, "keys": self.keys} if self.keys else {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over parts and keys."""
        self.parts = state.get("parts", {})
        self.keys = state.get("keys", {})


def mean_states(net: Net, examples: Sequence[Example]) -> Tensor:
    """Return the mean over each prompt's tokens of the base model's last hidden state: (examples, hidden), float32.

    What stands in `targets` is not looked at.
    """
    import torch

    found: list[Tensor] = []
    asked = [example.model_copy(update={"targets": ("",)}) for example in examples]
    with torch.no_grad(), acting(net, []):
        for start in range(0, len(asked), BATCH):
            batch = net.batch(asked[start : start + BATCH])
            prompt_BT1 = (batch.mask_BT.bool() & (batch.labels < 0)).unsqueeze(-1)  # labels stand on the answer
            total_BH = (net.hidden(batch.ids_BT, batch.mask_BT).float() * prompt_BT1).sum(1)
            found.append(total_BH / prompt_BT1.sum(1))
    return torch.cat(found)


PLUGIN = plugin(
    Config,
    LoraPerTask,
    version=2,
    stores="derived",
    model_families=("causal",),
    family="isolation",
    uses_task_ids=True,
    trains="part",
    paper="Wang et al. 2022, arXiv:2207.12819",
    about="A low-rank adapter per lesson; each question finds its own.",
)
