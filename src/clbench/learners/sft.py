"""Sequential fine-tuning: learn each lesson with no thought of earlier ones. The floor that methods must beat.

Every other trained method is this one with some hooks of `Method` filled in, so differences between methods are theirs
alone. AdamW starts anew in every lesson. Source: the "fine-tuning" or "sequential training" row of every comparison,
for example de Lange et al. 2021, "A continual learning survey", IEEE TPAMI 44(7), arXiv:1909.08383.

Defaults: those of training; `lr` is for full fine-tuning of models of billions of weights; for the shipped tiny
models 5e-4 and 3.5e-4 were tuned.
Keeps: nothing.
Told: nothing.
Not for: keeping what earlier lessons taught, where later ones differ from them.
"""

from __future__ import annotations

from clbench.core.footprint import PLAIN
from clbench.training.method import Method
from clbench.training.plugin import plugin
from clbench.training.settings import Training


class Config(Training):
    """Settings of plain fine-tuning: those of training, nothing more."""


PLUGIN = plugin(
    Config,
    lambda _: Method(),
    version=2,
    footprint=PLAIN,
    stores="none",
    neutral={},
    family="bounds",
    uses_task_ids=False,
    uses_boundaries=False,
    trains="all",
    paper="de Lange et al. 2021, arXiv:1909.08383",
    about="Plain fine-tuning, lesson after lesson.",
)
