"""Runs jobs in groups: the first of a group alone, then its siblings; a stop lets what is in flight come to its end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from clbench.core.errors import UserError
from clbench.core.events import Progress, report_progress

J = TypeVar("J")


@dataclass
class Stop:
    """Whether a run is to end early, and why."""

    error: UserError | None = field(default=None)


async def run_groups(
    groups: Sequence[Sequence[J]], do: Callable[[J], Awaitable[None]], width: int, what: str, stop: Stop
) -> None:
    """Do all jobs.

    Args:
        groups: Jobs that share a prefix stand in one group; its first job is done before the others start.
        do: Does one job. A `UserError` that it raises stops the run: nothing new starts, what is in flight is finished.
        width: How many groups are open at a time.
        what: What the work is called in reports of progress.
        stop: Where the reason of a stop is noted.
    """
    waiting = deque(groups)
    total, done = sum(map(len, groups)), 0

    async def one(job: J) -> None:
        nonlocal done
        if stop.error is not None:
            return
        try:
            await do(job)
        except UserError as error:
            stop.error = stop.error or error
            return
        done += 1
        report_progress(Progress(what, done, total, slot=0))

    async def worker() -> None:
        while waiting and stop.error is None:
            group = waiting.popleft()
            await one(group[0])
            await asyncio.gather(*(one(job) for job in group[1:]))

    await asyncio.gather(*(worker() for _ in range(min(width, len(waiting)))))
