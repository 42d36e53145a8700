"""Make one unit: learn a state, and ask its exams. It runs in the main process or in a worker."""

from __future__ import annotations

from functools import cached_property

from clbench.core import plugins
from clbench.core.errors import LearnerError, ModelError, UserError, said_of
from clbench.core.events import Progress, notice, report_progress
from clbench.core.process import staying
from clbench.core.spec import Machine, RunSpec
from clbench.core.types import Exam
from clbench.engine.ask import answers_key, ask
from clbench.engine.inputs import Inputs
from clbench.engine.serving import Serving
from clbench.engine.trajectory import Trajectory, answer_fingerprint, load_record
from clbench.engine.units import Unit, open_run
from clbench.store.store import Store


class Workplace:
    """What one process keeps between units: inputs that have been read, and the learner that was loaded last.

    A unit that goes on from the unit before it need not load a state.

    Attributes:
        given: The machine as it was given.
        machine: The machine; where memory ran out, it learns from fewer examples at a time.
        inputs: Streams and exams that have been read.
    """

    def __init__(self, machine: Machine, inputs: Inputs | None = None) -> None:
        """Work on `machine`; `inputs` are those that the process has read before."""
        self.given = machine
        self.machine = machine
        self.inputs = Inputs(machine.data) if inputs is None else inputs
        self._last: Trajectory | None = None

    @cached_property
    def store(self) -> Store:
        """The machine's store."""
        return Store(self.machine.store)

    def trajectory(self, spec: RunSpec) -> Trajectory:
        """Return the trajectory of a run: the one of the unit before, if it is the same run."""
        if self._last is None or self._last.spec != spec:
            self._last = open_run(spec, self.inputs, self.store, self.machine).trajectory
        return self._last

    def learn_from(self, micro_batch: int) -> None:
        """Learn from so many examples at a time from here on."""
        self._last = None
        self.machine = self.machine.model_copy(update={"micro_batch": micro_batch})


def make_unit(unit: Unit, workplace: Workplace) -> None:
    """Make the part of a unit that is missing; what the store holds is left untouched.

    Raises:
        LearnerError: The learner would end the process; or it comes from a user's file, and raises an exception.
    """
    try:
        with staying():
            _learn_and_ask(unit, workplace)
    except SystemExit as error:
        raise LearnerError(
            f"it ended its process (SystemExit: {error.code}), and gave no result",
            where=unit.label,
            mend="raise an exception where something is wrong, and return where nothing is",
        ) from error
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:
        if not plugins.runs_user_file(unit.spec.learner):
            raise
        raise LearnerError(
            f"{said_of(error)}{plugins.user_file_line(error)}",
            where=unit.label,
            mend="look at what its hooks give; `clbench check learner` runs it over small lessons",
        ) from error


def _learn_and_ask(unit: Unit, workplace: Workplace) -> None:
    trajectory = _reached(unit, workplace)
    with Serving(trajectory, unit.lesson) as server:
        for number, exam in enumerate(unit.exams):
            report_progress(Progress(f"asking {exam.name}", number, len(unit.exams)))
            ask(trajectory, unit.lesson, exam, workplace.store, server)


def _reached(unit: Unit, workplace: Workplace) -> Trajectory:
    """Return the trajectory of a unit, its lesson learnt.

    Where memory runs out, it is begun again from fewer examples at a time: steps stay as large, so results differ by
    rounding alone. What it came to is told, and stands in the origin of the state.
    """
    while True:
        trajectory = workplace.trajectory(unit.spec)
        try:
            trajectory.reach(unit.lesson)
            return trajectory
        except (RuntimeError, MemoryError) as error:
            size = workplace.machine.micro_batch or trajectory.config.model_dump().get("batch_size", 0)
            if not size or workplace.machine.processes > 1 or not _ran_out(error):
                raise
            if size == 1:
                what = "memory ran out while it learns from one example at a time"
                mend = "--recompute, a smaller model.max_tokens, a 16-bit model.dtype, lora, or a larger --device"
                raise ModelError(what, where=unit.label, mend=mend) from error
        del trajectory  # outside of the block: the error holds on to what did not fit
        notice(
            f"{unit.label}: memory ran out with {size} examples at a time; {size // 2} are learnt from at a time, in "
            "steps of the same size"
        )
        workplace.learn_from(size // 2)


def _ran_out(error: BaseException) -> bool:
    from clbench.models.backoff import ran_out

    return ran_out(error)


def exams_missing(unit: Unit, store: Store, machine: Machine) -> tuple[Exam, ...] | None:
    """Return the exams of a unit that have no answers in the store; None where its state is not known there."""
    record = load_record(store, unit.key)
    if record is None:
        return None
    fingerprint = answer_fingerprint(record, unit.answerer)

    def key_of(exam: Exam) -> str:
        return answers_key(fingerprint, exam, unit.spec.model, machine, unit.spec.exam_server)

    return tuple(exam for exam in unit.exams if store.find("ask", key_of(exam)) is None)


def answers_missing(unit: Unit, store: Store, machine: Machine) -> int | None:
    """Return how many exams of a unit have no answers in the store; None where its state is not known there."""
    found = exams_missing(unit, store, machine)
    return None if found is None else len(found)


def is_made(unit: Unit, store: Store, machine: Machine) -> bool:
    """Tell from the store alone whether nothing of a unit is missing."""
    return exams_missing(unit, store, machine) == ()
