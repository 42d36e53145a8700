"""The arithmetic of planned memory: what a step takes, what a method holds, and which of it stands at one time.

Where processes work together, it is that of each of them. Without `--shard` each has all weights, gradients and
moments, a share of every batch, and for a moment the gradients that it sums with the others. With it, weights,
gradients and moments of a lesson are shared out by torch's FSDP: whole stand what lies in no layer, one layer and the
next one, and, between lessons and in exams, all weights. What a method holds is whole on every process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clbench.core.footprint import Footprint

if TYPE_CHECKING:
    from clbench.training.step_memory import StepMemory

NUMBER = 4  # bytes of a gradient, of each moment, and of a copy of a weight
AT_A_TIME = 2  # layers that stand whole: the one that computes and the next one


@dataclass(frozen=True)
class Work:
    """What `add_up` adds up beside a step.

    Attributes:
        held: What the method says of itself.
        lessons: Number of lessons.
        parts: Passes of a step.
        vocabulary: Bytes of one set of predictions, of four bytes a word.
        second: The step of old examples whose own gradient is made (`Footprint.reference`); None without one.
        halves: Whether the model is of 16 bits, so that states hold master copies.
        stored: Bytes of stored examples, and of what is kept beside them.
        exams: Bytes of keys and values.
        process: Bytes of the process.
        ranks: Processes that work together.
        shard: Whether they share weights, gradients and moments out.
        whole_in_loss: Whether the method's loss looks at weights, so that all stand whole until the backward pass.
    """

    held: Footprint
    lessons: int
    parts: int
    vocabulary: float
    second: StepMemory | None
    halves: bool
    stored: float
    exams: float
    process: float = 0.0
    ranks: int = 1
    shard: bool = False
    whole_in_loss: bool = False


def add_up(step: StepMemory, base_bytes: float, work: Work) -> dict[str, float]:
    """Return the parts of a `Need` and its peak."""
    held, later = work.held, work.lessons > 1
    copy = NUMBER * step.trained
    shares = work.ranks if work.shard else 1
    copies = held.held + (held.later + held.each * (work.lessons - 1) if later else 0.0)
    method = held.base * base_bytes + copies * copy + work.stored
    penalty = held.step * copy if later or held.held else 0.0
    logits = step.logits + (held.logits * work.vocabulary if later else 0.0)
    height = step.casts + step.activations + logits
    whole, gradients = _whole(step, work, copy, penalty) if work.shard else (0.0, 0.0)
    learning = _learning(step, work, height + penalty, (copy / shares, gradients))
    standing = (step.weights + 2 * copy) / shares + whole + method
    learnt = standing + learning if step.trained else 0.0
    together = step.weights + method + max(held.after * copy, step.weights / shares if work.shard else 0.0)
    asked = step.weights + method + work.exams
    keeps, new = held.keeps + held.keeps_each * (work.lessons - 1), max(held.keeps, held.keeps_each)
    weights = step.weights / shares + whole
    return {
        "weights": weights,
        "gradients": copy / shares + gradients,
        "moments": 2 * copy / shares,
        "activations": step.casts + step.activations,
        "logits": logits,
        "method": method + penalty,
        "exams": work.exams,
        "process": work.process,
        "peak": max(learnt, together if step.trained else 0.0, asked) + work.process,
        "asked": asked + work.process,
        "state": step.own + (copy if work.halves else 0.0) + keeps * copy + work.stored,
        "adds": min(step.own, copy) + (copy if work.halves else 0.0) + new * copy + work.stored,
        "checkpoint": 3 * copy + (keeps + held.later) * copy + work.stored if step.trained else 0.0,
        "per_weight": (weights + 3 * copy / shares + gradients + method + penalty) / max(step.parameters, 1.0),
    }


def _learning(step: StepMemory, work: Work, height: float, grads: tuple[float, float]) -> float:
    """Return what a step takes over all that stands.

    Gradients come while activations go, layer by layer: a step's height is that of its pass or, after it, that of all
    gradients. Where a batch goes in parts, or a penalty makes its gradients first, both stand at one time.

    Args:
        step: The step.
        work: What there is beside it.
        height: Bytes of a pass at its height, with what a penalty makes.
        grads: Bytes of the gradients that are this process's own, and of those that stand whole beside them.
    """
    own, whole = grads
    penalty = work.held.step > 0 and (work.lessons > 1 or work.held.held > 0)
    learning = whole + (height + own if work.parts > 1 or penalty else max(height, own + step.last))
    if work.ranks > 1 and not work.shard:
        from clbench.training.team import BUCKET

        learning = max(learning, own + min(own, NUMBER * BUCKET + step.largest))
    if work.second is not None and work.lessons > 1:
        both = work.second.standing + (own if work.parts > 1 else 0.0)
        learning = max(learning, own + max(both, own * (3 if work.parts > 1 else 1) + work.second.last))
    return learning


def _whole(step: StepMemory, work: Work, copy: float, penalty: float) -> tuple[float, float]:
    """Return the bytes of weights, and of gradients, that stand whole beside a process's shards."""
    gradients = step.outside_grads + AT_A_TIME * step.layer_grads
    if work.whole_in_loss:
        return step.weights, copy if penalty else gradients
    return step.outside + AT_A_TIME * step.layer, gradients
