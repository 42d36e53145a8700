"""What a run is about, opened from its spec; within `opened_once` the same stream and exams are read once."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from clbench.core.keys import canonical
from clbench.core.spec import Machine, RunSpec
from clbench.core.types import Exam, Stream
from clbench.data.exam import open_exams
from clbench.data.stream import open_stream

Opened = tuple[Stream, tuple[Exam, ...]]

_known: ContextVar[dict[str, Opened] | None] = ContextVar("opened", default=None)


@contextmanager
def opened_once() -> Generator[None]:
    """Open equal streams and exams once inside the block: cards and data are taken to stay as they are meanwhile."""
    before = _known.get()
    stay_open()
    try:
        yield
    finally:
        _known.set(before)


def stay_open() -> None:
    """Do the same for the rest of a worker's life."""
    if _known.get() is None:
        _known.set({})


def opened(spec: RunSpec, machine: Machine) -> Opened:
    """Give a run's stream and its exams: own tasks first, then the fixed ones.

    Raises:
        DataError: A card, its data or a row is wrong.
    """
    known = _known.get()
    about = canonical([spec.stream, spec.exams, spec.budget.items, machine.data])
    if known is not None and about in known:
        return known[about]
    stream = open_stream(spec.stream, machine.data)  # cards -> pinned, digested tasks
    found = (stream, open_exams(spec.exams, stream, spec.budget.items, machine.data))
    if known is not None:
        known[about] = found
    return found
