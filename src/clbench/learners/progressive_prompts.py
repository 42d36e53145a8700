"""Progressive prompts: a soft prompt per lesson, read after the frozen prompts of all earlier lessons.

In lesson k, and whenever part k answers, the frozen base reads

    [P_1, ..., P_k, embed(text)]

and lesson k trains P_k alone, `length` vectors of the width of an embedding. Earlier prompts and the base are frozen,
so that the answers to an earlier task, once the task is told, are the same to the bit for ever. On encoders the
prompts stand after the first token, whose state the head reads, and each part has a label head of its own, added to
the frozen one. Positions of the text move by the prompts' length.
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

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from clbench.core.errors import ModelError
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
        """Freeze the base, and hook the part of it that turns tokens into hidden states."""
        from clbench.learners._shared.columns import PartHeads, Switch

        net.module.requires_grad_(False)
        switch = Switch()
        self.switch, self.heads = switch, PartHeads(net, switch)
        module: Any = net.module
        # Some causal models (OPT) call their decoder past the model around it.
        inner = module.base_model if net.labels else module.get_decoder()
        embed = module.get_input_embeddings()
        names = list(inspect.signature(inner.forward).parameters)
        first = 1 if net.labels else 0  # an encoder's head reads the first token, which must stay first
        most = module.config.to_dict().get("max_position_embeddings")

        def before(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], Any] | None:
            if switch.part is None:
                return None
            given = {**dict(zip(names, args, strict=False)), **kwargs}
            prompts_PH = self._prompts(net, switch.part)
            moved = _moved(given, len(prompts_PH), first)
            if not _goes_on(given):
                ids_BT = moved.pop("input_ids")
                _check_length(ids_BT.shape[1], len(prompts_PH), most)
                moved["inputs_embeds"] = _inserted(embed(ids_BT), prompts_PH, first)
            return (), moved

        def after(_: Any, _args: Any, kwargs: dict[str, Any], output: Any) -> Any:
            if switch.part is not None and kwargs.get("inputs_embeds") is not None:  # prompts were read in this call
                output.last_hidden_state = _without(output.last_hidden_state, self.config.length * switch.part, first)
            return output

        inner.register_forward_pre_hook(before, with_kwargs=True)
        inner.register_forward_hook(after, with_kwargs=True)
        return switch

    def _prompts(self, net: Net, part: int) -> Tensor:
        import torch

        return torch.cat([net.module.get_parameter(f"prompt_{k}") for k in range(1, part + 1)])


def _goes_on(given: dict[str, Any]) -> bool:
    """Say whether a call goes on from a cache, in which the prompts stand already."""
    cache = given.get("past_key_values")
    return cache is not None and cache.get_seq_length() > 0


def _moved(given: dict[str, Any], num: int, first: int) -> dict[str, Any]:
    """Return the arguments of a call with `num` more places after the `first` ones: all see them."""
    import torch

    moved = dict(given)
    mask, places = given.get("attention_mask"), given.get("position_ids")
    if mask is not None:
        # 0 in a mask that is added to scores, as 1 (or True) in one that counts tokens, says: to be seen.
        seen = mask.new_full((*mask.shape[:-1], num), 0 if mask.is_floating_point() else 1)
        moved["attention_mask"] = torch.cat([mask[..., :first], seen, mask[..., first:]], dim=-1)
    if places is not None and _goes_on(given):
        moved["position_ids"] = places + num
    elif places is not None:
        own = first + torch.arange(num, device=places.device).expand(len(places), -1)
        moved["position_ids"] = torch.cat([places[:, :first], own, places[:, first:] + num], dim=1)
    return moved


def _inserted(text_BTH: Tensor, prompts_PH: Tensor, first: int) -> Tensor:
    import torch

    own_BPH = prompts_PH.to(text_BTH.dtype).expand(len(text_BTH), -1, -1)
    return torch.cat([text_BTH[:, :first], own_BPH, text_BTH[:, first:]], dim=1)


def _without(hidden_BTH: Tensor, num: int, first: int) -> Tensor:
    import torch

    return torch.cat([hidden_BTH[:, :first], hidden_BTH[:, first + num :]], dim=1)


def _check_length(text: int, num: int, most: int | None) -> None:
    if most is not None and text + num > most:
        shorter = f"set model.max_tokens to {most - num} or less, or " if num < most else ""
        raise ModelError(
            f"{num} prompt vectors and a text of {text} tokens need more than the model's {most} positions",
            where="model.max_tokens",
            mend=f"{shorter}lower learner.length",
        )


PLUGIN = plugin(
    Config,
    ProgressivePrompts,
    version=3,
    stores="derived",
    family="isolation",
    uses_task_ids=True,
    uses_boundaries=True,
    trains="part",
    paper="Razdaibiedina et al. 2023, arXiv:2301.12314",
    about="A soft prompt per lesson, read after those of earlier lessons; the base stays frozen.",
)
