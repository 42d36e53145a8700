"""The untouched model: it is taught and learns nothing. The floor of stability-free comparison.

It forgets nothing and learns nothing: what a method scores above it has been learnt from the stream. Source: the
"zero-shot" row of every comparison, for example TRACE (Wang et al. 2023, arXiv:2310.06762).

Defaults: it has none.
Keeps: nothing.
Told: nothing.
Not for: learning anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clbench.core.footprint import PLAIN
from clbench.core.protocols import Learner, LearnerPlugin, Responder
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Ability, Answer, Decode, Example, Lesson
from clbench.core.value import Value
from clbench.training.schedule import refuse_eval_only


class Config(Value):
    """It has no settings."""


class FrozenLearner:
    """Answers as the base model, whatever it is taught."""

    def __init__(self, net: Responder) -> None:
        self.net = net

    @property
    def can(self) -> frozenset[Ability]:
        """What its net can."""
        return self.net.can

    def respond(self, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        """Answer as the base model."""
        return self.net.respond(examples, decode)

    def learn(self, lesson: Lesson, progress: Path | None = None) -> None:
        """Look at the lesson and keep nothing."""
        refuse_eval_only(lesson)

    def save(self, folder: Path) -> None:
        """Write nothing: no lesson has left a trace."""
        folder.mkdir(parents=True, exist_ok=True)

    def load(self, folder: Path) -> None:
        """Have nothing to take over."""


def build(config: Config, model: ModelSpec, seed: int, machine: Machine) -> Learner:
    """Load the base model; neither settings nor seed matter."""
    if model.provider is not None:
        from clbench.models.api.answers import open_api

        return FrozenLearner(open_api(model, machine))
    from clbench.models.load import load_net

    return FrozenLearner(load_net(model, machine))


PLUGIN = LearnerPlugin(
    config=Config,
    build=build,
    version=1,
    footprint=PLAIN,
    answers="net",
    stores="none",
    family="bounds",
    uses_task_ids=False,
    uses_boundaries=False,
    trains="none",
    paper="Wang et al. 2023, arXiv:2310.06762",
    about="The untouched base model.",
)
