"""Plan runs: which states are to be learnt and which exams asked, each once over all runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from clbench.core import plugins
from clbench.core.keys import canonical
from clbench.core.spec import RunSpec
from clbench.core.types import Exam, Lesson
from clbench.engine.trajectory import Trajectory
from clbench.engine.units import Run, Unit


def plan(runs: Iterable[Run]) -> list[Unit]:
    """Return the units of some runs, each before those that need it; equal states stand once."""
    units: dict[str, Unit] = {}
    for run in runs:
        trajectory = run.trajectory
        if trajectory.shared is not None:
            _add(units, trajectory.shared, 1, ())
        for lesson, cells in itertools.groupby(run.due_cells, key=lambda cell: cell[0]):
            _add(units, trajectory, lesson, tuple(exam for _, _, exam in cells))
    _tell_apart(list(units.values()))
    return list(units.values())


def _tell_apart(units: Sequence[Unit]) -> None:
    """Add to labels that several units bear what differs between these: model, stream, settings, seed."""
    same: dict[str, list[Unit]] = {}
    for unit in units:
        same.setdefault(unit.label, []).append(unit)
    for members in same.values():
        told = [_told(unit.spec) for unit in members]
        every = [name for name in told[0] if all(name in each for each in told)]
        differing = [name for name in every if len({each[name] for each in told}) > 1]
        for unit, each in zip(members, told, strict=True):
            unit.label = " ".join([unit.label, *(each[name] for name in differing)])


def _told(spec: RunSpec) -> dict[str, str]:
    """Return what a label may add to the learner's name and the lesson: field -> how it is written."""
    model = spec.model.model_dump(mode="json", exclude={"name"})
    return {
        "model": spec.model.name,
        **{f"model.{name}": f"{name}={_written(value)}" for name, value in model.items()},
        "stream": spec.stream,
        "learner": spec.learner_name,
        **{f"learner.{name}": text for name, text in spec.told_settings.items()},
        "seed": f"seed {spec.seed}",
    }


def _written(value: object) -> str:
    return value if isinstance(value, str) else canonical(value)


def _add(units: dict[str, Unit], trajectory: Trajectory, number: int, exams: tuple[Exam, ...]) -> None:
    index = trajectory.index(number)
    found = trajectory.keys[index]
    if found in units:
        known = {e.digest for e in units[found].exams}
        if new := tuple(e for e in exams if e.digest not in known):
            units[found].exams += new
            units[found].askers += ((trajectory.spec, number),)
        return
    lesson = trajectory.lesson_at(number)
    needs = trajectory.keys[index - 1] if index else None
    if index == 1 and trajectory.shared is not None:
        needs = trajectory.shared.keys[1]
    elif index == 1 and trajectory.plugin.starts_as_base:
        needs = None  # the base model needs no making, so its exams and the first lesson go side by side
    name = trajectory.spec.learner_label
    units[found] = Unit(
        key=found,
        spec=trajectory.spec if index or not trajectory.plugin.starts_as_base else _untouched(trajectory.spec),
        lesson=number,
        label=f"{name} lesson {index}" if index else "untouched model",
        needs=needs,
        weight=len(lesson.examples) * _passes(trajectory, lesson) if lesson else 0,
        answerer=trajectory.answerer(number),
        exams=exams,
        adopts=index == 1 and trajectory.shared is not None,
        askers=((trajectory.spec, number),) if exams else (),
    )


def _untouched(spec: RunSpec) -> RunSpec:
    """Return the run that asks the base model alone, where a run's learner is a user's file: row 0 does without it."""
    return spec.model_copy(update={"learner": {"name": "frozen"}}) if plugins.runs_user_file(spec.learner) else spec


def _passes(trajectory: Trajectory, lesson: Lesson) -> int:
    """Return the passes over a lesson, 1 for learners that are not trained."""
    epochs = int(trajectory.config.model_dump().get("epochs", 1))
    return epochs if lesson.passes is None else min(epochs, lesson.passes)


def urgency(units: Sequence[Unit]) -> dict[str, int]:
    """Return for every unit the training that hangs on it, itself included: the longest chain goes first."""
    after: dict[str, int] = {}
    for unit in reversed(units):
        after[unit.key] = unit.weight + after.get(unit.key, 0)
        if unit.needs is not None:
            after[unit.needs] = max(after.get(unit.needs, 0), after[unit.key])
    return after
