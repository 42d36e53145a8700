"""Refuse work that cannot fit into memory or onto the disk, before anything of it is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from clbench.core.errors import UserError, said_of
from clbench.core.events import notice
from clbench.core.extras import TO_LOAD, absent
from clbench.core.spec import Machine, ModelSpec, RunSpec
from clbench.core.types import Exam
from clbench.engine.ask import answers_key
from clbench.engine.fit import beyond, open_needs, sum_up
from clbench.engine.inputs import Inputs
from clbench.engine.make_unit import answers_missing
from clbench.engine.memory import WORTH, Need, Needs
from clbench.engine.plan import plan
from clbench.engine.trajectory import Trajectory
from clbench.engine.units import Run, Unit
from clbench.models import source
from clbench.store.store import Store


def fitting(runs: Sequence[Run | UserError], store: Store, inputs: Inputs, machine: Machine) -> list[Run | UserError]:
    """Return runs as they are, and in the place of one that cannot fit by itself, why.

    Looked at are runs of which something is missing, on models of `WORTH` bytes and more; on all models where the
    memory is stated.

    Raises:
        SpecError: The workers side by side, or the disk, do not hold what does fit by itself.
    """
    asked = {i: one for i, one in enumerate(runs) if isinstance(one, Run) and worth_a_look(one.spec.model, machine)}
    missing = {u.key: (u, num) for u in plan(asked.values()) if (num := answers_missing(u, store, machine)) != 0}
    due = {i: run for i, run in asked.items() if not missing.keys().isdisjoint(run.trajectory.keys)}
    if not due:
        return list(runs)
    makes, room = open_needs(machine, inputs.of)
    needs = dict(_needs(due, missing, makes))
    whole = sum_up([(due[i].spec, need) for i, need in needs.items()], [], makes, room)
    why = whole.too_large()
    large = {i for i, need in needs.items() if room.bytes is not None and beyond(need.peak, room.bytes)}
    left = [(due[i].spec, need) for i, need in needs.items() if i not in large]
    states = [u.spec for u in plan(due[i] for i in needs if i not in large) if _to_learn(u.key, missing)]
    if left:
        sum_up(left, [spec for spec in states if _planned(spec, makes) is not None], makes, room).check()
    return [why if why is not None and i in large else one for i, one in enumerate(runs)]


def _needs(
    due: Mapping[int, Run], missing: Mapping[str, tuple[Unit, int | None]], makes: Needs
) -> Iterator[tuple[int, Need]]:
    """Yield what the runs take that can be planned, under their places; where all is learnt, what its exams take."""
    for i, run in due.items():
        if (need := _planned(run.spec, makes)) is not None:
            learns = any(_to_learn(key, missing) for key in run.trajectory.keys)
            yield i, need if learns else replace(need, peak=need.asked)


def _to_learn(key: str, missing: Mapping[str, tuple[Unit, int | None]]) -> bool:
    """Return whether a state is to be learnt; the untouched model is not, nor one whose exams alone are missing."""
    return key in missing and missing[key][1] is None and missing[key][0].weight > 0


def worth_a_look(model: ModelSpec, machine: Machine) -> bool:
    """Return whether work on a model is held against the memory and the disk that are there."""
    if machine.anyway or absent(TO_LOAD):
        return False
    return machine.memory is not None or source.weights_bytes(model) >= WORTH


def _planned(spec: RunSpec, makes: Needs) -> Need | None:
    """Return what a run takes; None where that cannot be planned, which a notice says: the run itself will show it."""
    try:
        return makes.of(spec)
    except UserError as error:
        why = error.what
    except Exception as error:  # of a model's own code, or of a method's: what cannot be planned may well run
        why = said_of(error)
    notice(f"the memory of {spec.learner_label} on {spec.model.name} cannot be planned: {why}")
    return None


def check_asked(trajectory: Trajectory, exams: Sequence[Exam], store: Store) -> None:
    """Refuse exams of a model with no stream that cannot fit, as `fitting` does runs.

    Raises:
        SpecError: Says what would fit.
    """
    spec, machine = trajectory.spec, trajectory.machine
    if not worth_a_look(spec.model, machine):
        return
    who = trajectory.answer_fingerprint(0)
    due = tuple(
        e for e in exams if store.find("ask", answers_key(who, e, spec.model, machine, spec.exam_server)) is None
    )
    makes, room = open_needs(machine, lambda _: (trajectory.stream, due))
    if due and (need := _planned(spec, makes)) is not None:
        sum_up([(spec, replace(need, learner="exams"))], [], makes, room).check()
