"""Units as orders for workers that share nothing but the store: a spec and a row, by which a worker finds the rest."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from clbench.core import events
from clbench.core.errors import UserError, WorkerError, said_of
from clbench.core.spec import Machine, RunSpec
from clbench.engine.executors.executor import Made
from clbench.engine.make_unit import Workplace, make_unit
from clbench.engine.units import Unit, open_run


@dataclass(frozen=True)
class Order:
    """One unit, without what it is made of.

    Attributes:
        key, label: Those of the unit.
        spec, lesson: A run that it belongs to, and its row there.
        askers: The runs whose exams are asked of it, each with its row.
        exams: Digests of these exams, in the order in which they are asked.
    """

    key: str
    label: str
    spec: RunSpec
    lesson: int
    askers: tuple[tuple[RunSpec, int], ...]
    exams: tuple[str, ...]


def order_of(unit: Unit) -> Order:
    """Return the order of a unit."""
    digests = tuple(exam.digest for exam in unit.exams)
    return Order(unit.key, unit.label, unit.spec, unit.lesson, unit.askers, digests)


def filled(orders: Sequence[Order], machine: Machine, folder: str) -> tuple[list[Made], list[str]]:
    """Make units in this process, which keeps a learner awake from one call to the next.

    Args:
        orders: Units in an order in which each finds what it needs.
        machine: How they are made; the path of its store is absolute.
        folder: Where the command was given: paths of a recipe count from there.

    Returns:
        What came of each, up to the first that could not be made; and the notices for the user.
    """
    told: list[str] = []
    token = events.notice_listener.set(told.append)
    with suppress(OSError):  # a machine that does not see it has the recipe's paths as absolute ones, or none
        os.chdir(folder)
    made: list[Made] = []
    try:
        for order in orders:
            error = _fill(order, _workplace(machine))
            made.append(Made(order.key, error))
            if error is not None:
                break
    finally:
        events.notice_listener.reset(token)
    return made, list(dict.fromkeys(told))


_kept: list[Workplace] = []  # one in every process: a cluster calls functions, and hands them no such object


def _workplace(machine: Machine) -> Workplace:
    if not _kept or _kept[0].given != machine:
        events.quiet_libraries()
        importlib.import_module("clbench.models.warm")  # one thread from here on
        _kept[:] = [Workplace(machine)]
    return _kept[0]


def _fill(order: Order, workplace: Workplace) -> UserError | None:
    try:
        make_unit(_unit(order, workplace), workplace)
    except UserError as error:
        return error
    except Exception as error:
        mend = "run the same command with --on processes --workers 1, which shows where it happens"
        return WorkerError(said_of(error), where=order.label, mend=mend)
    return None


def _unit(order: Order, workplace: Workplace) -> Unit:
    found = {
        exam.digest: exam
        for spec, lesson in order.askers
        for row, _, exam in open_run(spec, workplace.inputs, workplace.store, workplace.machine).due_cells
        if row == lesson
    }
    if lacking := [digest for digest in order.exams if digest not in found]:
        what = f"the worker reads other cards or data than the command: {len(lacking)} exams are not the same"
        raise WorkerError(what, where=order.label, mend="let all machines see the same --data and the same cards")
    exams = tuple(found[digest] for digest in order.exams)
    return Unit(order.key, order.spec, order.lesson, order.label, None, 0, exams=exams)


def absolute(machine: Machine) -> Machine:
    """Return a machine whose paths mean the same wherever a worker stands."""
    data = None if machine.data is None else machine.data.absolute()
    return machine.model_copy(update={"store": Path(machine.store).absolute(), "data": data, "workers": 1})
