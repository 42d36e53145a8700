"""How long learning takes, by a few steps of it, where the weights are here and the store has no record yet."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import NamedTuple

from clbench.core.keys import digest
from clbench.core.spec import Machine, RunSpec
from clbench.core.types import Example, Lesson
from clbench.data.streams.stream import lessons
from clbench.engine.inputs import Inputs
from clbench.engine.resolve import open_learner
from clbench.models import source

STEPS = 20
QUESTIONS = 16


class Took(NamedTuple):
    """Seconds for an example that is walked in a lesson, and for an exam."""

    example: float
    exam: float


def took(spec: RunSpec, machine: Machine, inputs: Inputs) -> Took | None:
    """Return how long a run's learner takes; None where it is not trained by the one loop.

    One step of the first lesson goes before, so that the second has what a method holds from then on. Loading is not
    counted. It is at most 20 steps, fewer where lessons and epochs are short, and the first questions of the first exam
    stand for all.
    """
    plugin, config = open_learner(spec.learner)
    if plugin.method is None:
        return None
    stream, exams = inputs.of(spec)
    taught = lessons(stream)
    size = config.batch_size
    last = taught[min(1, len(taught) - 1)]
    examples = last.examples[: STEPS * size]
    passes = min(config.epochs, math.ceil(STEPS * size / len(examples)))
    learner = plugin.build(config, source.settled(spec.model), spec.seed, machine)
    learner.learn(_short(taught[0], taught[0].examples[:size], 1, 1))
    started = time.perf_counter()
    learner.learn(_short(last, examples, 2, passes))
    each = (time.perf_counter() - started) / (len(examples) * passes)
    asked = exams[0].examples[:QUESTIONS]
    started = time.perf_counter()
    learner.respond(asked, exams[0].decode)
    question = (time.perf_counter() - started) / len(asked)
    return Took(each, question * sum(len(exam.examples) for exam in exams) / len(exams))


def _short(lesson: Lesson, examples: Sequence[Example], number: int, passes: int) -> Lesson:
    parts = {"examples": tuple(examples), "number": number, "passes": passes, "kinds": (), "digest": digest(examples)}
    return lesson.model_copy(update=parts)
