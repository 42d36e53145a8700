"""Choose where units are made, as the machine says, and make them there."""

from __future__ import annotations

from collections.abc import Sequence

from clbench.core import events
from clbench.core.errors import SpecError, StoppedError, UserError, did_you_mean
from clbench.core.spec import Machine
from clbench.engine.executors import processes, ray, slurm
from clbench.engine.executors.dispatch import dispatch
from clbench.engine.executors.executor import UNWATCHED, UnitEvent, Watch
from clbench.engine.inputs import Inputs
from clbench.engine.units import Unit

RUN = "`clbench grid run` makes all that is missing"
CLUSTERS = {"ray": ray.RayWorkers, "slurm": slurm.SlurmJobs}
OPTIONS = {"processes": (), "ray": ray.OPTIONS, "slurm": slurm.OPTIONS}
CHECKS = {"ray": ray.check, "slurm": slurm.check}


def execute(
    units: Sequence[Unit], machine: Machine, inputs: Inputs | None = None, watch: Watch = UNWATCHED
) -> dict[str, UserError]:
    """Make units, each after the one it needs, where the machine says; see `processes.execute`."""
    failed: dict[str, UserError] = {}
    if watch.only is not None:
        chosen = _hanging_on(units, watch.only)
        others = {unit.key for unit in units} - {unit.key for unit in chosen}
        failed |= {key: StoppedError("it did not fail before, so it is left", mend=RUN) for key in others}
        units = chosen
    if not units:
        return failed
    return failed | _executed(units, machine, inputs, watch)


def _executed(units: Sequence[Unit], machine: Machine, inputs: Inputs | None, watch: Watch) -> dict[str, UserError]:
    for unit in units:
        watch.tell(UnitEvent("due", unit))
    if machine.executor == "processes":
        failed = processes.execute(units, machine, inputs, watch)
    else:
        failed = _on_cluster(units, machine, watch)
    if failed:
        events.notice(f"{len(failed)} of {len(units)} units could not be made; the error is that of the first of them")
    return failed


def _on_cluster(units: Sequence[Unit], machine: Machine, watch: Watch) -> dict[str, UserError]:
    make = CLUSTERS[machine.executor]
    failed: dict[str, UserError] = {}
    done = 0
    for group in processes.apart(units).values():
        workers = make(machine, len(group))
        try:
            failed |= dispatch(group, workers, watch, done, len(units))
        finally:
            workers.close()
        done += len(group)
    return failed


def _hanging_on(units: Sequence[Unit], keys: frozenset[str]) -> list[Unit]:
    """Return units of these keys, and what needs them."""
    wanted = set(keys)
    for unit in units:  # each stands behind the one it needs
        if unit.needs in wanted:
            wanted.add(unit.key)
    return [unit for unit in units if unit.key in wanted]


def where_of(text: str) -> dict[str, object]:
    """Return the fields of a machine that `--on` names.

    Raises:
        SpecError: There is no such place, or it has no such option.
        ExtraError: Its package is not installed.

    Example:
        >>> where_of("processes")
        {'executor': 'processes', 'cluster': {}}
    """
    name, _, rest = text.partition(":")
    if name not in OPTIONS:
        raise SpecError(f"no executor {name!r}", where="--on", mend=did_you_mean(name, OPTIONS))
    options: dict[str, str] = {}
    known = OPTIONS[name]
    for part in rest.split(",") if rest else ():
        field, equals, value = part.partition("=")
        if field not in known or not equals or not value:
            mend = did_you_mean(field, known) if known else "it takes none: --workers says how many there are"
            raise SpecError(f"{part!r} is not an option of {name}", where="--on", mend=mend)
        options[field] = value
    if name in CHECKS:
        CHECKS[name](options)
    return {"executor": name, "cluster": options}
