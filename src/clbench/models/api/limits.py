"""How fast a provider is asked: adaptive concurrency, requests and tokens a minute, pauses, and a breaker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from clbench.models.api.errors import Failure

Clock = Callable[[], float]


@dataclass
class Concurrency:
    """A limit on requests in flight: one more after as many successes, half after an overload (AIMD).

    Attributes:
        most: The upper bound, with which it starts.
        calm: Seconds after a cut in which another overload does not cut again: it tells of the same moment.
    """

    most: int
    calm: float = 1.0
    clock: Clock = time.monotonic
    limit: float = field(init=False)
    in_flight: int = field(default=0, init=False)
    _cut_at: float = field(default=float("-inf"), init=False)
    _waiting: list[asyncio.Future[None]] = field(default_factory=list[asyncio.Future[None]], init=False)

    def __post_init__(self) -> None:
        self.limit = float(self.most)

    async def enter(self) -> None:
        """Wait for a place."""
        while self.in_flight >= int(self.limit):
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            try:
                await place
            except asyncio.CancelledError:
                self._wake()
                raise
        self.in_flight += 1

    def leave(self) -> None:
        """Free a place."""
        self.in_flight -= 1
        self._wake()

    def succeeded(self) -> None:
        """Note a success: the limit grows by one after as many of them."""
        self.limit = min(float(self.most), self.limit + 1 / self.limit)
        self._wake()

    def overloaded(self) -> None:
        """Note that the provider is overloaded: the limit is halved, once a moment."""
        now = self.clock()
        if now - self._cut_at >= self.calm:
            self.limit, self._cut_at = max(1.0, self.limit / 2), now

    def _wake(self) -> None:
        free = int(self.limit) - self.in_flight
        while free > 0 and self._waiting:
            place = self._waiting.pop(0)
            if not place.done():
                place.set_result(None)
                free -= 1


@dataclass
class Bucket:
    """A rate a minute, with a burst of `burst` seconds; None does not limit."""

    per_minute: float | None
    burst: float = 1.0
    clock: Clock = time.monotonic
    _due: float = field(default=float("-inf"), init=False)

    def reserve(self, amount: float) -> float:
        """Take an amount and return the seconds to wait before it may be used.

        Example:
            >>> bucket = Bucket(60, burst=0, clock=lambda: 0.0)
            >>> bucket.reserve(1), bucket.reserve(1), bucket.reserve(1)
            (0.0, 1.0, 2.0)
        """
        if self.per_minute is None:
            return 0.0
        now = self.clock()
        start = max(self._due, now - self.burst)
        self._due = start + amount * 60 / self.per_minute
        return max(0.0, start - now)

    def correct(self, amount: float) -> None:
        """Add what was taken too little, or give back what was taken too much."""
        if self.per_minute is not None:
            self._due += amount * 60 / self.per_minute


@dataclass
class Breaker:
    """Opens after `most` errors in a row that would stop any request, such as a refused key."""

    most: int = 3
    failure: Failure | None = field(default=None, init=False)
    _in_a_row: int = field(default=0, init=False)

    @property
    def is_open(self) -> bool:
        """Whether nothing more should be asked."""
        return self._in_a_row >= self.most

    def succeeded(self) -> None:
        """Note a reply: what came before was not for good."""
        self._in_a_row = 0

    def failed(self, failure: Failure) -> None:
        """Note an error that stops the run."""
        self._in_a_row += 1
        self.failure = failure


@dataclass
class Limits:
    """All limits of one address together."""

    concurrency: Concurrency
    requests: Bucket = field(default_factory=lambda: Bucket(None))
    tokens: Bucket = field(default_factory=lambda: Bucket(None))
    breaker: Breaker = field(default_factory=Breaker)
    clock: Clock = time.monotonic
    _paused_until: float = field(default=float("-inf"), init=False)

    def pause(self, seconds: float) -> None:
        """Let no request start for some seconds, since the provider asks for it."""
        self._paused_until = max(self._paused_until, self.clock() + seconds)

    async def wait(self, tokens: float) -> None:
        """Wait until a request of this many tokens may start."""
        delay = max(self.requests.reserve(1), self.tokens.reserve(tokens))
        if delay > 0:
            await asyncio.sleep(delay)
        while (left := self._paused_until - self.clock()) > 0:
            await asyncio.sleep(left)


def limits_of(workers: int, rpm: float | None = None, tpm: float | None = None) -> Limits:
    """Return limits as the command line names them."""
    return Limits(Concurrency(workers), Bucket(rpm), Bucket(tpm, burst=5.0))
