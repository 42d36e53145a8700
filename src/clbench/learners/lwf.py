"""Learning without forgetting: on the new lesson's own examples, go on answering as the model before it did.

    loss = CE + strength * T^2 * mean over positions of KL(softmax(z_old / T) || softmax(z / T))

with z the logits and z_old those of the teacher, the weights as the last lesson left them, at every position on which
loss is taken: over the vocabulary of a causal model, over the label rows that an encoder's head had then. Old data are
not needed. Source: Li and Hoiem 2016, "Learning without Forgetting", ECCV, arXiv:1606.09282, eq. 2-3; the factor T^2,
which keeps gradients of one size whatever T is: Hinton et al. 2015, arXiv:1503.02531, sec. 2. Otherwise than there,
KL stands for cross-entropy (equal gradients, and 0 where nothing was forgotten), the teacher runs along instead of
being recorded, there is one head instead of one per task, and no warm-up of the new head alone.

Defaults: temperature 2 and strength 1 are the paper's.
Keeps: nothing between lessons. Within one, from the second on, memory holds the teacher, a copy of the trained weights,
and one forward pass of it without gradients: about one number per weight and one set of logits over plain fine-tuning.
Told: where a lesson begins.
Not for: lessons whose texts look nothing like earlier ones: what the teacher says there tells little of what it knew.
Falls short: it learns and forgets as plain fine-tuning does, and no gain in AP is shown. A guess: the lessons' texts
have little in common, so that the teacher's answers to new texts tell little of old ones.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from pydantic import Field

from clbench.core.footprint import PLAIN, Footprint
from clbench.core.types import Lesson
from clbench.training.method import Method
from clbench.training.plugin import plugin
from clbench.training.settings import Training

if TYPE_CHECKING:
    from torch import Tensor, nn

    from clbench.models.net import Batch, Forward, Net


class Config(Training):
    """Settings of LwF.

    Attributes:
        strength: lambda_o, >= 0; 0 is plain fine-tuning.
        temperature: T, > 0; above 1 it gives small probabilities more say.
    """

    strength: float = Field(default=1.0, ge=0)
    temperature: float = Field(default=2.0, gt=0)


class Lwf(Method):
    """Distillation from the weights before the lesson, on the lesson's examples."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.teacher: dict[str, Tensor] = {}

    def expand(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> Lesson:
        """Copy the teacher, from the second lesson on: here the net stands as the last lesson left it."""
        if self.config.strength > 0 and lesson.number > 1:
            from clbench.learners._shared.anchors import weights_of

            self.teacher = weights_of(net)
        return lesson

    def loss(self, net: Net, batch: Batch, out: Forward) -> Tensor:
        """Add the distillation, over what the teacher knew."""
        if not self.teacher:
            return out.loss
        old_NV = taught_before(net, self.teacher, batch)
        return out.loss + self.config.strength * distillation(out.logits_NV, old_NV, self.config.temperature)

    def consolidate(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> None:
        """Let the teacher go: the next lesson has its own."""
        self.teacher = {}

    def state(self) -> dict[str, Any]:
        """Return the teacher, which stands within a lesson alone."""
        return {"teacher": self.teacher} if self.teacher else {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over the teacher."""
        self.teacher = state.get("teacher", {})


def taught_before(net: Net, teacher: dict[str, Tensor], batch: Batch) -> Tensor:
    """Return the teacher's logits at the batch's N positions, without gradients and without dropout.

    Args:
        net: The model, whose module runs with the teacher's weights in the place of its own.
        teacher: Trained parameter -> its old value; a label head may have had fewer rows then.
        batch: Examples.

    Returns:
        (N, V): over the vocabulary, or over the rows that the label head had.
    """
    import torch
    from torch.func import functional_call

    def old(*args: Any, **kwargs: Any) -> Any:
        return functional_call(net.module, teacher, args, kwargs)

    head = teacher.get(f"{net.head_name}.weight")
    if net.labels and head is not None:  # labels that it did not know; the loss over them is not looked at
        batch = replace(batch, labels=batch.labels.clamp(max=len(head) - 1))
    training = net.module.training
    net.module.eval()
    try:
        with torch.no_grad():
            return net.forward(cast("nn.Module", old), batch).logits_NV
    finally:
        net.module.train(training)


def distillation(logits_NV: Tensor, old_NV: Tensor, temperature: float) -> Tensor:
    """Return T^2 * mean over N of KL(softmax(old / T) || softmax(new / T)) in nats, >= 0, over the columns of `old`."""
    from torch.nn import functional

    new = functional.log_softmax(logits_NV[:, : old_NV.shape[1]] / temperature, dim=-1)
    old = functional.log_softmax(old_NV / temperature, dim=-1)
    return temperature**2 * functional.kl_div(new, old, reduction="batchmean", log_target=True)


PLUGIN = plugin(
    Config,
    Lwf,
    version=2,
    footprint=lambda config: Footprint(later=1, logits=6) if config.strength else PLAIN,
    stores="none",
    neutral={"strength": 0.0},
    first_lesson_as="sft",
    family="regularisation",
    uses_task_ids=False,
    uses_boundaries=True,
    trains="all",
    paper="Li and Hoiem 2016, arXiv:1606.09282",
    about="Learning without forgetting: stay close to what the old model says to new texts.",
)
