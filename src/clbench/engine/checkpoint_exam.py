"""Examine one checkpoint with no stream at all. Its answers are those of row 0 of any run that begins with it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from clbench.core.errors import StoreError, UserError
from clbench.core.events import Progress, report_progress
from clbench.core.results import ExamResult
from clbench.core.spec import JudgeSpec, Machine, ModelSpec, RunSpec
from clbench.core.types import Exam, Stream
from clbench.engine.ask import ask
from clbench.engine.by_api import check_provider
from clbench.engine.fitting import check_asked
from clbench.engine.grade import check_scorers, grade
from clbench.engine.judge import check_items, check_judge, judge_all, with_judge
from clbench.engine.resolve import check_abilities, check_device
from clbench.engine.trajectory import Trajectory
from clbench.models import source
from clbench.store.store import Store

NOTHING = Stream(name="none", tasks=(), plans=())


def examine(
    model: ModelSpec,
    exams: Sequence[Exam],
    store: Store,
    machine: Machine,
    broken: dict[str, UserError] | None = None,
    judge: JudgeSpec | None = None,
) -> Iterator[ExamResult]:
    """Let a checkpoint sit exams, one after another; what is in the store is not asked again.

    Args:
        model: The checkpoint.
        exams: What it sits.
        store: Where answers are kept.
        machine: What it runs on.
        broken: Where given, exams that it cannot sit are put in here, name -> why, and the rest goes on.
        judge: Who grades exams whose items carry rubrics.

    Raises:
        SpecError: It cannot fit into the memory; or its provider or the judge cannot be asked.
        ModelError: It does not load; or, without `broken`, it cannot sit one of them: before anything is asked.
    """
    check_device(machine)
    spec = RunSpec(name="exam", model=source.settled(model), learner={"name": "frozen"}, stream=NOTHING.name)
    check_provider(spec, machine)
    check_judge(judge, exams, machine, items=broken is None)
    exams, judging = with_judge(exams, judge), judge_all(judge, machine, store)
    if broken is None:
        check_abilities(spec, tuple(exams))
        check_scorers(exams)
    trajectory = Trajectory(spec, NOTHING, store, machine)
    check_asked(trajectory, exams, store)
    for done, exam in enumerate(exams):
        report_progress(Progress("exams", done, len(exams), slot=0))
        started = time.monotonic()
        try:
            check_abilities(spec, (exam,))
            check_scorers((exam,))
            check_items(exam, judge)
            result = grade(ask(trajectory, 0, exam, store), store, judging)
        except UserError as error:
            if broken is None or isinstance(error, StoreError):
                raise
            trajectory.learner_after(0)  # if the model itself does not load, no exam is to blame
            broken[exam.name] = error
            continue
        yield result.model_copy(update={"seconds": time.monotonic() - started})
    report_progress(Progress("exams", len(exams), len(exams), slot=0))
