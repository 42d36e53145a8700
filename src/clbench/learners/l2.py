"""A plain pull: hold every weight near where it was, all equally.

    loss = CE + (strength / 2) * sum_k (theta_k - theta*_k)^2

with theta* the weights before the lesson ("previous": the plainest guard against forgetting, EWC with F = 1) or those
of the base model ("first": L2-SP, which guards what pre-training taught). Source: Li, Grandvalet and Davoine 2018,
"Explicit Inductive Bias for Transfer Learning with Convolutional Networks", ICML, arXiv:1802.01483, eq. 2-3; to the
previous weights: the L2 baseline of Kirkpatrick et al. 2017, arXiv:1612.00796, fig. 2. As in L2-SP, "first" pulls from
lesson 1 on and leaves an encoder's label head free; its second term, decay of the head towards 0, is left to
`weight_decay`. "previous" has nothing to pull to in lesson 1, which it learns as sft; rows that a label head gains in
a lesson are free in it. The pull is in the loss, so AdamW scales it as it scales the rest (decoupled decay would not).

Defaults: strength is ours; on a shipped tiny model tuning chose 0.3 of 0.3 and 1. Where lr is smaller, weights move
less, and it takes more.
Keeps: "previous": nothing between lessons, and a copy of the trained weights in memory within one. "first": that copy
for good.
Told: "previous": where a lesson begins. "first": nothing.
Not for: many lessons or class-incremental ones: what holds all weights alike also stops them from learning.
Falls short: no gain in AP over plain fine-tuning is shown. A guess: it holds weights that no old lesson needs as hard
as those that one does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from clbench.core.footprint import PLAIN, Footprint
from clbench.core.types import Lesson
from clbench.training.method import Method
from clbench.training.plugin import plugin
from clbench.training.settings import Training

if TYPE_CHECKING:
    from torch import Tensor

    from clbench.models.net import Batch, Forward, Net


class Config(Training):
    """Settings of the pull.

    Attributes:
        strength: alpha, >= 0; 0 is plain fine-tuning.
        to: The weights before the lesson, or those of the base model.
    """

    strength: float = Field(default=1.0, ge=0)
    to: Literal["previous", "first"] = "previous"


class L2(Method):
    """A quadratic penalty that weighs all weights alike."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.anchor: dict[str, Tensor] = {}

    def expand(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> Lesson:
        """Copy the weights that the lesson is pulled to: here they stand as the last lesson left them."""
        first = self.config.to == "first"
        if self.config.strength > 0 and first == (lesson.number == 1):
            from clbench.learners._shared.anchors import weights_of

            head = f"{net.head_name}." if first and net.labels else None
            self.anchor = {n: w for n, w in weights_of(net).items() if head is None or not n.startswith(head)}
        return lesson

    def loss(self, net: Net, batch: Batch, out: Forward) -> Tensor:
        """Add (strength / 2) * sum (theta - theta*)^2."""
        if not self.anchor:
            return out.loss
        from clbench.learners._shared.anchors import pull

        return out.loss + 0.5 * self.config.strength * pull(net, self.anchor)

    def consolidate(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> None:
        """Let the previous weights go: the next lesson copies its own."""
        if self.config.to == "previous":
            self.anchor = {}

    def shards(self) -> bool:
        """Return that its loss looks at weights alone."""
        return True

    def state(self) -> dict[str, Any]:
        """Return the anchor: between lessons that of "first" alone."""
        return {"anchor": self.anchor} if self.anchor else {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over the anchor."""
        self.anchor = state.get("anchor", {})


def footprint_of(config: Config) -> Footprint:
    """Return the weights that are pulled to, and the pull of every step."""
    if config.strength == 0:
        return PLAIN
    return Footprint(later=1, step=1, after=1) if config.to == "previous" else Footprint(held=1, step=1, keeps=1)


# No `first_lesson_as`: "first" pulls in lesson 1 already, and the claim would have to hold for every setting.
PLUGIN = plugin(
    Config,
    L2,
    version=2,
    footprint=footprint_of,
    stores="none",
    neutral={"strength": 0.0},
    family="regularisation",
    uses_task_ids=False,
    uses_boundaries=lambda config: config.to == "previous",
    trains="all",
    paper="Li, Grandvalet and Davoine 2018, arXiv:1802.01483",
    about="Pull all weights alike back to where they were.",
)
