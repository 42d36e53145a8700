"""Ask an untouched checkpoint once more, to see how far an instrument disagrees with itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clbench.core.events import Progress, report_progress
from clbench.core.spec import JudgeSpec, Machine, ModelSpec, RunSpec
from clbench.core.types import Decode, Exam, Grade
from clbench.engine.ask import answers_of, check_answers
from clbench.engine.checkpoint_exam import NOTHING
from clbench.engine.grade import grades_of
from clbench.engine.judge import judge_all
from clbench.engine.resolve import check_abilities
from clbench.engine.trajectory import Trajectory
from clbench.store.store import Store


def ask_again(
    model: ModelSpec, exams: Sequence[Exam], machine: Machine, times: int, judge: JudgeSpec | None = None
) -> Iterator[tuple[Exam, tuple[Grade, ...]]]:
    """Ask a checkpoint exams that it may have sat before, so many times each: nothing is read from the store, or kept.

    Where answers are drawn at random, every time has a seed of its own.

    Yields:
        (exam, its grades) for every exam of the first time, then of the second, ...

    Raises:
        ModelError: It cannot sit one of them; raised before anything is asked.
    """
    spec = RunSpec(name="exam", model=model, learner={"name": "frozen"}, stream=NOTHING.name)
    check_abilities(spec, tuple(exams))
    store = Store(machine.store)
    learner, judging = Trajectory(spec, NOTHING, store, machine).learner_after(0), judge_all(judge, machine, store)
    total = times * len(exams)
    for done, (number, exam) in enumerate((k, exam) for k in range(1, times + 1) for exam in exams):
        report_progress(Progress("exams asked again", done, total, slot=0))
        again = exam.model_copy(update={"decode": _reseeded(exam.decode, number)})
        check_answers(answers := answers_of(learner, again), again, spec.learner_label)
        yield exam, tuple(grades_of(exam, answers, judging)[0])
    report_progress(Progress("exams asked again", total, total, slot=0))


def _reseeded(decode: Decode, number: int) -> Decode:
    return decode.model_copy(update={"seed": decode.seed + number}) if decode.temperature else decode
