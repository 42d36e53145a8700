"""Sequential fine-tuning: learn each lesson with no thought of earlier ones. The floor that methods must beat."""

from __future__ import annotations

from clbench.core.protocols import Learner, LearnerPlugin
from clbench.core.spec import Machine, ModelSpec
from clbench.learners._method import Method
from clbench.learners._training import Training, trained


class Config(Training):
    """Settings of plain fine-tuning: those of training, nothing more."""


def build(config: Config, model: ModelSpec, seed: int, machine: Machine) -> Learner:
    """Load the base model and make the learner."""
    return trained(config, Method(), model, seed, machine)


PLUGIN = LearnerPlugin(config=Config, build=build, version=1, neutral={})
