"""Make units on a Ray cluster: one that is there, or one that is started here for the time of the command."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clbench.core.errors import SpecError, WorkerError, said_of
from clbench.core.events import notice
from clbench.core.extras import need
from clbench.core.spec import Machine
from clbench.engine.executors.executor import Ended, Made
from clbench.engine.executors.orders import absolute, filled, order_of
from clbench.engine.units import Unit

OPTIONS = ("address", "cpus", "gpus", "max")


def check(options: Mapping[str, str]) -> None:
    """Refuse options that are not such, before anything is opened.

    Raises:
        ExtraError: Ray is not installed.
        SpecError: A value is not a number.
    """
    need("ray", "ray", "--on ray")
    for name in ("cpus", "gpus", "max"):
        _number(options, name, 1.0)


class _Maker:
    """What runs in a worker of the cluster: an actor, which keeps its learner awake between units."""

    def make(self, *given: Any) -> Any:
        return filled(*given)


class RayWorkers:
    """Actors of a Ray cluster, with the resources of a worker each; see `Executor`."""

    takes = 1

    def __init__(self, machine: Machine, num: int) -> None:
        """Open the cluster, for at most so many units side by side.

        Args:
            machine: How units are made; `cluster` holds `address` (default: $RAY_ADDRESS, else a cluster is started
                here with a CPU for each worker), `cpus` and `gpus` of a worker, and `max` workers.
            num: How many units there are.

        Raises:
            SpecError: The cluster cannot be reached, or has no room for a single worker.
        """
        check(machine.cluster)
        import ray  # pyright: ignore[reportMissingImports]  # an extra

        self._ray: Any = ray
        options = machine.cluster
        gpus = _number(options, "gpus", 0.0)
        self._wants = {"num_cpus": _number(options, "cpus", 1.0), "num_gpus": gpus}
        self._opened = not ray.is_initialized()
        if self._opened:
            self._open(options.get("address"), machine.workers)
        self._machine = absolute(machine).model_copy(update={"executor": "processes", "cluster": {}})
        self.slots = min(num, int(_number(options, "max", num)), self._room())
        self._folder = str(Path.cwd())
        self._actors: dict[int, Any] = {}
        self._running: dict[Any, tuple[int, Unit, float]] = {}
        self._too_long: dict[int, WorkerError] = {}

    def _open(self, address: str | None, workers: int) -> None:
        how: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if address is None and not os.environ.get("RAY_ADDRESS"):
            how |= {"address": "local", "num_cpus": workers, "include_dashboard": False}
        elif address is not None:
            how |= {"address": address}
        try:
            self._ray.init(**how)
        except (ConnectionError, RuntimeError, ValueError) as error:
            what = f"the Ray cluster cannot be reached: {said_of(error)}"
            mend = "start one: ray start --head; or name one: --on ray:address=HOST:6379"
            raise SpecError(what, where="--on ray", mend=mend) from error

    def _room(self) -> int:
        there = self._ray.cluster_resources()
        cpus, gpus = self._wants["num_cpus"], self._wants["num_gpus"]
        rooms = [int(there.get("CPU", 0) // cpus)] if cpus else []
        rooms += [int(there.get("GPU", 0) / gpus + 1e-9)] if gpus else []
        room = min(rooms, default=1)
        if room < 1:
            what = f"no worker of {cpus:g} CPUs and {gpus:g} GPUs fits: the cluster has {there.get('CPU', 0):g} and "
            mend = "ask for less: --on ray:cpus=1,gpus=0, or add a node"
            raise SpecError(f"{what}{there.get('GPU', 0):g}", where="--on ray", mend=mend)
        return room

    def start(self, slot: int, units: Sequence[Unit]) -> None:
        """Let an actor make a unit; see `Executor`."""
        (unit,) = units
        if slot not in self._actors:
            self._actors[slot] = self._ray.remote(**self._wants, max_restarts=0)(_Maker).remote()
        found = self._actors[slot].make.remote([order_of(unit)], self._machine, self._folder)
        self._running[found] = (slot, unit, time.monotonic())

    def ended(self, within_s: float) -> list[Ended]:
        """Return what has ended; see `Executor`."""
        if not self._running:
            return []
        done, _ = self._ray.wait(list(self._running), num_returns=1, timeout=within_s)
        self._end_too_long()
        return [self._end(one) for one in done]

    def _end(self, future: Any) -> Ended:
        slot, unit, _ = self._running.pop(future)
        lost = self._ray.exceptions
        try:
            made, told = self._ray.get(future)
        except (lost.RayActorError, lost.NodeDiedError, lost.WorkerCrashedError, lost.OutOfMemoryError) as error:
            self._actors.pop(slot, None)
            if slot in self._too_long:
                return Ended(slot, [Made(unit.key, self._too_long.pop(slot))])
            why = str(error).splitlines()[0][:200]
            mend = "run the same command again, with fewer workers if memory ran out; what is finished is kept"
            return Ended(slot, (), WorkerError(f"a worker of the cluster is gone ({why})", where=unit.label, mend=mend))
        for text in told:
            notice(text)
        return Ended(slot, made)

    def _end_too_long(self) -> None:
        limit = self._machine.limit_s
        if limit is None:
            return
        for slot, unit, began in self._running.values():
            if time.monotonic() - began > limit and slot not in self._too_long:
                mend = "give it a longer --limit; what is finished is kept"
                what = f"it takes longer than {limit:g} seconds, and was ended"
                self._too_long[slot] = WorkerError(what, where=unit.label, mend=mend)
                self._ray.kill(self._actors[slot])

    def halt(self) -> None:
        """Do nothing: an actor is given one unit at a time."""

    def close(self) -> None:
        """End the actors, and the cluster if it was started here."""
        for actor in self._actors.values():
            self._ray.kill(actor)
        if self._opened:
            self._ray.shutdown()


def _number(options: Mapping[str, str], name: str, default: float) -> float:
    try:
        found = float(options.get(name, default))
    except ValueError:
        found = -1.0
    if found < 0 or (name == "max" and found < 1):
        raise SpecError(f"{name}={options[name]} is not a number of them", where="--on ray", mend=f"write {name}=1")
    return found
