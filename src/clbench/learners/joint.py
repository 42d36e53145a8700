"""Joint training: all lessons at once, shuffled together. The usual upper bound, since nothing is ever past.

It takes as many passes over every example as sequential fine-tuning does over all lessons together.
"""

from __future__ import annotations

from clbench.learners._method import Method
from clbench.learners._training import Training, plugin


class Config(Training):
    """Settings of training; `epochs` counts passes over all lessons together."""


PLUGIN = plugin(Config, lambda _: Method(), version=1, neutral={}, teaches="at_once")
