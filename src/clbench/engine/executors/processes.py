"""Make units on this machine: in this process, or in several, one thread each.

Workers are forked from a server that has imported torch once, since an import costs seconds per process and a
process that already runs threads must not be forked.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from graphlib import TopologicalSorter
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
from clbench.engine.executors.seats import assign
from clbench.engine.executors.workers import Workers, broken_workers, end_workers, stop_workers
from clbench.engine.inputs import Inputs
from clbench.engine.make_unit import Workplace, make_unit
from clbench.engine.plan import urgency
from clbench.engine.units import Unit

SILENCE_S = 600.0  # without a word of a worker, before its user is told
T = TypeVar("T")
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
        seen: Processes that were seen alive; the pool forgets them when it breaks.
        said: Notices that were passed on.
        who: Process -> the label of what it does.
        since: Process -> when it began that, and when it was last heard of, in seconds of the clock.
        quiet: Processes of which it was said that nothing is heard of them.
    """

    told: Any
    seen: set[BaseProcess] = field(default_factory=set)
    said: set[str] = field(default_factory=set)
    who: dict[int, str] = field(default_factory=dict)
    since: dict[int, tuple[float, float]] = field(default_factory=dict)
    quiet: set[int] = field(default_factory=set)


def execute(units: Sequence[Unit], machine: Machine, inputs: Inputs | None = None) -> dict[str, UserError]:
    """Make units, each after the one it needs.

    Args:
        units: What is missing; each stands behind the one it needs.
        machine: Where and how they are made.
        inputs: Those that this process has read; workers read their own.

    Returns:
        By unit key, why a unit could not be made; what hangs on such a unit is left out. All else is made.
    """
    if not units:
        return {}
    groups = _apart(units)
    if machine.processes > 1:
        failed = _make_here([unit for group in groups.values() for unit in group], Workplace(machine, inputs))
    elif list(groups) == [()] and machine.limit_s is None and (machine.workers == 1 or len(units) < 2):
        failed = _make_here(units, Workplace(machine, inputs))
    else:
        failed = _make_in_workers(list(groups.values()), machine, len(units))
    if failed:
        events.notice(f"{len(failed)} of {len(units)} units could not be made; the error is that of the first of them")
    return failed


def _make_in_workers(groups: Sequence[Sequence[Unit]], machine: Machine, num: int) -> dict[str, UserError]:
    failed: dict[str, UserError] = {}
    before = 0
    for group in groups:
        num_workers = min(machine.workers, len(group))
        with _pools(num_workers, seats(machine, num_workers)) as (pools, heard):
            _dispatch(group, machine, pools, heard, failed, lambda made, before=before: _tell_made(before + made, num))
        before += len(group)
    return failed


def _tell_made(made: int, num: int) -> None:
    report_progress(Progress("units", made, num, slot=0))


def _apart(units: Sequence[Unit]) -> dict[tuple[str, ...], list[Unit]]:
    """Share out units by the users' files that run in them, those without any first: no process sees another's file.

    What a file changes for its whole process (a library's defaults, a patched function) reaches no other answers.
    """
    found: dict[tuple[str, ...], list[Unit]] = {}
    for unit in units:
        named = plugins.learners_in(unit.spec.learner) if unit.spec else []
        found.setdefault(tuple(sorted({name for name in named if plugins.runs_user_file(name)})), []).append(unit)
    return dict(sorted(found.items()))


def _make_here(units: Sequence[Unit], workplace: Workplace) -> dict[str, UserError]:
    failed: dict[str, UserError] = {}
    _single_thread()
    for number, unit in enumerate(units):
        report_progress(Progress("units", number, len(units), slot=0))
        if unit.needs in failed:
            failed[unit.key] = failed[str(unit.needs)]
            continue
        try:
            make_unit(unit, workplace)
        except RankError:
            raise  # no other unit can be made either
        except UserError as error:
            failed[unit.key] = error
    report_progress(Progress("units", len(units), len(units), slot=0))
    return failed


@contextmanager
def _pools(workers: int, devices: Sequence[str] = ()) -> Generator[tuple[list[ProcessPoolExecutor], _Heard]]:
    """Open workers, a pool for each, so that a unit can be given to one of them; however one ends, it is told.

    Args:
        workers: Their number.
        devices: Of each worker, where any are named.
    """
    context = Workers()
    context.set_forkserver_preload(PRELOAD)
    heard = _Heard(context.SimpleQueue())
    others = set(multiprocessing.active_children())
    given = (heard.told, os.getpid(), str(Path.cwd()))
    pools = [
        ProcessPoolExecutor(1, mp_context=context, initializer=_open_worker, initargs=(*given, device))
        for device in devices or [""] * workers
    ]
    try:
        yield pools, heard
    except (BrokenProcessPool, EOFError, ConnectionError) as error:
        ended = heard.seen - others
        stop_workers(ended)
        _pass_on(heard)  # what they had begun
        # A process that ended with 0 has broken the pool too: it had not done its work.
        codes = [(p.exitcode, heard.who.get(p.pid or 0, "")) for p in ended if p.exitcode is not None]
        gone = [(None, label) for label in heard.who.values()]  # workers that ended before they were seen
        raise broken_workers(workers, codes or gone) from error
    finally:
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)
        end_workers(heard.seen - others)
    _pass_on(heard)  # what workers told last comes when they have ended


def in_worker(work: Callable[[], T], label: str, limit_s: float | None = None) -> T:
    """Call a function in a process of its own, and give what it returns; it is pickled, and so is the result.

    Raises:
        WorkerError: The process ended, or took longer than the limit.
    """
    with _pools(1) as ((pool,), heard):
        future = pool.submit(_called, work, label)
        heard.seen.update(multiprocessing.active_children())
        while not wait([future], timeout=0.2).done:
            heard.seen.update(multiprocessing.active_children())
            _pass_on(heard)
            _watch(heard, limit_s)
        error = future.exception()
        if isinstance(error, BrokenProcessPool):
            raise error
    return future.result()


def _dispatch(
    units: Sequence[Unit],
    machine: Machine,
    pools: Sequence[ProcessPoolExecutor],
    heard: _Heard,
    failed: dict[str, UserError],
    tell: Callable[[int], None],
) -> None:
    here = {unit.key: unit for unit in units}
    order = TopologicalSorter({unit.key: [unit.needs] if unit.needs in here else [] for unit in units})
    order.prepare()
    hangs, ready = urgency(units), list[str]()
    held: dict[int, str | None] = dict.fromkeys(range(len(pools)))  # idle worker -> the state that it made last
    running: dict[Future[None], tuple[int, Unit]] = {}
    left, num_made = sum(unit.weight for unit in units), 0
    while order.is_active():
        ready += order.get_ready()
        for key in [key for key in ready if here[key].needs in failed]:
            failed[key] = failed[str(here[key].needs)]
            ready.remove(key)
            num_made, left = num_made + 1, left - here[key].weight
            order.done(key)
        for worker, key in assign(held, ready, here, hangs, left // len(pools)).items():
            ready.remove(key)
            del held[worker]
            future = pools[worker].submit(_called, partial(_make, here[key], machine), here[key].label)
            running[future] = (worker, here[key])
            heard.seen.update(multiprocessing.active_children())
        done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
        for future in done:
            worker, unit = running.pop(future)
            held[worker] = unit.key
            num_made, left = num_made + 1, left - unit.weight
            error = future.exception()
            if isinstance(error, UserError) and not isinstance(error, WorkerError):
                failed[unit.key] = error
            elif error is not None:
                raise error
            order.done(unit.key)
        _pass_on(heard)
        _watch(heard, machine.limit_s)
        tell(num_made)


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


def _watch(heard: _Heard, limit_s: float | None) -> None:
    """Tell of workers that say nothing for long, and end what takes longer than the limit.

    Raises:
        WorkerError: Something did; all workers are ended, what is finished is kept.
    """
    now = time.monotonic()
    for process, (began, last) in heard.since.items():
        label = heard.who.get(process, "a worker")
        if now - last > SILENCE_S and process not in heard.quiet:
            heard.quiet.add(process)
            mend = "" if limit_s else "; `--limit SECONDS` would end it"
            events.notice(f"{label}: nothing heard for {SILENCE_S / 60:.0f} minutes, and it still runs{mend}")
        if limit_s is not None and now - began > limit_s:
            for each in heard.seen:
                if each.pid in heard.who:
                    each.kill()
            mend = "look for a loop without an end in its hooks, or give it a longer --limit; what is finished is kept"
            raise WorkerError(f"it takes longer than {limit_s:g} seconds, and was ended", where=label, mend=mend)


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
    if _worker.workplace is None or _worker.workplace.machine != machine:
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
