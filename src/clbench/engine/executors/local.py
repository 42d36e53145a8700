"""Make units on this machine: in this process, or in several, one thread each.

Workers are forked from a server that has imported torch once, since an import costs seconds per process and a
process that already runs threads must not be forked.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from clbench.core.errors import StoreError, UserError
from clbench.core.progress import Progress, listener, report
from clbench.core.spec import Machine
from clbench.engine.opening import stay_open
from clbench.engine.schedule import Unit, urgency
from clbench.engine.work import make_unit

PRELOAD = ["clbench.models.warm", "clbench.engine.work"]


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
    told: Any = context.Queue()
    workers = min(machine.workers, len(units))
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_open_worker, initargs=(told, os.getpid())
    ) as pool:
        try:
            return _dispatch(units, machine, pool, told)
        except BrokenProcessPool as error:
            raise StoreError(
                "a worker was killed, perhaps because memory ran out",
                where=f"--workers {workers}",
                mend="run the same command again with fewer workers; what is finished is kept",
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _dispatch(units: Sequence[Unit], machine: Machine, pool: ProcessPoolExecutor, told: Any) -> dict[str, UserError]:
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
        done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
        for future in done:
            unit = running.pop(future)
            error = future.exception()
            if isinstance(error, UserError):
                failed[unit.key] = error
            elif error is not None:
                raise error
            else:
                open_keys.discard(unit.key)
        _pass_on(told)
        report(Progress("units", len(units) - len(waiting) - len(running), len(units), slot=0))
    return failed


def _pass_on(told: Any) -> None:
    while True:
        try:
            report(told.get_nowait())
        except queue.Empty:
            return


_label = ""


def _work(unit: Unit, machine: Machine) -> None:
    global _label
    _label = unit.label
    make_unit(unit, machine)


def _open_worker(told: Any, parent: int) -> None:
    _single_thread()
    last = [0.0]

    def tell(progress: Progress) -> None:
        now = time.monotonic()
        if now - last[0] > 0.2 or progress.done == progress.total:
            last[0] = now
            told.put(Progress(f"{_label}: {progress.what}", progress.done, progress.total, slot=os.getpid()))

    listener.set(tell)
    stay_open()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


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
