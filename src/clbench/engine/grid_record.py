"""What is going on in a grid: a file for each process that makes it, in the store, which other commands read."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from clbench.core.atomic_write import write_atomically
from clbench.core.keys import digest
from clbench.core.process import is_alive
from clbench.core.spec import Machine, RunSpec
from clbench.engine.executors.executor import UnitEvent
from clbench.store.stage import here

FOLDER = "grids"
STOP = "stop"  # a file beside the records: no other unit begins
EVERY_S = 1.0  # between two writings of a record
SILENT_S = 120.0  # after which a process on another machine that writes nothing counts as gone
PATIENCE_S = 15.0  # at most, between two writings of a record in which nothing happens


@dataclass
class Driver:
    """A process that makes a grid.

    Attributes:
        where, pid: Which it is.
        executor, workers: Where the units are made, and how many side by side at most.
        began, written: When it began, and when this was written, in seconds of the clock.
        ended: Whether it is done.
        stopped: Why it stopped, "" if it did not.
        due, made, lost: Units that were to be made, are made, and were begun again.
        weight, weight_made: Examples to be walked in those, and in what is made of them.
        running: Label of a unit -> when it began.
        failed: Key of a unit that could not be made -> its label and why.
    """

    where: str
    pid: int
    executor: str = "processes"
    workers: int = 1
    began: float = 0.0
    written: float = 0.0
    ended: bool = False
    stopped: str = ""
    due: int = 0
    made: int = 0
    lost: int = 0
    weight: int = 0
    weight_made: int = 0
    running: dict[str, float] = field(default_factory=dict)
    failed: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def lives(self) -> bool:
        """Whether it is at work, as far as can be told."""
        if self.ended:
            return False
        return is_alive(self.pid) if self.where == here() else time.time() - self.written < SILENT_S

    @property
    def seconds_left(self) -> float | None:
        """Seconds until it is done, if all goes on as fast; None before anything is made."""
        done, whole = self.weight_made + self.made, self.weight + self.due
        return (time.time() - self.began) * (whole - done) / done if done else None


def grid_folder(store: Path, name: str, specs: Sequence[RunSpec]) -> Path:
    """Return where the records of a grid lie: by its name and its runs, so that a changed recipe is another grid."""
    return store / FOLDER / f"{name}-{digest(sorted(spec.key for spec in specs))[:8]}"


def drivers(folder: Path) -> Iterator[Driver]:
    """Yield the processes that made a grid, or make it; a file that cannot be read is left out."""
    for path in sorted(folder.glob("*.json")):
        with suppress(OSError, ValueError, TypeError):
            yield Driver(**json.loads(path.read_text(encoding="utf-8")))


class GridRecord:
    """The record of this process, written while it makes a grid."""

    def __init__(self, folder: Path, machine: Machine) -> None:
        """Begin it; records of processes that are gone, and an old order to stop, are removed."""
        self.folder = folder
        self.driver = Driver(here(), os.getpid(), machine.executor, machine.workers, began=time.time())
        self._path = folder / f"{here()}-{os.getpid()}.json"
        folder.mkdir(parents=True, exist_ok=True)
        others = list(drivers(folder))
        for one in others:
            if not one.lives:
                (folder / f"{one.where}-{one.pid}.json").unlink(missing_ok=True)
        if not any(one.lives for one in others):
            (folder / STOP).unlink(missing_ok=True)
        self._write()

    def hear(self, event: UnitEvent) -> None:
        """Take an event in."""
        driver, unit = self.driver, event.unit
        if event.what == "due":
            driver.due += 1
            driver.weight += unit.weight
            return
        if event.what == "began":
            driver.running[unit.label] = time.time()
        else:
            driver.running.pop(unit.label, None)
        driver.made += event.what == "made"
        driver.weight_made += unit.weight if event.what == "made" else 0
        driver.lost += event.what == "lost"
        if event.what == "failed":
            driver.failed[unit.key] = (unit.label, event.why)
        self._write(EVERY_S)

    def is_stopped(self) -> bool:
        """Return whether `clbench grid cancel` has asked for an end; called often, it keeps the record fresh."""
        self._write(PATIENCE_S)
        return (self.folder / STOP).exists()

    def end(self, stopped: str = "") -> None:
        """Write that the process is done."""
        self.driver.ended, self.driver.stopped = True, stopped
        self.driver.running.clear()
        self._write()

    def _write(self, after_s: float = 0.0) -> None:
        if time.time() - self.driver.written < after_s:
            return
        self.driver.written = time.time()
        write_atomically(self._path, json.dumps(asdict(self.driver), ensure_ascii=False))


def hours_over(hours: float, clock: Callable[[], float] = time.monotonic) -> Callable[[], str]:
    """Return what says when so many hours are over, counted from now."""
    until = clock() + 3600 * hours
    return lambda: f"the {hours:g} hours of --max-hours are over" if clock() >= until else ""


def first_reason(reasons: Sequence[Callable[[], str]]) -> Callable[[], str]:
    """Return what gives the first reason to stop that there is."""
    return lambda: next((why for reason in reasons if (why := reason())), "")


def failed_before(folder: Path) -> dict[str, tuple[str, str]]:
    """Return the units that could not be made when the grid was last made: key -> (label, why)."""
    found: dict[str, Any] = {}
    for driver in drivers(folder):
        found |= {key: (str(label), str(why)) for key, (label, why) in driver.failed.items()}
    return found


def stopped_before(folder: Path) -> str:
    """Return what stopped a grid when it was last made, "" if nothing did."""
    found = sorted(drivers(folder), key=lambda driver: -driver.written)
    return next((str(driver.stopped) for driver in found if driver.stopped), "")
