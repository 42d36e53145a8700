"""Make units on this machine: in this process, or in several, one thread each.

Workers are forked from a server that has imported torch once, since an import costs seconds per process and a
process that already runs threads must not be forked.
"""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from clbench.core import events, plugins
from clbench.core.errors import RankError, UserError, WorkerError
from clbench.core.events import Progress, progress_listener, report_progress
from clbench.core.extras import explained
from clbench.core.process import end_with
from clbench.core.spec import Machine
from clbench.engine.executors.devices import seats
from clbench.engine.executors.dispatch import dispatch, stopped
from clbench.engine.executors.executor import UNWATCHED, Ended, Made, UnitEvent, Watch
from clbench.engine.executors.workers import ENDS_S, FROM_OUTSIDE, Workers, broken_worker, end_workers
from clbench.engine.inputs import Inputs
from clbench.engine.make_unit import Workplace, make_unit
from clbench.engine.units import Unit

SILENCE_S = 600.0  # without a word of a worker, before its user is told
T = TypeVar("T")
GONE = (BrokenProcessPool, EOFError, ConnectionError)  # raised for a call whose process has ended
PRELOAD = ["clbench.models.warm", "clbench.engine.make_unit"]


class _Began(NamedTuple):
    """Said by a worker that begins something."""

    process: int
    label: str


class _Ended(NamedTuple):
    """Said by a worker that has done it."""

    process: int


@dataclass(frozen=True)
class _Heard:
    """What is known of the workers.

    Attributes:
        told: The queue of their progress and notices; written at once, so that a message survives a crash that
            follows it.
        said: Notices that were passed on.
        who: Process -> the label of what it does.
        since: Process -> when it began that, and when it was last heard of, in seconds of the clock.
        quiet: Processes of which it was said that nothing is heard of them.
        too_long: Processes that were ended since they took too long -> the error that says so.
    """

    told: Any
    said: set[str] = field(default_factory=set)
    who: dict[int, str] = field(default_factory=dict)
    since: dict[int, tuple[float, float]] = field(default_factory=dict)
    quiet: set[int] = field(default_factory=set)
    too_long: dict[int, WorkerError] = field(default_factory=dict)


def execute(
    units: Sequence[Unit], machine: Machine, inputs: Inputs | None = None, watch: Watch = UNWATCHED
) -> dict[str, UserError]:
    """Make units, each after the one it needs.

    Args:
        units: What is missing; each stands behind the one it needs.
        machine: Where and how they are made.
        inputs: Those that this process has read; workers read their own.
        watch: Who looks on, and may stop the work between two units.

    Returns:
        By unit key, why a unit could not be made; what hangs on such a unit is left out. All else is made.
    """
    groups = apart(units)
    if machine.processes > 1:
        return _make_here([u for group in groups.values() for u in group], Workplace(machine, inputs), watch)
    if list(groups) == [()] and machine.limit_s is None and (machine.workers == 1 or len(units) < 2):
        return _make_here(units, Workplace(machine, inputs), watch)
    failed: dict[str, UserError] = {}
    done = 0
    for group in groups.values():
        workers = min(machine.workers, len(group))
        with _opened(Pools(workers, seats(machine, workers), machine)) as pools:
            failed |= dispatch(group, pools, watch, done, len(units))
        done += len(group)
    return failed


def apart(units: Sequence[Unit]) -> dict[tuple[str, ...], list[Unit]]:
    """Share out units by the users' files that run in them, those without any first: no process sees another's file.

    What a file changes for its whole process (a library's defaults, a patched function) reaches no other answers.
    """
    found: dict[tuple[str, ...], list[Unit]] = {}
    for unit in units:
        named = plugins.learners_in(unit.spec.learner) if unit.spec else []
        found.setdefault(tuple(sorted({name for name in named if plugins.runs_user_file(name)})), []).append(unit)
    return dict(sorted(found.items()))


def _make_here(units: Sequence[Unit], workplace: Workplace, watch: Watch) -> dict[str, UserError]:
    failed: dict[str, UserError] = {}
    _single_thread()
    for number, unit in enumerate(units):
        report_progress(Progress("units", number, len(units), slot=0))
        stop = failed.get(str(unit.needs)) or stopped(watch)
        if stop is not None:
            failed[unit.key] = stop
            watch.tell(UnitEvent("left", unit, stop.what))
            continue
        watch.tell(UnitEvent("began", unit))
        try:
            make_unit(unit, workplace)
        except RankError:
            raise  # no other unit can be made either
        except UserError as error:
            failed[unit.key] = error
            watch.tell(UnitEvent("failed", unit, str(error)))
        else:
            watch.tell(UnitEvent("made", unit))
    report_progress(Progress("units", len(units), len(units), slot=0))
    return failed


class Pools:
    """Workers on this machine, a pool for each, so that a unit can be given to one of them.

    However one ends, it is told; it is replaced when its slot is used again.
    """

    takes = 1

    def __init__(self, workers: int, devices: Sequence[str] = (), machine: Machine | None = None) -> None:
        """Open so many workers, on these accelerators where any are named, to make units on a machine."""
        self.slots = workers
        self._all = list[Workers]()  # of each pool that was opened, also of those that were replaced
        context = Workers()
        context.set_forkserver_preload(PRELOAD)
        self._heard = _Heard(context.SimpleQueue())
        self._devices = devices or [""] * workers
        self._of_slot = dict[int, Workers]()
        self._pools = [self._pool(slot) for slot in range(workers)]
        self._running: dict[Future[Any], tuple[int, str]] = {}
        self._machine = machine or Machine()

    def _pool(self, slot: int) -> ProcessPoolExecutor:
        given = (self._heard.told, os.getpid(), str(Path.cwd()), self._devices[slot])
        self._of_slot[slot] = context = Workers()
        self._all.append(context)
        return ProcessPoolExecutor(1, mp_context=context, initializer=_open_worker, initargs=given)

    def submit(self, slot: int, work: Callable[[], T], label: str) -> Future[T]:
        """Let a worker call a function; it is pickled, and so is what it returns."""
        try:
            return self._pools[slot].submit(_called, work, label)
        except BrokenProcessPool:  # it was ended while it had nothing to do
            self._replace(slot)
            return self._pools[slot].submit(_called, work, label)

    def _replace(self, slot: int) -> None:
        self._pools[slot].shutdown(wait=False, cancel_futures=True)
        self._pools[slot] = self._pool(slot)

    def start(self, slot: int, units: Sequence[Unit]) -> None:
        """Let a worker make a unit; see `Executor`."""
        (unit,) = units
        future = self.submit(slot, partial(_make, unit, self._machine), unit.label)
        self._running[future] = (slot, unit.key)

    def ended(self, within_s: float) -> list[Ended]:
        """Return what has ended; see `Executor`."""
        done, _ = wait(self._running, timeout=within_s, return_when=FIRST_COMPLETED)
        self.hear(self._machine.limit_s)
        found: list[Ended] = []
        for future in done:
            slot, key = self._running.pop(future)
            error = future.exception()
            if isinstance(error, GONE):
                lost, again = self.how_it_ended(slot)
                self._replace(slot)
                found.append(Ended(slot, (), lost, again))
            elif error is None or (isinstance(error, UserError) and not isinstance(error, WorkerError)):
                found.append(Ended(slot, (Made(key, error),)))
            else:
                raise error
        return found

    def hear(self, limit_s: float | None = None) -> None:
        """Pass on what workers told, and end what takes longer than the limit."""
        _pass_on(self._heard)
        for pid in _watch(self._heard, limit_s):
            for process in self._started():
                if process.pid == pid:
                    process.kill()

    def _started(self) -> list[BaseProcess]:
        return [process for context in self._all for process in context.started]

    def how_it_ended(self, slot: int) -> tuple[WorkerError, bool]:
        """Return why the worker of a slot ended, and whether that came from outside: what it was at may be begun again.

        Raises:
            WorkerError: It ended before it began anything, and so would another.
        """
        (process,) = self._of_slot[slot].started  # a pool has one worker
        process.join(timeout=ENDS_S)  # its exit code is known once it has been waited for
        _pass_on(self._heard)  # what it had begun
        pid = process.pid or 0
        if pid in self._heard.too_long:
            return self._heard.too_long[pid], False
        self._heard.since.pop(pid, None)
        error = broken_worker(self.slots, process.exitcode, self._heard.who.get(pid, ""))
        if pid not in self._heard.who:
            raise error
        return error, process.exitcode in FROM_OUTSIDE

    def halt(self) -> None:
        """Do nothing: a worker is given one unit at a time."""

    def close(self) -> None:
        """End the workers, and pass on what they told last."""
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)
        end_workers(self._started())
        _pass_on(self._heard)


@contextmanager
def _opened(pools: Pools) -> Generator[Pools]:
    try:
        yield pools
    finally:
        pools.close()


def in_worker(work: Callable[[], T], label: str, limit_s: float | None = None) -> T:
    """Call a function in a process of its own, and give what it returns; it is pickled, and so is the result.

    Raises:
        WorkerError: The process ended, or took longer than the limit.
    """
    with _opened(Pools(1)) as pools:
        future = pools.submit(0, work, label)
        while not wait([future], timeout=0.2).done:
            pools.hear(limit_s)
        error = future.exception()
        if isinstance(error, GONE):
            raise pools.how_it_ended(0)[0] from error
    return future.result()


def _pass_on(heard: _Heard) -> None:
    """Pass on what workers told: progress, and notices, each once however many workers had it."""
    while not heard.told.empty():
        one = heard.told.get()
        if isinstance(one, Progress):
            began = heard.since.get(one.slot, (time.monotonic(), 0.0))[0]
            heard.since[one.slot] = (began, time.monotonic())
            heard.quiet.discard(one.slot)
            report_progress(one)
        elif isinstance(one, _Began):
            heard.who[one.process] = one.label
            heard.since[one.process] = (time.monotonic(), time.monotonic())
        elif isinstance(one, _Ended):
            heard.since.pop(one.process, None)
        elif one not in heard.said:
            heard.said.add(one)
            events.notice(one)


def _watch(heard: _Heard, limit_s: float | None) -> Iterator[int]:
    """Tell of workers that say nothing for long, and yield the processes that now take longer than the limit."""
    now = time.monotonic()
    for process, (began, last) in heard.since.items():
        label = heard.who.get(process, "a worker")
        if now - last > SILENCE_S and process not in heard.quiet:
            heard.quiet.add(process)
            mend = "" if limit_s else "; `--limit SECONDS` would end it"
            events.notice(f"{label}: nothing heard for {SILENCE_S / 60:.0f} minutes, and it still runs{mend}")
        if limit_s is not None and now - began > limit_s and process not in heard.too_long:
            mend = "look for a loop without an end in its hooks, or give it a longer --limit; what is finished is kept"
            what = f"it takes longer than {limit_s:g} seconds, and was ended"
            heard.too_long[process] = WorkerError(what, where=label, mend=mend)
            yield process


@dataclass
class _Worker:
    """What a worker knows of itself.

    Attributes:
        tell: Sends progress, notices, and what is begun and ended, to the process that opened it.
        label: What it is at.
        unable: Why it cannot work, if it cannot.
        workplace: Where it makes units, once it has made one.
        device: The accelerator that is its own; "" where the machine's `device` says all.
    """

    tell: Callable[[object], None]
    label: str = ""
    unable: UserError | None = None
    workplace: Workplace | None = None
    device: str = ""


_worker = _Worker(tell=lambda _: None)  # one in every process: a pool calls functions, and hands them no such object


def _make(unit: Unit, machine: Machine) -> None:
    if _worker.device:
        machine = machine.model_copy(update={"device": _worker.device})
    if _worker.workplace is None or _worker.workplace.given != machine:
        _worker.workplace = Workplace(machine)
    make_unit(unit, _worker.workplace)


def _called(work: Callable[[], T], label: str) -> T:
    if _worker.unable is not None:
        raise _worker.unable
    _worker.label = label
    _worker.tell(_Began(os.getpid(), label))
    try:
        return work()
    finally:
        _worker.tell(_Ended(os.getpid()))


def _open_worker(told: Any, parent: int, folder: str, device: str) -> None:
    os.chdir(folder)  # paths of a recipe count from where the command was given
    _worker.tell = told.put
    _worker.device = device
    events.quiet_libraries()
    try:
        _single_thread()
    except Exception as error:  # raised here, it would break the pool, and nobody would hear what it was
        _worker.unable = _why(error)
    last = [0.0]

    def tell(progress: Progress) -> None:
        now = time.monotonic()
        if now - last[0] > 0.2 or progress.done == progress.total:
            last[0] = now
            text = f"{_worker.label}: {progress.what}"
            told.put(Progress(text, progress.done, progress.total, slot=os.getpid()))

    progress_listener.set(tell)
    events.notice_listener.set(told.put)
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()


def _why(error: Exception) -> WorkerError:
    extra = explained(error) if isinstance(error, ImportError) else None
    if extra is not None:
        return WorkerError(f"a worker did not start: {extra.what}", where="--workers", mend=extra.mend)
    mend = "run the same command with --workers 1, which shows where it happens"
    return WorkerError(f"a worker did not start: {type(error).__name__}: {error}", where="--workers", mend=mend)


def _single_thread() -> None:
    """Use one thread: two become very slow on a busy machine, and results must not depend on how many there are."""
    importlib.import_module("clbench.models.warm")
