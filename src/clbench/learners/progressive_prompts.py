"""Progressive prompts: a soft prompt per lesson, read after the frozen prompts of all earlier lessons.

In lesson k, and whenever part k answers, the frozen base reads

    [P_1, ..., P_k, embed(text)]

and lesson k trains P_k alone, `length` vectors of the width of an embedding. Earlier prompts and the base are frozen,
so that the answers to an earlier task, once the task is told, are the same to the bit for ever. On encoders the
prompts stand after the first token, whose state the head reads, and each part has a label head of its own, added to
the frozen one. Positions of the text move by the prompts' length (`learners/_shared/soft_prompts.py`).
Source: Razdaibiedina et al. 2023, "Progressive Prompts: Continual Learning for Language Models", ICLR,
arXiv:2301.12314, section 3; a prompt starts from the embeddings of random tokens, as in the authors' program.
Otherwise than there: the newest prompt stands next to the text instead of in front of the earlier prompts, since in a
causal model only what stands behind can read what was learnt before; and prompts are trained as they are, without
the residual network through which the paper passes them.

Defaults: 10 vectors as in the authors' example for T5. They train prompts at far higher rates (0.3 on T5) than suits
a whole model: at the usual `lr` a prompt hardly moves, and `lr_factor` sets a rate of its own.
Keeps: length x hidden numbers per lesson, which prompt belongs to which task, and a key per lesson, mean and variance
of hidden states. Prompts are not counted as tokens.
Told: the task. Told none, the prompts up to those of the lesson with the nearest key are read, and none for what is
unlike every lesson (`learners/_shared/lesson_keys.py`); a task that was never taught is answered by the base.
Not for: long streams on short models: t x length positions are gone after t lessons.
Falls short: it learns little: at the best of rates from 0.035 to 0.2, on a stream of its own, 18 of 100 where full
fine-tuning keeps 92. A guess: a model of five narrow layers cannot be steered by what stands in its input.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from clbench.core.footprint import PLAIN
from clbench.core.types import Answer, Decode, Example, Lesson
from clbench.learners._shared.lesson_keys import PART_FOR_EACH, Added, Parts
from clbench.training.method import Method
from clbench.training.plugin import plugin

if TYPE_CHECKING:
    from torch import Tensor

    from clbench.learners._shared.columns import PartHeads, Switch
    from clbench.models.net import Net


class Config(Added):
    """Settings of progressive prompts.

    Attributes:
        length: Vectors in the prompt of one lesson, >= 1.
    """

    length: int = Field(default=10, ge=1)


class ProgressivePrompts(Method):
    """A frozen base, and a soft prompt per lesson. Shapes: B texts, T tokens, P prompt vectors, H hidden."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.parts = Parts(config)
        self.switch: Switch | None = None
        self.heads: PartHeads | None = None

    def prepare(self, net: Net, number: int) -> None:
        """Freeze what there is and add prompt `number`, which starts from the embeddings of random tokens."""
        switch = self.switch or self._open(net)
        self._add(net, number)
        assert self.heads is not None, "opened with the switch"
        self.heads.add(number)
        switch.part = number

    def wake(self, net: Net, number: int) -> None:
        """Add the prompts of all lessons; the last one is read, and learns."""
        switch = self._open(net)
        for past in range(1, number + 1):
            self._add(net, past)
        assert self.heads is not None, "opened with the switch"
        self.heads.add(number)
        switch.part = number

    def _add(self, net: Net, number: int) -> None:
        import torch

        if number > 1:
            net.module.get_parameter(f"prompt_{number - 1}").requires_grad_(False)
        module: Any = net.module
        embed = module.get_input_embeddings()
        tokens = torch.randint(embed.num_embeddings, (self.config.length,)).to(embed.weight.device)
        with torch.no_grad():
            net.module.register_parameter(f"prompt_{number}", torch.nn.Parameter(embed(tokens).clone()))

    def lr_scale(self, name: str) -> float:
        """Let the new prompt learn `lr_factor` times as fast as `lr` says; a label head learns at `lr`."""
        return self.config.lr_factor if name.startswith("prompt_") else 1.0

    def consolidate(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> None:
        """Note which tasks the new prompt belongs to, and make its key."""
        assert self.switch is not None, "prepared before"
        self.parts.add(net, lesson, rng, self.switch.at)

    def answer(self, net: Net, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        """Answer each question with the prompts up to its own, or with the base."""
        if self.switch is None:
            return net.respond(examples, decode)
        return self.parts.answer(net, examples, decode, self.switch.at)

    def shards(self) -> bool:
        """Return that it does not: prompts are put in front by a part of the whole model."""
        return False

    def beyond_weights(self) -> str:
        """Return that the task must be told."""
        return PART_FOR_EACH

    def answer_state(self) -> dict[str, Any]:
        """Return which prompt belongs to which task, and the keys."""
        return self.parts.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Take over which prompt belongs to which task, and the keys."""
        self.parts.restore(state)

    # --- reading the prompts --------------------------------------------------------------------------------

    def _open(self, net: Net) -> Switch:
        """Freeze the base, and let it read the prompts of the part that is at work."""
        from clbench.learners._shared.columns import PartHeads, Switch
        from clbench.learners._shared.soft_prompts import read_with

        net.module.requires_grad_(False)
        switch = Switch()
        self.switch, self.heads = switch, PartHeads(net, switch)
        read_with(net, lambda: None if switch.part is None else _prompts(net, switch.part))
        return switch


def _prompts(net: Net, part: int) -> Tensor:
    """Return the vectors of the prompts of parts 1 to `part`, (P, H)."""
    import torch

    return torch.cat([net.module.get_parameter(f"prompt_{k}") for k in range(1, part + 1)])


PLUGIN = plugin(
    Config,
    ProgressivePrompts,
    version=3,
    footprint=PLAIN,
    stores="derived",
    family="isolation",
    uses_task_ids=True,
    uses_boundaries=True,
    trains="part",
    paper="Razdaibiedina et al. 2023, arXiv:2301.12314",
    about="A soft prompt per lesson, read after those of earlier lessons; the base stays frozen.",
)
