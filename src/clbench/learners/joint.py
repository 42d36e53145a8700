"""Joint training: all lessons at once, shuffled together. The usual upper bound, since nothing is ever past.

It takes as many passes over every example as sequential fine-tuning does over all lessons together.
"""

from __future__ import annotations

from clbench.core.protocols import Learner, LearnerPlugin
from clbench.core.spec import Machine, ModelSpec
from clbench.learners._method import Method
from clbench.learners._training import Training, trained


class Config(Training):
    """Settings of training; `epochs` counts passes over all lessons together."""


def build(config: Config, model: ModelSpec, seed: int, machine: Machine) -> Learner:
    """Load the base model and make the learner."""
    return trained(config, Method(), model, seed, machine)


PLUGIN = LearnerPlugin(config=Config, build=build, version=1, neutral={}, teaches="at_once")
