"""Run asynchronous work to its end from code that is not asynchronous, in notebooks too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from clbench.core.errors import UserError
from clbench.core.events import Progress, report_progress

J = TypeVar("J")
T = TypeVar("T")


def finished(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Return what asynchronous work comes to."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    with ThreadPoolExecutor(1) as apart:  # a notebook has a loop of its own
        return apart.submit(lambda: asyncio.run(work())).result()


async def each_of(jobs: Sequence[J], do: Callable[[J], Awaitable[T]], what: str) -> list[T]:
    """Do all jobs side by side, and return what each came to, in order.

    Args:
        jobs: What is to be done.
        do: Does one job. Once it raises a `UserError`, nothing new is begun, and what is in flight comes to its end.
        what: What the work is called in reports of progress.

    Raises:
        UserError: The first that a job raised, when all have come to their end.
    """
    stop: list[UserError] = []
    found: dict[int, T] = {}

    async def one(place: int, job: J) -> None:
        if stop:
            return
        try:
            found[place] = await do(job)
        except UserError as error:
            stop.append(error)
        finally:
            report_progress(Progress(what, len(found), len(jobs)))

    await asyncio.gather(*(one(place, job) for place, job in enumerate(jobs)))
    if stop:
        raise stop[0]
    return [found[place] for place in range(len(jobs))]
