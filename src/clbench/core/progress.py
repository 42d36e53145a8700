"""Progress as an event: rooms report it, the command line shows it. Nothing is printed here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TypeVar

from clbench.core.plain import plain

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """How far a piece of work is.

    Attributes:
        what: "lesson 2", "asking trec6", ...
        done, total: Units done and to be done.
        slot: 0 is the whole work, 1.. the worker that reports.
    """

    what: str
    done: int
    total: int
    slot: int = 1


listener: ContextVar[Callable[[Progress], None] | None] = ContextVar("listener", default=None)


def report(progress: Progress) -> None:
    """Tell whoever listens; what strangers wrote into its name is made plain."""
    listen = listener.get()
    if listen is not None:
        listen(replace(progress, what=plain(progress.what)))


def track(items: Iterable[T], what: str, *, total: int, done: int = 0) -> Iterator[T]:
    """Walk `items` and report after each.

    Example:
        >>> list(track([1, 2], "counting", total=2))
        [1, 2]
    """
    for item in items:
        yield item
        done += 1
        report(Progress(what, done, total))
