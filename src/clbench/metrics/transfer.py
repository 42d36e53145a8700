"""Transfer to tasks not yet taught, and the distance to the bounds."""

from __future__ import annotations

import math
from functools import partial

from clbench.core.matrix import Matrix
from clbench.core.protocols import MetricPlugin
from clbench.metrics._shape import at, mean, own
from clbench.metrics.average import average_performance


def fwt(matrix: Matrix) -> float:
    """Forward transfer: what earlier lessons did for a task before its own, against the untouched model.

    FWT = (1/|F|) sum_{i in F} (R[t_i - 1, i] - R[0, i]), F the tasks taught after the first lesson. In [-1, 1], higher
    is better. NaN for T = 1, or when tasks are not asked before they are taught. Of tasks that share nothing it says
    nothing about a method: all that can move is the form of answers. The stream `transfer-worlds` has tasks that build
    on each other. Source: EasyCL; row 0 as the base.
    """
    return mean([at(matrix, taught - 1, i) - at(matrix, 0, i) for i, taught in own(matrix) if taught > 1])


def fwt_random(matrix: Matrix) -> float:
    """Forward transfer against guessing instead of the untouched model.

    (1/|F|) sum_{i in F} (R[t_i - 1, i] - c_i), c_i the guess rate of exam i. In [-1, 1], higher is better.
    Source: Lopez-Paz & Ranzato 2017 (GEM), whose b_i is an untrained model.
    """
    rates = {i: matrix.columns[i].guess_rate for i, _ in own(matrix)}
    return mean([at(matrix, taught - 1, i) - rates[i] for i, taught in own(matrix) if taught > 1])


def intransigence(matrix: Matrix, joint: Matrix) -> float:
    """How much worse a task is learnt than by joint training: positive = could not learn.

    (1/N) sum_i (J_i - R[t_i, i]), J_i the joint reference's last score. In [-1, 1], lower is better.
    Source: Chaudhry et al. 2018, eq. 6.
    """
    last = joint.num_lessons
    reference = {joint.columns[i].name: at(joint, last, i) for i, _ in own(joint)}
    return mean([reference.get(matrix.columns[i].name, math.nan) - at(matrix, t, i) for i, t in own(matrix)])


def gap_to_joint(matrix: Matrix, joint: Matrix) -> float:
    """How far the last score is from joint training.

    AP_joint - AP. In [-1, 1], lower is better; negative where the method beats joint training; NaN where the two were
    not asked the same tasks.
    Source: Chaudhry et al. 2018 (joint training as the upper bound).
    """
    return _difference(joint, matrix)


def gain_over_frozen(matrix: Matrix, frozen: Matrix) -> float:
    """How far the last score is from the untouched model.

    AP - AP_frozen. In [-1, 1], higher is better; NaN where the two were not asked the same tasks. Source: numerator of
    the normalised AP.
    """
    return _difference(matrix, frozen)


def _difference(one: Matrix, two: Matrix) -> float:
    """Return AP of one - AP of two; NaN where their tasks differ."""
    names = ({m.columns[i].name for i, _ in own(m)} for m in (one, two))
    return average_performance(one) - average_performance(two) if next(names) == next(names) else math.nan


def normalised_ap(matrix: Matrix, frozen: Matrix, joint: Matrix) -> float:
    """Where the last score lies between the untouched model (0) and joint training (1).

    (AP - AP_frozen) / (AP_joint - AP_frozen). Unbounded, higher is better; NaN where the bounds coincide.
    Source: normalisation between lower and upper bound.
    """
    span = gain_over_frozen(joint, frozen)
    # Sums of rounded scores differ in their last digits; real bounds differ by more.
    return gain_over_frozen(matrix, frozen) / span if abs(span) > 1e-9 else math.nan


INF = math.inf
_figure = partial(MetricPlugin, needs="reference", better="high", low=-1, high=1, unit="score", group="performance")
PLUGINS = (
    _figure(name="fwt", symbol="FWT", compute=fwt, needs="matrix"),
    _figure(name="fwt_random", symbol="FWT_random", compute=fwt_random, needs="matrix"),
    _figure(name="intransigence", symbol="I", compute=intransigence, better="low", references=("joint",)),
    _figure(name="gap_to_joint", symbol="Gap", compute=gap_to_joint, better="low", references=("joint",)),
    _figure(name="gain_over_frozen", symbol="Gain", compute=gain_over_frozen, references=("frozen",)),
    _figure(
        name="normalised_ap",
        symbol="NAP",
        compute=normalised_ap,
        low=-INF,
        high=INF,
        unit="ratio",
        references=("frozen", "joint"),
    ),
)
