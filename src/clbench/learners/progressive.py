"""Lateral adapters, after progressive networks: a new set of bottlenecks per lesson reads those of earlier lessons.

A set has one bottleneck after every transformer block of a frozen base. Of set k, at each block,

    h_k = gelu(down_k(x) + sum_{j<k} lateral_kj(h_j))        x <- x + up_k(h_k)

with up_k = 0 at first and h_j of the earlier sets on the same x. Lesson k trains set k and its laterals alone, so an
earlier set never sees a later one and its outputs stay the same to the bit, while a new one can use the features that
earlier lessons have learnt to compute. On encoders each set has a label head of its own, added to the frozen one.
Source: the idea is that of Rusu et al. 2016, "Progressive Neural Networks", arXiv:1606.04671, eq. 1 (columns that read
frozen columns) and eq. 2 (through adapters of reduced width).
Otherwise than there, and this is not their network: a column is not a network of its own with its own activations, but
a set of bottlenecks on one shared base; h_j is what the earlier bottleneck makes of the stream of set k, and not what
it was in the pass of column j, so that one pass serves all sets instead of k passes; laterals read the same block and
not the one below it, join before the nonlinearity, and have neither a scale nor a nonlinearity of their own.

Defaults: those of `adapters`; a bottleneck of 64 is the middle of Houlsby et al. 2019, arXiv:1902.00751.
Keeps: per lesson and block 2 x hidden x bottleneck numbers and (k - 1) x bottleneck^2 for laterals: grows with k^2; and
a key per lesson, mean and variance of hidden states.
Told: the task. Told none, the set of the lesson with the nearest key answers, and the base what is unlike every lesson
(`learners/_shared/lesson_keys.py`); a task that was never taught is answered by the base.
Not for: long streams (time and size of laterals grow with k^2).
Falls short: nothing is lost of a told task, but lessons are learnt less well than by training all weights, and no gain
in AP over plain fine-tuning is shown.
"""

from __future__ import annotations

from clbench.core.footprint import PLAIN
from clbench.learners import adapters
from clbench.training.plugin import plugin


class Config(adapters.Config):
    """Settings of lateral adapters.

    Attributes:
        bottleneck: Width of a set at each block, >= 1.
    """


def method(config: Config) -> adapters.Adapters:
    """Return adapters that read those of earlier lessons."""
    return adapters.Adapters(config, lateral=True)


PLUGIN = plugin(
    Config,
    method,
    version=3,
    footprint=PLAIN,
    stores="derived",
    family="isolation",
    uses_task_ids=True,
    uses_boundaries=True,
    trains="part",
    paper="Rusu et al. 2016, arXiv:1606.04671",
    about="Lateral adapters: a set per lesson that reads the frozen sets before it.",
)
