"""Joint training: all lessons at once, shuffled together. The usual upper bound, since nothing is ever past.

It takes as many passes over every example as sequential fine-tuning does over all lessons together, and is examined
in every row as it stands after its only lesson. Source: the "joint" or "multi-task" row of every comparison, for
example de Lange et al. 2021, "A continual learning survey", IEEE TPAMI 44(7), arXiv:1909.08383.

Defaults: those of training.
Keeps: nothing beyond the weights, since there is no later lesson; but it needs all data at one time.
Told: all lessons at once, which no continual learner is.
Not for: a stream in which data comes and goes; it is a bound to compare with. With few passes, or tasks that hamper
each other, it is not always the best.
"""

from __future__ import annotations

from clbench.core.footprint import PLAIN
from clbench.training.method import Method
from clbench.training.plugin import plugin
from clbench.training.settings import Training


class Config(Training):
    """Settings of training; `epochs` counts passes over all lessons together."""


PLUGIN = plugin(
    Config,
    lambda _: Method(),
    version=3,
    footprint=PLAIN,
    stores="examples",
    neutral={},
    teaches="at_once",
    family="bounds",
    uses_task_ids=False,
    uses_boundaries=False,
    trains="all",
    paper="de Lange et al. 2021, arXiv:1909.08383",
    about="Train on all lessons at one time.",
)
