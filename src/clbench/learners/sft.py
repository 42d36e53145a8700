"""Sequential fine-tuning: learn each lesson with no thought of earlier ones. The floor that methods must beat."""

from __future__ import annotations

from clbench.learners._method import Method
from clbench.learners._training import Training, plugin


class Config(Training):
    """Settings of plain fine-tuning: those of training, nothing more."""


PLUGIN = plugin(Config, lambda _: Method(), version=1, neutral={})
