"""Make one unit: a state and the answers to its exams. Runs in the main process or in a worker."""

from __future__ import annotations

from functools import lru_cache

from clbench.core import plugins
from clbench.core.errors import LearnerError, UserError, said_of
from clbench.core.process import staying
from clbench.core.progress import Progress, report
from clbench.core.spec import Machine, RunSpec
from clbench.engine.ask import ask, ask_key
from clbench.engine.schedule import Unit, open_run
from clbench.engine.trajectory import Trajectory, effective_of, recall
from clbench.store.store import Store


@lru_cache(maxsize=1)
def _trajectory(spec_json: str, machine_json: str) -> Trajectory:
    """Keep the last run open: its learner is awake, so its next unit need not load a state."""
    spec, machine = RunSpec.model_validate_json(spec_json), Machine.model_validate_json(machine_json)
    return open_run(spec, Store(machine.store), machine)[2]


def make_unit(unit: Unit, machine: Machine) -> None:
    """Make what is missing of a unit; what the store holds is left as it is.

    Raises:
        LearnerError: The learner would end the process; or it is of a user's own file, and something breaks.
    """
    try:
        with staying():
            _make(unit, machine)
    except SystemExit as error:
        raise LearnerError(
            f"it ended its process (SystemExit: {error.code}), and gave no result",
            where=unit.label,
            mend="raise an exception where something is wrong, and return where nothing is",
        ) from error
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:
        if not plugins.runs_own(unit.spec.learner):
            raise
        raise LearnerError(
            f"{said_of(error)}{plugins.own_line(error)}",
            where=unit.label,
            mend="look at what its hooks give; `clbench check learner` runs it over small lessons",
        ) from error


def _make(unit: Unit, machine: Machine) -> None:
    trajectory = _trajectory(unit.spec.model_dump_json(), machine.model_dump_json())
    trajectory.effective(unit.step)
    for number, exam in enumerate(unit.exams):
        report(Progress(f"asking {exam.name}", number, len(unit.exams)))
        ask(trajectory, unit.step, exam, trajectory.store)


def is_made(unit: Unit, store: Store, machine: Machine) -> bool:
    """Tell from the store alone whether nothing of a unit is missing."""
    known = recall(store, unit.key)
    if known is None:
        return False
    effective = effective_of(known, unit.answerer)
    keys = [ask_key(effective, exam, unit.spec.model, machine) for exam in unit.exams]
    return all(store.find("ask", found) for found in keys)
