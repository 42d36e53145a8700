"""A learner under test: how it is made, taught and saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clbench.core.keys import digest, folder_digest
from clbench.core.protocols import Learner, LearnerPlugin
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Exam, Lesson
from clbench.engine.resolve import open_learner

if TYPE_CHECKING:
    from clbench.models.net import Net


@dataclass(frozen=True)
class Bench:
    """A learner under test with a small stream.

    Attributes:
        plugin, settings: The learner and the settings of the test.
        lessons, exam: What it is taught and asked.
        scratch: A folder for its states.
    """

    name: str
    plugin: LearnerPlugin[Any]
    settings: Mapping[str, Any]
    model: ModelSpec
    lessons: tuple[Lesson, ...]
    exam: Exam
    scratch: Path
    machine: Machine = field(default_factory=lambda: Machine(checkpoint_s=0.0, device="cpu"))

    def learner(self, name: str | None = None, seed: int = 0, **changes: Any) -> Learner:
        """Return a fresh learner, this one or another by name, with changed settings."""
        if name is None:
            plugin, config = self.plugin, self.plugin.config.model_validate({**self.settings, **changes})
        else:
            plugin, _ = open_learner({"name": name})
            known = {k: v for k, v in self.settings.items() if k in plugin.config.model_fields}
            config = plugin.config.model_validate({**known, **changes})
        return plugin.build(config, self.model, seed, self.machine)

    def net(self) -> Net:
        """Load the base model alone."""
        from clbench.models.load import load_net

        return load_net(self.model, self.machine)

    def state(self, learner: Learner, *parts: str) -> str:
        """Save a learner and return the digest of its state, or of some parts of it ("answers", "keeps")."""
        folder = self.save(learner)
        return digest([folder_digest(folder / part) for part in parts or ("",)])

    def save(self, learner: Learner) -> Path:
        """Save a learner into a new folder and return the folder."""
        folder = self.scratch / f"state-{len(list(self.scratch.iterdir()))}"
        learner.save(folder)
        return folder

    def taught(self, num: int = 2, **settings: Any) -> Learner:
        """Return a learner that has learnt the first `num` lessons."""
        learner = self.learner(**settings)
        for lesson in self.lessons[:num]:
            learner.learn(lesson)
        return learner
