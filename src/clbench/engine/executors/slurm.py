"""Make units as jobs of Slurm, by submitit: arrays of chains of lessons, queued again when they are preempted."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clbench.core.errors import SpecError, WorkerError, said_of
from clbench.core.events import notice
from clbench.core.extras import need
from clbench.core.spec import Machine
from clbench.engine.executors.executor import Ended, Made
from clbench.engine.executors.orders import Order, absolute, filled, order_of
from clbench.engine.units import Unit

JOBS = "jobs"  # folder of a store: what submitit writes
PLACES = ("slurm", "local", "debug")  # where submitit runs jobs
OF_SLURM = (
    "partition",
    "account",
    "qos",
    "gres",
    "constraint",
    "time",
    "mem",
    "gpus_per_node",
    "cpus_per_task",
    "signal_delay_s",
)
OPTIONS = ("max", "cluster", *OF_SLURM)


def check(options: Mapping[str, str]) -> None:
    """Refuse options that are not such, before anything is opened.

    Raises:
        ExtraError: submitit is not installed.
        SpecError: A value cannot be.
    """
    need("slurm", "submitit", "--on slurm")
    wrong = [f"cluster={options['cluster']}"] if options.get("cluster", "slurm") not in PLACES else []
    for name in ("max", "time"):
        value = options.get(name, "1")
        wrong += [] if value.isdecimal() and int(value) > 0 else [f"{name}={value}"]
    if wrong:
        mend = "cluster is slurm or local, max a number of jobs, time a number of minutes"
        raise SpecError(f"{wrong[0]} cannot be", where="--on slurm", mend=mend)


class _Chain:
    """What runs in a job: units one after another. A job that is preempted is queued again, and goes on."""

    def __call__(self, orders: Sequence[Order], machine: Machine, folder: str, halt: Path) -> Any:
        made: list[Made] = []
        told: list[str] = []
        for order in orders:
            if halt.exists():
                break
            one, said = filled([order], machine, folder)
            made, told = [*made, *one], [*told, *said]
            if one[-1].error is not None:
                break
        return made, list(dict.fromkeys(told))

    def checkpoint(self, *given: Any) -> Any:
        """Return what is queued in the place of a preempted job: the same, since the store holds what is made."""
        from submitit.helpers import DelayedSubmission  # pyright: ignore[reportMissingImports]  # an extra

        return DelayedSubmission(self, *given)


class SlurmJobs:
    """Jobs of Slurm, each with a chain of units; see `Executor`."""

    takes = 1000

    def __init__(self, machine: Machine, num: int) -> None:
        """Take jobs for at most so many units side by side.

        Args:
            machine: How units are made; `cluster` holds `max` jobs at a time (default: 16), options of `sbatch`, and
                `cluster=local` to run jobs as processes on this machine.
            num: How many units there are.

        Raises:
            SpecError: There is no Slurm here.
        """
        check(machine.cluster)
        import submitit  # pyright: ignore[reportMissingImports]  # an extra

        options = dict(machine.cluster)
        where = options.pop("cluster", "slurm")
        most = options.pop("max", "16")
        self._folder = machine.store.absolute() / JOBS
        try:
            self._jobs: Any = submitit.AutoExecutor(folder=self._folder / "%j", cluster=where)
        except RuntimeError as error:
            mend = "run it where `sbatch` is; --on slurm:cluster=local runs jobs on this machine"
            raise SpecError(f"there is no Slurm here: {said_of(error)}", where="--on slurm", mend=mend) from error
        self.slots = min(num, int(most))
        self._machine = absolute(machine).model_copy(update={"executor": "processes", "cluster": {}})
        self._set(where, options)
        self._halt = self._folder / f"{secrets.token_hex(8)}.halt"
        self._waiting: list[tuple[int, Sequence[Unit]]] = []
        self._running: dict[int, tuple[Any, Sequence[Unit]]] = {}

    def _set(self, where: str, options: dict[str, str]) -> None:
        ours = {"name": "clbench", "slurm_array_parallelism": self.slots}
        ours |= {"cpus_per_task": 1} if "cpus_per_task" not in options else {}
        minutes = int(options.pop("time", "0"))
        if not minutes and self._machine.limit_s is not None and where != "slurm":
            minutes = max(1, round(self._machine.limit_s / 60))
        ours |= {"timeout_min": minutes} if minutes else {"timeout_min": 24 * 60}
        self._jobs.update_parameters(**ours, **{f"slurm_{name}": value for name, value in options.items()})

    def start(self, slot: int, units: Sequence[Unit]) -> None:
        """Take a chain of units; all that wait are handed over together, as an array of jobs. See `Executor`."""
        self._waiting.append((slot, units))

    def ended(self, within_s: float) -> list[Ended]:
        """Hand over what waits, and return what has ended; see `Executor`."""
        self._submit()
        until = time.monotonic() + within_s
        while not (done := [slot for slot, (job, _) in self._running.items() if job.done()]):
            if time.monotonic() >= until:
                return []
            time.sleep(min(within_s, 0.1))
        return [self._end(slot) for slot in done]

    def _submit(self) -> None:
        if not self._waiting:
            return
        with self._jobs.batch():
            jobs = [
                self._jobs.submit(_Chain(), list(map(order_of, units)), self._machine, str(Path.cwd()), self._halt)
                for _, units in self._waiting
            ]
        for job, (slot, units) in zip(jobs, self._waiting, strict=True):
            self._running[slot] = (job, units)
        self._waiting.clear()

    def _end(self, slot: int) -> Ended:
        job, units = self._running.pop(slot)
        error = job.exception()
        if error is not None:
            mend = f"look into {self._folder.name}/{job.job_id} of the store; what is finished is kept"
            lost = WorkerError(f"job {job.job_id} has ended ({said_of(error)})", where=units[0].label, mend=mend)
            return Ended(slot, (), lost)
        made, told = job.result()
        for text in told:
            notice(text)
        return Ended(slot, made)

    def halt(self) -> None:
        """Let jobs end after the unit that they are at."""
        self._halt.parent.mkdir(parents=True, exist_ok=True)
        self._halt.touch()

    def close(self) -> None:
        """Cancel what has not ended."""
        for job, _ in self._running.values():
            job.cancel()
        self._halt.unlink(missing_ok=True)
