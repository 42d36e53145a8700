"""`Method`: the five hooks by which a method differs from plain fine-tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clbench.core.types import Example, Lesson

if TYPE_CHECKING:
    from torch import Tensor

    from clbench.models.net import Batch, Forward, Net


class Method:
    """Plain sequential fine-tuning; a method overrides the hooks in which it differs.

    It is the only class of clbench meant to be subclassed. Hooks see the net and the batch, never the loop.
    """

    def prepare(self, net: Net, step: int) -> None:
        """Add or freeze parameters before lesson `step`; replayed for steps 1..t when a state is loaded."""

    def mix(self, batch: list[Example], rng: np.random.Generator) -> list[Example]:
        """Say what is trained on instead of `batch`."""
        return batch

    def penalise(self, net: Net, batch: Batch, out: Forward) -> Tensor:
        """Give the loss to descend; `out` is the model's own, with its logits."""
        return out.loss

    def project(self, net: Net) -> None:
        """Edit the gradients in place, before clipping."""

    def settle(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> None:
        """Keep what later lessons need, after the last step of a lesson."""

    def state(self) -> dict[str, Any]:
        """Give what was kept: tensors, lists of examples, JSON values."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""
