"""Progressive networks on a frozen base: a new column per lesson reads the frozen columns of all earlier lessons.

A column is a set of bottlenecks, one after every transformer block. Of column k, at each block,

    h_k = gelu(down_k(x) + sum_{j<k} lateral_kj(h_j))        x <- x + up_k(h_k)

with up_k = 0 at first. Lesson k trains column k and its laterals alone, so earlier columns never see a later one and
their outputs stay the same to the bit, while a new one can use what they have learnt. On encoders each column has a
label head of its own, added to the frozen one.
Source: Rusu et al. 2016, "Progressive Neural Networks", arXiv:1606.04671, eq. 1 (columns and laterals) and eq. 2
(laterals of reduced width).
Otherwise than there: a column is a set of bottlenecks on a shared frozen base and not a network of its own; the
earlier columns' h_j are computed on the stream of column k, so that one pass serves all columns instead of k passes;
laterals join before the nonlinearity of the same bottleneck and have neither a scale nor a nonlinearity of their own.

Defaults: those of `adapters`; a bottleneck of 64 is the middle of Houlsby et al. 2019, arXiv:1902.00751.
Keeps: per lesson and block 2 x hidden x bottleneck numbers and (k - 1) x bottleneck^2 for laterals: grows with k^2.
Told: the task. Told none, the last column answers; a task that was never taught is answered by the base.
Not for: long streams (time and size of laterals grow with k^2), or streams that do not say the task of a question.
"""

from __future__ import annotations

from clbench.learners import adapters
from clbench.training.plugin import plugin


class Config(adapters.Config):
    """Settings of progressive columns.

    Attributes:
        bottleneck: Width of a column at each block, >= 1.
    """


def method(config: Config) -> adapters.Adapters:
    """Return adapters that read those of earlier lessons: columns."""
    return adapters.Adapters(config, lateral=True)


PLUGIN = plugin(
    Config,
    method,
    version=2,
    stores="none",
    first_lesson_as="adapters",
    family="isolation",
    uses_task_ids=True,
    trains="part",
    paper="Rusu et al. 2016, arXiv:1606.04671",
    about="A column per lesson that reads the frozen columns before it.",
)
