"""Examine one checkpoint with no stream at all. Its answers are those of row 0 of any run that begins with it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clbench.core.progress import Progress, report
from clbench.core.spec import Machine, ModelSpec, RunSpec
from clbench.core.types import Exam, Marks, Stream
from clbench.engine.ask import Asked, ask
from clbench.engine.mark import mark
from clbench.engine.resolve import check_abilities
from clbench.engine.trajectory import Trajectory
from clbench.models import source
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
    spec = RunSpec(name="exam", model=source.settled(model), learner={"name": "frozen"}, stream=NOTHING.name)
    check_abilities(spec, tuple(exams))
    trajectory = Trajectory(spec, NOTHING, store, machine)
    for done, exam in enumerate(exams):
        report(Progress("exams", done, len(exams), slot=0))
        started = time.monotonic()
        asked = ask(trajectory, 0, exam, store)
        marks = mark(asked, exam, None, store)
        yield Sat(exam, asked, marks, time.monotonic() - started)
    report(Progress("exams", len(exams), len(exams), slot=0))
