"""`Method`: the hooks by which a method differs from plain fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clbench.core.types import Answer, Decode, Example, Lesson

if TYPE_CHECKING:
    from torch import Tensor

    from clbench.models.net import Batch, Forward, Net


class Method:
    """Plain sequential fine-tuning; a method overrides the hooks in which it differs.

    The only class to subclass for a method, beside `Training` for its settings. Hooks see the net and the batch, never
    the loop. In the order of a lesson: expand, prepare, lr_scale, (compose_batch, loss, edit_gradients, after_step) per
    step, finish, consolidate; and answer in an exam.
    """

    # --- before a lesson ------------------------------------------------------------------------------------

    def expand(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> Lesson:
        """Return the lesson to train on instead, such as a longer one; the net is as the last lesson left it."""
        return lesson

    def prepare(self, net: Net, number: int) -> None:
        """Add or freeze parameters before lesson `number`; called again on load, see `wake`."""

    def lr_scale(self, name: str) -> float:
        """Return the learning rate of a parameter as a multiple of the training's `lr`, > 0."""
        return 1.0

    # --- in every step --------------------------------------------------------------------------------------

    def compose_batch(self, batch: list[Example], rng: np.random.Generator) -> list[Example]:
        """Return the examples to train on instead of `batch`."""
        return batch

    def loss(self, net: Net, batch: Batch, out: Forward) -> Tensor:
        """Return the loss to descend; `out` is the model's own, with its logits."""
        return out.loss

    def edit_gradients(self, net: Net) -> None:
        """Edit the gradients in place, before clipping."""

    def after_step(self, net: Net) -> None:
        """Edit the weights in place after the optimiser's step: masks, averages. No gradient is recorded."""

    # --- after a lesson -------------------------------------------------------------------------------------

    def finish(self, net: Net, number: int) -> None:
        """Take out or merge what `prepare` added for this lesson only; called again on load, like `prepare`."""

    def consolidate(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> None:
        """Keep what later lessons or exams need, after the last step of a lesson; may change the weights."""

    # --- in an exam -----------------------------------------------------------------------------------------

    def answer(self, net: Net, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        """Answer in order, leaving the net as it was; `decode.task_id` names the task where the stream gives it."""
        return net.respond(examples, decode)

    def beyond_weights(self) -> str:
        """Return what answers need beside the weights of one model; "" for nothing, so that it can be exported."""
        own = type(self)
        plain = own.answer is Method.answer and own.answer_state is Method.answer_state
        return "" if plain else "it answers by code of its own"

    def shards(self) -> bool:
        """Return whether it learns the same where each rank holds a part of the weights while a lesson is learnt.

        Before and after a lesson weights are whole. Within one they are shards, but in `loss` they are whole too, if a
        method overrides it; there it may look at weights, and must run no forward pass of its own. So it is up to such
        a method to say that it does. Methods that edit gradients or weights in a step need them whole.
        """
        own = type(self)
        edits = own.edit_gradients is not Method.edit_gradients or own.after_step is not Method.after_step
        return not edits and own.loss is Method.loss

    # --- sleeping and waking --------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return what only later lessons need: tensors, lists of examples, JSON values."""
        return {}

    def answer_state(self) -> dict[str, Any]:
        """Return what answers depend on beyond the weights: which part belongs to which task, keys, notes."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over one mapping of all that `state` and `answer_state` returned; their names differ."""

    def wake(self, net: Net, number: int) -> None:
        """Add to a fresh net what it has after lesson `number`; values are loaded afterwards.

        Written beside `prepare` and `finish`, it does at once what these do one lesson after another. A method that
        overrides those alone has them called again for lessons 1..number.
        """

    def parked(self) -> Mapping[str, Tensor]:
        """Return weights that belong to the model and stand outside the net, by the names they would have in it.

        They are saved with its weights. What a lesson does not use costs it nothing there.
        """
        return {}

    def park(self, weights: Mapping[str, Tensor]) -> None:
        """Take over loaded weights that the net has no place for; `parked` must give them all from now on."""

    def wakes_at_once(self) -> bool:
        """Return whether `wake` stands for this method's `prepare` and `finish`: no later class has changed them."""
        if {"prepare", "finish"} & vars(self).keys():
            return False
        owners = [next(kind for kind in type(self).__mro__ if hook in vars(kind)) for hook in ("prepare", "finish")]
        wakes = next(kind for kind in type(self).__mro__ if "wake" in vars(kind))
        return all(issubclass(wakes, owner) for owner in owners)


def answers_with_net(method: Method) -> bool:
    """Return whether a method answers with the net alone: it ships with clbench and leaves answering to the net.

    So equal weights give equal answers. What a method from outside does to the net cannot be told from its hooks, so it
    is never assumed to.
    """
    own = type(method)
    asks_plainly = own.answer is Method.answer and own.answer_state is Method.answer_state
    ships = own.__module__.startswith(("clbench.learners.", "clbench.training."))
    return ships and asks_plainly and not shapes_the_net(method)


def shapes_the_net(method: Method) -> bool:
    """Return whether a method may add or take out parameters, by its hooks."""
    own = type(method)
    return own.prepare is not Method.prepare or own.finish is not Method.finish
