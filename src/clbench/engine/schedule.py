"""Cut runs into units that several processes can make side by side: one unit is one state and its exams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from clbench.core import plugins
from clbench.core.spec import Machine, RunSpec
from clbench.core.types import Exam, Lesson, Stream
from clbench.engine.ask import due
from clbench.engine.mark import check_scorers
from clbench.engine.opening import opened
from clbench.engine.resolve import check_abilities, check_learner
from clbench.engine.trajectory import Trajectory
from clbench.store.store import Store


@dataclass
class Unit:
    """One state K_t, and the exams due after it. Runs that share the state share the unit.

    Attributes:
        key: The state's key.
        spec: A run that it belongs to.
        step: A row of that run's matrix in which it stands.
        label: For people.
        needs: Key of the unit that must be made before, or None.
        weight: Examples to be trained on, as a measure of its time.
        answerer: Digest of who answers its exams; empty where it is the net alone.
        exams: Exams to be asked.
    """

    key: str
    spec: RunSpec
    step: int
    label: str
    needs: str | None
    weight: int
    answerer: str = ""
    exams: tuple[Exam, ...] = field(default=(), repr=False)


def open_run(spec: RunSpec, store: Store, machine: Machine) -> tuple[Stream, tuple[Exam, ...], Trajectory]:
    """Open what a run is about, and refuse what its learner or model cannot do."""
    stream, exams = opened(spec, machine)
    check_learner(spec, stream)
    check_abilities(spec, exams)
    check_scorers(exams)
    return stream, exams, Trajectory(spec, stream, store, machine)


def units_of(specs: Sequence[RunSpec], store: Store, machine: Machine) -> list[Unit]:
    """Give the units of some runs, each before those that need it; equal states stand once."""
    units: dict[str, Unit] = {}
    for spec in specs:
        stream, exams, trajectory = open_run(spec, store, machine)
        if trajectory.shared is not None:
            _add(units, trajectory.shared, 1, ())
        last = len(stream)
        for step in range(last + 1):
            _add(units, trajectory, step, tuple(exam for _, exam in due(exams, step, last, spec.budget)))
    return list(units.values())


def _add(units: dict[str, Unit], trajectory: Trajectory, step: int, exams: tuple[Exam, ...]) -> None:
    index = trajectory.index(step)
    found = trajectory.keys[index]
    if found in units:
        known = {e.digest for e in units[found].exams}
        units[found].exams += tuple(e for e in exams if e.digest not in known)
        return
    lesson = trajectory.lesson_at(step)
    needs = trajectory.keys[index - 1] if index else None
    if index == 1 and trajectory.shared is not None:
        needs = trajectory.shared.keys[1]
    elif index == 1 and trajectory.plugin.starts_as_base:
        needs = None  # the base model needs no making, so its exams and the first lesson go side by side
    name = trajectory.spec.learner_label
    units[found] = Unit(
        key=found,
        spec=trajectory.spec if index or not trajectory.plugin.starts_as_base else _untouched(trajectory.spec),
        step=step,
        label=f"{name} lesson {index}" if index else "untouched model",
        needs=needs,
        weight=len(lesson.examples) * _passes(trajectory, lesson) if lesson else 0,
        answerer=trajectory.answerer(step),
        exams=exams,
    )


def _untouched(spec: RunSpec) -> RunSpec:
    """Return the run that asks the base model alone, where a run's learner is a user's file: row 0 does without it."""
    return spec.model_copy(update={"learner": {"name": "frozen"}}) if plugins.runs_own(spec.learner) else spec


def _passes(trajectory: Trajectory, lesson: Lesson) -> int:
    """Give the passes over a lesson, 1 for learners that are not trained."""
    epochs = int(trajectory.config.model_dump().get("epochs", 1))
    return epochs if lesson.passes is None else min(epochs, lesson.passes)


def urgency(units: Sequence[Unit]) -> dict[str, int]:
    """Give for every unit the training that hangs on it, itself included: the longest chain goes first."""
    after: dict[str, int] = {}
    for unit in reversed(units):
        after[unit.key] = unit.weight + after.get(unit.key, 0)
        if unit.needs is not None:
            after[unit.needs] = max(after.get(unit.needs, 0), after[unit.key])
    return after
