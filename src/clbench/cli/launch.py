"""Start the ranks of a run on this machine, as torchrun would; one that ends takes the others with it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from clbench.core.errors import WorkerError
from clbench.engine.executors.ranks import STARTED_BY

LOOK_S = 0.1
SAYS_S = 15.0  # in which the other ranks may say what they miss
ENDS_S = 10.0  # in which they end that are told to


def launch(arguments: Sequence[str], processes: int) -> int:
    """Run a command as several ranks; return the exit code of the first that ends otherwise than well, else 0.

    Raises:
        WorkerError: A rank was killed.
    """
    command = [sys.executable, "-P", "-m", "clbench", *arguments]
    common = {**os.environ, **_meeting_place(), "WORLD_SIZE": str(processes), STARTED_BY: str(os.getpid())}
    common["LOCAL_WORLD_SIZE"] = common["WORLD_SIZE"]
    ranks: list[subprocess.Popen[bytes]] = []
    try:
        for rank in range(processes):
            ranks.append(subprocess.Popen(command, env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)}))
        first = _first_to_fail(ranks)
        if first is not None:
            _wait(ranks, SAYS_S)
    finally:
        _end(ranks)
    return 0 if first is None else _code_of(first, ranks[first].returncode)


def _meeting_place() -> Mapping[str, str]:
    """Return where ranks of one machine meet: a port that is free now, and the interface that never leaves it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    found = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if sys.platform == "linux" and "GLOO_SOCKET_IFNAME" not in os.environ:
        found["GLOO_SOCKET_IFNAME"] = "lo"
    return found


def _first_to_fail(ranks: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """Wait until a rank ends otherwise than well, and return which; None when all have ended well."""
    while True:
        codes = [rank.poll() for rank in ranks]
        failed = [rank for rank, code in enumerate(codes) if code]
        if failed:
            # Of several that ended between two looks, the one that was killed is the cause.
            return min(failed, key=lambda rank: (codes[rank] or 0, rank))
        if None not in codes:
            return None
        time.sleep(LOOK_S)


def _wait(ranks: Sequence[subprocess.Popen[bytes]], seconds: float) -> None:
    until = time.monotonic() + seconds
    while any(rank.poll() is None for rank in ranks) and time.monotonic() < until:
        time.sleep(LOOK_S)


def _end(ranks: Sequence[subprocess.Popen[bytes]]) -> None:
    """End the ranks that are left, first by word and then by force."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for rank in ranks:
            if rank.poll() is None:
                with suppress(ProcessLookupError):
                    rank.send_signal(number)
        _wait(ranks, ENDS_S)


def _code_of(rank: int, code: int) -> int:
    if code > 0:
        return code  # it has said why
    how = "was killed, perhaps because memory ran out" if code == -signal.SIGKILL else f"ended by {_name(-code)}"
    mend = "run the same command again, with --shard, --micro-batch or fewer processes; what is finished is kept"
    raise WorkerError(how, where=f"rank {rank}", mend=mend)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
