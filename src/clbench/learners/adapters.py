"""Bottleneck adapters, one set per lesson: the base stays frozen, and each task is answered by its own adapters.

After every transformer block, in lesson k and whenever part k answers,

    x <- x + up_k(gelu(down_k(x)))

with up_k = 0 at first, so that a lesson starts as the base. Lesson k trains part k alone; earlier parts and the base
are frozen, so that the answers to an earlier task, once the task is told, are the same to the bit for ever. On
encoders each part has a label head of its own as well, added to the frozen one.
Source: Houlsby et al. 2019, "Parameter-Efficient Transfer Learning for NLP", ICML, arXiv:1902.00751, section 2.1.
Otherwise than there: one adapter after the whole block instead of two inside it (after attention and after the
feed-forward layer), which needs no knowledge of a family's inner names; layer norms stay frozen with the base.

Defaults: a bottleneck of 64 is the middle of the sizes that the paper tries (8, 64, 256); the rest is that of training.
What starts from nothing needs a higher rate than a whole model: on the shipped tiny models 0.014 and 0.007 were tuned,
where plain fine-tuning has 5e-4 and 3.5e-4.
Keeps: the adapters, 2 x hidden x bottleneck numbers per block and lesson, which part belongs to which task, and a key
per lesson, mean and variance of hidden states.
Told: the task. Told none, the part of the lesson with the nearest key answers, and the base what is unlike every lesson
(`learners/_shared/lesson_keys.py`); a task that was never taught is answered by the base.
Not for: lessons that help each other, since nothing is shared; tasks whose prompts look alike and are not told.
Falls short: nothing is forgotten, and no gain in AP over plain fine-tuning is shown. A guess: the bottlenecks learn
less than all weights do, and what was not learnt cannot be kept.
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
    from clbench.learners._shared.columns import Columns
    from clbench.models.net import Net


class Config(Added):
    """Settings of adapters.

    Attributes:
        bottleneck: Width of the adapters, >= 1.
    """

    bottleneck: int = Field(default=64, ge=1)


class Adapters(Method):
    """A frozen base, and a set of bottlenecks per lesson; with `lateral`, each reads those of earlier lessons."""

    def __init__(self, config: Config, *, lateral: bool = False) -> None:
        self.config = config
        self.lateral = lateral
        self.parts = Parts(config)
        self.columns: Columns | None = None

    def prepare(self, net: Net, number: int) -> None:
        """Freeze what there is and add part `number`."""
        from clbench.learners._shared.columns import Columns, Switch

        if self.columns is None:
            self.columns = Columns(net, Switch(), self.config.bottleneck, lateral=self.lateral)
        self.columns.add(number)

    def wake(self, net: Net, number: int) -> None:
        """Add the parts of all lessons; the last one is at work, and learns."""
        from clbench.learners._shared.columns import Columns, Switch

        self.columns = Columns(net, Switch(), self.config.bottleneck, lateral=self.lateral)
        self.columns.add_all(number)

    def lr_scale(self, name: str) -> float:
        """Let the new part learn `lr_factor` times as fast as `lr` says; nothing else learns."""
        return self.config.lr_factor

    def consolidate(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> None:
        """Note which tasks the new part belongs to, and make its key."""
        assert self.columns is not None, "prepared before"
        self.parts.add(net, lesson, rng, self.columns.switch.at)

    def answer(self, net: Net, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        """Answer each question with its part, or with the base."""
        if self.columns is None:
            return net.respond(examples, decode)
        return self.parts.answer(net, examples, decode, self.columns.switch.at)

    def beyond_weights(self) -> str:
        """Return that the task must be told."""
        return PART_FOR_EACH

    def answer_state(self) -> dict[str, Any]:
        """Return which part belongs to which task, and the keys."""
        return self.parts.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Take over which part belongs to which task, and the keys."""
        self.parts.restore(state)


PLUGIN = plugin(
    Config,
    Adapters,
    version=3,
    footprint=PLAIN,
    stores="derived",
    family="isolation",
    uses_task_ids=True,
    uses_boundaries=True,
    trains="part",
    paper="Houlsby et al. 2019, arXiv:1902.00751",
    about="Bottleneck adapters per lesson on a frozen base; each task is answered by its own.",
)
