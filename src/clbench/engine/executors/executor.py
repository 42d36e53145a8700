"""What an executor is: it makes units, some side by side, and any of its workers may die. Who looks on meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from clbench.core.errors import UserError, WorkerError
from clbench.engine.units import Run, Unit


class Made(NamedTuple):
    """What came of a unit that a worker has tried: nothing is wrong, or why it could not be made."""

    key: str
    error: UserError | None = None


class Ended(NamedTuple):
    """What a slot was given has come to an end.

    Attributes:
        slot: Which slot; it is free again.
        made: The units that were tried, in their order.
        lost: Why the worker is gone, where it is: what it was given beyond `made` has not been tried to the end.
        again: Whether it may be tried again, since the worker was ended from outside.
    """

    slot: int
    made: Sequence[Made]
    lost: WorkerError | None = None
    again: bool = True


class Executor(Protocol):
    """Where units are made. It is given only units of which all that they need is in the store.

    Attributes:
        slots: How many workers there are at most, numbered from 0. One that died is replaced when its slot is used.
        takes: Most units of a chain that a slot is given at a time: 1, or more where each call waits in a queue.
    """

    slots: int
    takes: int

    def start(self, slot: int, units: Sequence[Unit]) -> None:
        """Let a free slot make units, one after another; return at once."""
        ...

    def ended(self, within_s: float) -> Iterable[Ended]:
        """Return what has ended, after at most so many seconds.

        Raises:
            WorkerError: No worker can be had at all.
        """
        ...

    def halt(self) -> None:
        """Let workers that were given several units end after the one that they are at."""
        ...

    def close(self) -> None:
        """End all workers."""
        ...


@dataclass(frozen=True)
class UnitEvent:
    """Something that happened to a unit.

    Attributes:
        what: "due" before anything is made, "began", "made", "failed", "lost" with its worker (it is tried again), or
            "left" undone, since the work was stopped or what it needs is missing.
        unit: Which.
        why: Of "failed", "lost" and "left".
        slot: Of "began".
    """

    what: Literal["due", "began", "made", "failed", "lost", "left"]
    unit: Unit
    why: str = ""
    slot: int = 0


def _nobody(event: UnitEvent) -> None:
    del event


def _never() -> str:
    return ""


def _unseen(runs: Sequence[Run], units: Sequence[Unit]) -> None:
    del runs, units


@dataclass(frozen=True)
class Watch:
    """Who looks on while units are made, and may stop the work between two of them.

    Attributes:
        planned: Receives the runs and all their units, also those that are made, before anything begins.
        tell: Receives every event.
        pause: Returns why no other unit shall begin, "" as long as one may.
        only: The keys of units to be made, with what hangs on them; None is all.
    """

    planned: Callable[[Sequence[Run], Sequence[Unit]], None] = _unseen
    tell: Callable[[UnitEvent], None] = _nobody
    pause: Callable[[], str] = _never
    only: frozenset[str] | None = None


UNWATCHED = Watch()
