"""Make units on this machine: in this process, or in several, one thread each.

Workers are forked from a server that has imported torch once, since an import costs seconds per process and a
process that already runs threads must not be forked.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from typing import Any

from clbench.core import notice
from clbench.core.errors import UserError, WorkerError
from clbench.core.extras import explained
from clbench.core.progress import Progress, listener, report
from clbench.core.spec import Machine
from clbench.engine.opening import stay_open
from clbench.engine.schedule import Unit, urgency
from clbench.engine.work import make_unit

ENDS_S = 5.0  # a broken pool ends its workers; how they ended is known by then
PRELOAD = ["clbench.models.warm", "clbench.engine.work"]


@dataclass(frozen=True)
class _Heard:
    """What is known of the workers.

    Attributes:
        told: The queue of their progress and notices.
        seen: Processes that were seen alive; the pool forgets them when it breaks.
        said: Notices that were passed on.
    """

    told: Any
    seen: set[BaseProcess] = field(default_factory=set)
    said: set[str] = field(default_factory=set)


def make_all(units: Sequence[Unit], machine: Machine) -> dict[str, UserError]:
    """Make units, each after the one it needs.

    Returns:
        By unit key, why a unit could not be made; what hangs on such a unit is left out. All else is made.
    """
    if machine.workers == 1 or len(units) < 2:
        return _make_here(units, machine)
    return _make_in_workers(units, machine)


def _make_here(units: Sequence[Unit], machine: Machine) -> dict[str, UserError]:
    failed: dict[str, UserError] = {}
    _single_thread()
    for number, unit in enumerate(units):
        report(Progress("units", number, len(units), slot=0))
        if unit.needs in failed:
            failed[unit.key] = failed[str(unit.needs)]
            continue
        try:
            make_unit(unit, machine)
        except UserError as error:
            failed[unit.key] = error
    report(Progress("units", len(units), len(units), slot=0))
    return failed


def _make_in_workers(units: Sequence[Unit], machine: Machine) -> dict[str, UserError]:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    heard = _Heard(context.Queue())
    workers = min(machine.workers, len(units))
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_open_worker, initargs=(heard.told, os.getpid())
    ) as pool:
        try:
            failed = _dispatch(units, machine, pool, heard)
        except (BrokenProcessPool, EOFError, ConnectionError) as error:
            ended = heard.seen - others
            for process in ended:
                process.join(timeout=ENDS_S)  # its exit code is known once it has been waited for
            raise _broken(workers, [p.exitcode for p in ended if p.exitcode]) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    _pass_on(heard)  # what workers told last comes when they have ended
    return failed


def _dispatch(
    units: Sequence[Unit], machine: Machine, pool: ProcessPoolExecutor, heard: _Heard
) -> dict[str, UserError]:
    hangs = urgency(units)
    waiting = sorted(units, key=lambda u: -hangs[u.key])
    open_keys = {u.key for u in units}  # what is not in it was in the store before
    running: dict[Future[None], Unit] = {}
    failed: dict[str, UserError] = {}
    while waiting or running:
        for unit in [u for u in waiting if u.needs in failed]:
            failed[unit.key] = failed[str(unit.needs)]
            waiting.remove(unit)
        for unit in [u for u in waiting if u.needs not in open_keys][: machine.workers - len(running)]:
            waiting.remove(unit)
            running[pool.submit(_work, unit, machine)] = unit
            heard.seen.update(multiprocessing.active_children())
        done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
        for future in done:
            unit = running.pop(future)
            error = future.exception()
            if isinstance(error, UserError) and not isinstance(error, WorkerError):
                failed[unit.key] = error
            elif error is not None:
                raise error
            else:
                open_keys.discard(unit.key)
        _pass_on(heard)
        report(Progress("units", len(units) - len(waiting) - len(running), len(units), slot=0))
    return failed


def _pass_on(heard: _Heard) -> None:
    """Pass on what workers told: progress, and notices, each once however many workers had it."""
    while True:
        try:
            one = heard.told.get_nowait()
        except queue.Empty:
            return
        if isinstance(one, Progress):
            report(one)
        elif one not in heard.said:
            heard.said.add(one)
            notice.notice(one)


def _broken(workers: int, codes: Sequence[int]) -> WorkerError:
    """Say how a pool broke: by the exit code of the worker that ended first; the others were told to end (SIGTERM)."""
    codes = [c for c in codes if c != -signal.SIGTERM] or list(codes)
    where, kept = f"--workers {workers}", "what is finished is kept"
    if not codes:
        mend = f"run the same command with --workers 1, which makes everything in this process; {kept}"
        return WorkerError("no worker could be started; what it said stands above", where=where, mend=mend)
    if codes[0] == -signal.SIGKILL:
        mend = f"run the same command again with fewer workers; {kept}"
        return WorkerError("a worker was killed, perhaps because memory ran out", where=where, mend=mend)
    how = f"by {signal.Signals(-codes[0]).name}" if codes[0] < 0 else f"with exit code {codes[0]}"
    mend = f"run the same command with --workers 1, which shows where it happens; {kept}"
    return WorkerError(f"a worker ended {how}; what it said stands above", where=where, mend=mend)


_label = ""
_unable: list[UserError] = []  # why this worker cannot work


def _work(unit: Unit, machine: Machine) -> None:
    global _label
    if _unable:
        raise _unable[0]
    _label = unit.label
    make_unit(unit, machine)


def _open_worker(told: Any, parent: int) -> None:
    notice.quiet_libraries()
    try:
        _single_thread()
    except Exception as error:  # raised here, it would break the pool, and nobody would hear what it was
        _unable.append(_why(error))
    last = [0.0]

    def tell(progress: Progress) -> None:
        now = time.monotonic()
        if now - last[0] > 0.2 or progress.done == progress.total:
            last[0] = now
            told.put(Progress(f"{_label}: {progress.what}", progress.done, progress.total, slot=os.getpid()))

    listener.set(tell)
    notice.listener.set(told.put)
    stay_open()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _why(error: Exception) -> WorkerError:
    extra = explained(error) if isinstance(error, ImportError) else None
    if extra is not None:
        return WorkerError(f"a worker did not start: {extra.what}", where="--workers", mend=extra.mend)
    mend = "run the same command with --workers 1, which shows where it happens"
    return WorkerError(f"a worker did not start: {type(error).__name__}: {error}", where="--workers", mend=mend)


def _end_with(parent: int) -> None:
    """End this worker when the command that started it is gone, killed perhaps: nobody would collect its work."""
    while True:
        time.sleep(0.5)
        try:
            os.kill(parent, 0)
        except OSError:
            os._exit(1)


def _single_thread() -> None:
    """Use one thread: two collapse beside a busy neighbour, and results must not depend on how many there are."""
    importlib.import_module("clbench.models.warm")
