"""Several methods in one: each does what it does alone, in the order in which they are written.

    learner: {name: combine, lr: 1.0e-3, parts: [{name: replay, share: 0.5}, {name: lora_plus, rank: 8}]}

`expand`, `prepare`, `compose_batch`, `edit_gradients`, `after_step`, `finish` and `consolidate` go through the parts in
order; learning rates multiply; losses add up:

    loss = CE + sum over parts (loss_part - CE)

Settings of training (lr, epochs, ...) belong to the whole and may not stand in a part. What is kept of examples
counts together: an earlier part leaves the rest of the budget to later ones. One part alone is that learner, bit for
bit. Refused before anything is spent: two parts that answer in their own way, two that change the model (`prepare`,
`finish`, `answer_state`), parts that are taught at once or must be told the task, and learners that are not trained.
Refused at the lesson where it shows: a part that holds weights by name beside one that takes those weights out of
training, for it would do nothing (`ewc` beside `olora`). No paper; the composition of hooks is ours.

Defaults: replay with lora_plus, each with its own.
Keeps: what its parts keep.
Told: what its parts need told.
Not for: methods that are already one (`replay_lora`, derpp); two memories, which share one budget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, field_validator

from clbench.core import plugins
from clbench.core.errors import SpecError
from clbench.core.footprint import PLAIN, Footprint
from clbench.core.keys import canonical
from clbench.core.protocols import Learner, LearnerPlugin
from clbench.core.spec import Machine, ModelSpec
from clbench.core.traits import LEVELS, Stores, Trains, Traits
from clbench.core.types import Answer, Budget, Decode, Example, Lesson
from clbench.core.validation import validated
from clbench.core.value import written
from clbench.training.kept import examples_in
from clbench.training.method import Method
from clbench.training.new_method import new_method
from clbench.training.plugin import plugin, trained, undefined_on
from clbench.training.settings import Training

if TYPE_CHECKING:
    from torch import Tensor

    from clbench.models.net import Batch, Forward, Net

Part = dict[str, Any]
DEFAULT: tuple[Part, ...] = ({"name": "replay"}, {"name": "lora_plus"})


class Config(Training):
    """Settings of training, for all parts, and the parts.

    Attributes:
        parts: One or more `{name: ..., **settings}`, in order; settings are those of the part's own config without
            those of training. Its version is filled in, since it is part of the result's identity.
    """

    parts: tuple[Part, ...] = Field(default=DEFAULT, min_length=1, validate_default=True)

    @field_validator("parts")
    @classmethod
    def _each_by_its_own_config(cls, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        opened = [_open(part, f"learner.parts[{i}]") for i, part in enumerate(parts)]
        names = [str(part["name"]) for part in parts]
        refuse_conflicts(
            names, [new_method(found.method, config) for found, config in opened if found.method is not None]
        )
        return tuple(
            {
                "name": name,
                "version": found.version,
                **{k: v for k, v in written(config).items() if k not in Training.model_fields},
            }
            for name, (found, config) in zip(names, opened, strict=True)
        )


class Combined(Method):
    """Methods one after another; parts that are themselves combined are taken apart."""

    def __init__(self, parts: Sequence[Method]) -> None:
        self.parts = [p for part in parts for p in (part.parts if isinstance(part, Combined) else [part])]

    def expand(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> Lesson:
        """Let each part widen what the one before it gives."""
        for part in self.parts:
            lesson = part.expand(net, lesson, rng)
        return lesson

    def prepare(self, net: Net, number: int) -> None:
        """Prepare each part; refuse one whose weights another has taken out of training."""
        before = _learning(net)
        for part in self.parts:
            part.prepare(net, number)
        gone = before - _learning(net)
        for i, part in enumerate(self.parts):
            if not _shapes(part) and _held(part) & gone:
                raise SpecError(
                    f"part {i} ({type(part).__name__}) holds weights that another part takes out of training",
                    where="learner.parts",
                    mend="combine it with a part that trains the same weights in every lesson, such as lora",
                )

    def parked(self) -> dict[str, Tensor]:
        """Return what the parts have parked."""
        return {name: weight for part in self.parts for name, weight in part.parked().items()}

    def park(self, weights: Mapping[str, Tensor]) -> None:
        """Let each part take over what it knows; only one of them changes the model."""
        for part in self.parts:
            part.park(weights)

    def wakes_at_once(self) -> bool:
        """Return whether every part does."""
        return all(part.wakes_at_once() for part in self.parts)

    def wake(self, net: Net, number: int) -> None:
        """Wake each part."""
        for part in self.parts:
            part.wake(net, number)

    def lr_scale(self, name: str) -> float:
        """Multiply the parts' speeds."""
        product = 1.0
        for part in self.parts:
            product *= part.lr_scale(name)
        return product

    def compose_batch(self, batch: list[Example], rng: np.random.Generator) -> list[Example]:
        """Let each part mix what the one before it gives."""
        for part in self.parts:
            batch = part.compose_batch(batch, rng)
        return batch

    def loss(self, net: Net, batch: Batch, out: Forward) -> Tensor:
        """Add up what the parts add to the plain loss."""
        total: Tensor | None = None
        for part in self.parts:
            loss = part.loss(net, batch, out)
            if loss is not out.loss:  # x + (y - x) is not y in floating point, so the first is taken as it is
                total = loss if total is None else total + (loss - out.loss)
        return out.loss if total is None else total

    def edit_gradients(self, net: Net) -> None:
        """Edit the gradients, part after part."""
        for part in self.parts:
            part.edit_gradients(net)

    def finish(self, net: Net, number: int) -> None:
        """Finish each part."""
        for part in self.parts:
            part.finish(net, number)

    def after_step(self, net: Net) -> None:
        """Let each part edit the weights that the one before it left."""
        for part in self.parts:
            part.after_step(net)

    def consolidate(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> None:
        """Let each part keep what it needs, within what the earlier ones have left of the budget."""
        kept: list[Example] = []
        for part in self.parts:
            part.consolidate(net, lesson.model_copy(update={"budget": _left(lesson.budget, kept)}), rng)
            kept += examples_in({**part.state(), **part.answer_state()})

    def answer(self, net: Net, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        """Answer in the way of the part that has one."""
        for part in self.parts:
            if type(part).answer is not Method.answer:
                return part.answer(net, examples, decode)
        return net.respond(examples, decode)

    def state(self) -> dict[str, Any]:
        """Return the parts' states, each name behind its part's number."""
        return {f"{i}.{name}": value for i, part in enumerate(self.parts) for name, value in part.state().items()}

    def beyond_weights(self) -> str:
        """Return what the parts need beside the weights."""
        return "; ".join(dict.fromkeys(filter(None, (part.beyond_weights() for part in self.parts))))

    def shards(self) -> bool:
        """Return whether all parts do."""
        return all(part.shards() for part in self.parts)

    def answer_state(self) -> dict[str, Any]:
        """Return the parts' guides, likewise."""
        return {
            f"{i}.{name}": value for i, part in enumerate(self.parts) for name, value in part.answer_state().items()
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Return each part its own."""
        for i, part in enumerate(self.parts):
            start = f"{i}."
            part.restore({name.removeprefix(start): v for name, v in state.items() if name.startswith(start)})


def refuse_conflicts(names: Sequence[str], methods: Sequence[Method]) -> None:
    """Refuse parts that would get in each other's way.

    Raises:
        SpecError: Two answer in their own way, or two change the model.
    """
    answering = [
        n for n, m in zip(names, methods, strict=True) if any(type(p).answer is not Method.answer for p in _apart(m))
    ]
    shaping = [n for n, m in zip(names, methods, strict=True) if any(_shapes(p) for p in _apart(m))]
    for found, what in ((answering, "answer in their own way"), (shaping, "change the model")):
        if len(found) > 1:
            raise SpecError(
                f"{' and '.join(found)} both {what}, and only one part may", where="learner.parts", mend="leave one out"
            )


def _open(part: Part, where: str) -> tuple[LearnerPlugin[Any], Any]:
    if not isinstance(part.get("name"), str):
        raise SpecError("a part needs a name", where=where, mend="parts: [{name: replay, ...}, {name: lora, ...}]")
    name = part["name"]
    if plugins.OWN.fullmatch(name) is not None:
        what = f"{name!r} is a file, and only learners that come with clbench or are installed can be parts"
        raise SpecError(
            what, where=f"{where}.name", mend="name a module: mypackage.my_method (docs/tutorial-method.md)"
        )
    found = plugins.load("learner", name, "PLUGIN", where=f"{where}.name")
    if not isinstance(found, LearnerPlugin):
        raise SpecError(f"{name!r} declares no LearnerPlugin", where=where, mend="see CONTRIBUTING.md")
    reasons = {
        "is not trained, so there is nothing to combine": found.method is None,
        "is taught all lessons at once": found.teaches == "at_once",
        "must be told the task, which the whole cannot promise": found.needs_task_ids,
    }
    for reason, holds in reasons.items():
        if holds:
            raise SpecError(f"{name!r} {reason}", where=where, mend="take another part")
    settings = {k: v for k, v in part.items() if k not in ("name", "version")}
    for setting in settings:
        if setting in Training.model_fields:
            raise SpecError(
                f"{setting} belongs to the whole", where=f"{where}.{setting}", mend="write it beside `parts`"
            )
    return found, validated(found.config, settings, where)


def _apart(method: Method) -> list[Method]:
    return method.parts if isinstance(method, Combined) else [method]


def _shapes(method: Method) -> bool:
    """Say whether a method changes what the net is made of, or what answers depend on."""
    own = type(method)
    return (
        own.prepare is not Method.prepare
        or own.finish is not Method.finish
        or own.answer_state is not Method.answer_state
    )


def _learning(net: Net) -> set[str]:
    return {name for name, param in net.module.named_parameters() if param.requires_grad}


def _held(part: Method) -> set[str]:
    """Return the names under which a part keeps tensors."""
    return {str(name) for value in part.state().values() if isinstance(value, Mapping) for name in value}


def _left(budget: Budget, kept: Sequence[Example]) -> Budget:
    if not kept:
        return budget
    return Budget(
        examples=None if budget.examples is None else max(budget.examples - len(kept), 0),
        bytes=None if budget.bytes is None else max(budget.bytes - len(canonical(kept).encode()), 0),
    )


def method_of(config: Config) -> Combined:
    """Make the parts' methods; each is told the training settings of the whole."""
    training = config.model_dump(include=set(Training.model_fields))
    methods: list[Method] = []
    for i, part in enumerate(config.parts):
        found, own = _open(part, f"learner.parts[{i}]")
        assert found.method is not None, "refused by _open"
        whole = validated(found.config, {**own.model_dump(), **training}, f"learner, for parts[{i}]")
        methods.append(new_method(found.method, whole))
    return Combined(methods)


def stores_of(config: Config) -> Stores | None:
    """Return the most telling of what the parts keep; None where one does not say."""
    levels = [traits.stores for traits in _traits(config)]
    return None if None in levels else LEVELS[max(map(LEVELS.index, filter(None, levels)))]


def uses_task_ids_of(config: Config) -> bool | None:
    """Return whether a part answers otherwise where the task is told; None where one does not say."""
    uses = [traits.uses_task_ids for traits in _traits(config)]
    return True if True in uses else None if None in uses else False


def uses_boundaries_of(config: Config) -> bool | None:
    """Return whether a part uses where a lesson begins or ends; None where one does not say."""
    uses = [traits.uses_boundaries for traits in _traits(config)]
    return True if True in uses else None if None in uses else False


def trains_of(config: Config) -> Trains | None:
    """Return "all" where every part trains all weights, "part" where one does not; None where one does not say."""
    trains = [traits.trains for traits in _traits(config)]
    return "part" if "part" in trains else None if None in trains else "all"


def _traits(config: Config) -> list[Traits]:
    opened = [_open(part, f"learner.parts[{i}]") for i, part in enumerate(config.parts)]
    return [found.traits(own) for found, own in opened]


def build(config: Config, model: ModelSpec, seed: int, machine: Machine) -> Learner:
    """Load the base model and make the learner.

    Raises:
        SpecError: A part is not defined on models of this family.
    """
    for i, part in enumerate(config.parts):
        where = f"learner.parts[{i}]"
        if (error := undefined_on(_open(part, where)[0], str(part["name"]), model, where)) is not None:
            raise error
    return trained(config, method_of(config), model, seed, machine)


def footprint_of(config: Config) -> Footprint | None:
    """Return what all parts hold; None where one does not say."""
    opened = [_open(part, f"learner.parts[{i}]") for i, part in enumerate(config.parts)]
    held = [found.holds(own) for found, own in opened]
    return None if None in held else sum(filter(None, held), PLAIN)


PLUGIN = replace(
    plugin(
        Config,
        method_of,
        version=3,
        footprint=footprint_of,
        neutral={"parts": [{"name": "sft"}]},
        family="hybrid",
        stores=stores_of,
        uses_task_ids=uses_task_ids_of,
        uses_boundaries=uses_boundaries_of,
        trains=trains_of,
        about="Several methods in one, each doing what it does alone.",
    ),
    build=build,
)
