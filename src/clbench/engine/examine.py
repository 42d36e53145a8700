"""Examine one checkpoint with no stream at all. Its answers are those of row 0 of any run that begins with it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clbench.core.progress import Progress, report
from clbench.core.spec import Machine, ModelSpec, RunSpec
from clbench.core.types import Decode, Exam, Grade, Marks, Stream
from clbench.engine.ask import Asked, ask
from clbench.engine.mark import mark, open_scorer
from clbench.engine.resolve import check_abilities
from clbench.engine.trajectory import Trajectory
from clbench.store.store import Store

NOTHING = Stream(name="none", tasks=(), rounds=())


@dataclass(frozen=True)
class Sat:
    """One exam that a checkpoint has sat.

    Attributes:
        exam, asked, marks: Questions, answers, grades and score.
        seconds: Wall time of asking and marking; what the store had already costs next to nothing.
    """

    exam: Exam
    asked: Asked
    marks: Marks
    seconds: float


def examine(model: ModelSpec, exams: Sequence[Exam], store: Store, machine: Machine) -> Iterator[Sat]:
    """Let a checkpoint sit exams, one after another; what is in the store is not asked again.

    Raises:
        ModelError: It cannot sit one of them; raised before anything is asked.
    """
    trajectory = _untouched(model, exams, store, machine)
    for done, exam in enumerate(exams):
        report(Progress("exams", done, len(exams), slot=0))
        started = time.monotonic()
        asked = ask(trajectory, 0, exam, store)
        marks = mark(asked, exam, None, store)
        yield Sat(exam, asked, marks, time.monotonic() - started)
    report(Progress("exams", len(exams), len(exams), slot=0))


def ask_again(
    model: ModelSpec, exams: Sequence[Exam], machine: Machine, times: int
) -> Iterator[tuple[Exam, tuple[Grade, ...]]]:
    """Ask a checkpoint exams that it may have sat before, so many times each: nothing is read from the store, or kept.

    Where answers are drawn at random, every time has a seed of its own.

    Yields:
        (exam, its grades) for every exam of the first time, then of the second, ...

    Raises:
        ModelError: It cannot sit one of them; raised before anything is asked.
    """
    trajectory = _untouched(model, exams, Store(machine.store), machine)
    total = times * len(exams)
    for done, (time_, exam) in enumerate((k, exam) for k in range(1, times + 1) for exam in exams):
        report(Progress("exams asked again", done, total, slot=0))
        scorer = open_scorer(exam.scorer.name).build(exam.scorer.settings)
        answers = trajectory.at(0).respond(exam.examples, _reseeded(exam.decode, time_))
        yield exam, tuple(scorer(example, answer) for example, answer in zip(exam.examples, answers, strict=True))
    report(Progress("exams asked again", total, total, slot=0))


def _reseeded(decode: Decode, number: int) -> Decode:
    return decode.model_copy(update={"seed": decode.seed + number}) if decode.temperature else decode


def _untouched(model: ModelSpec, exams: Sequence[Exam], store: Store, machine: Machine) -> Trajectory:
    spec = RunSpec(name="exam", model=model, learner={"name": "frozen"}, stream=NOTHING.name)
    check_abilities(spec, tuple(exams))
    return Trajectory(spec, NOTHING, store, machine)
