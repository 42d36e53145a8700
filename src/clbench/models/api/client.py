"""An asynchronous client of OpenAI-compatible addresses on aiohttp: every try is ours, none is hidden in an SDK."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from clbench.core.chat import Reply
from clbench.core.events import notice
from clbench.core.extras import need
from clbench.models.api.errors import ApiError, Failure, failure_in, failure_of, stopped
from clbench.models.api.limits import Limits
from clbench.models.api.reply import Completion, body_of_stream, completion_of, reply_of

if TYPE_CHECKING:
    import aiohttp

PUBLIC = "https://api.openai.com/v1"
CHARS_PER_TOKEN = 4  # a guess that is corrected by the usage of each reply
LONGEST_PAUSE = 60.0
OnFailure = Callable[[Failure, int], None]
R = TypeVar("R", Reply, Completion)
Read = Callable[[Any, float, int], R | None]  # a body, seconds, attempts -> what it holds


@dataclass(frozen=True)
class Address:
    """Where and how to ask.

    Attributes:
        base_url: The address up to and without `/chat/completions`.
        key: The key; it is never logged.
        timeout: Seconds for one request.
        tries: Most requests for one answer.
        retry_delay: Seconds before the second try; each later one waits twice as long, up to a minute.
        patience: How many times as many requests are made where the provider asks to slow down.
    """

    base_url: str = PUBLIC
    key: str = ""
    timeout: float = 600.0
    tries: int = 3
    retry_delay: float = 3.0
    patience: int = 10

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine."""
        return self.base_url.partition("//")[2].startswith(("127.0.0.1", "localhost", "[::1]"))

    @property
    def is_public(self) -> bool:
        """Whether it is OpenAI's own address, which takes parameters that others refuse."""
        return self.base_url.startswith(PUBLIC)


class Asks(Protocol):
    """Whatever answers requests: a client of an address, or a model in this process."""

    address: Address

    async def __aenter__(self) -> Asks: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def chat(self, body: dict[str, Any]) -> Reply:
        """Return the reply to a request."""
        ...


class Client:
    """Asks one address; use it as an asynchronous context manager.

    Args:
        address: Where and how.
        limits: How fast; share them between clients of one account.
        on_failure: Called with every failed request and its number, also those that are tried again.

    Raises:
        ExtraError: aiohttp is not installed.
    """

    def __init__(self, address: Address, limits: Limits, on_failure: OnFailure | None = None) -> None:
        need("context", "aiohttp", "asking a model over HTTP")
        self.address = address
        self.limits = limits
        self._on_failure = on_failure
        self._session: aiohttp.ClientSession | None = None
        self._told = False

    async def __aenter__(self) -> Client:
        import aiohttp

        headers = {"Authorization": f"Bearer {self.address.key}"} if self.address.key else {}
        timeout = aiohttp.ClientTimeout(total=self.address.timeout)
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(
            headers=headers,
            timeout=timeout,
            connector=connector,
            trust_env=not self.address.is_here,  # proxies are for the world outside
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def chat(self, body: dict[str, Any]) -> Reply:
        """Ask for one reply, and try again where that helps.

        Args:
            body: The request as JSON.

        Returns:
            The reply.

        Raises:
            ApiError: The request failed for good.
            ModelError: So many requests were refused for a reason that stops all of them that the run ends.
        """
        reply = await self._ask("/chat/completions", body, reply_of)
        used, written = reply.usage, len(reply.text or "") + len(reply.reasoning) + len(reply.refusal)
        if used.prompt and (used.completion or not written):
            return reply
        usage = replace(
            used,
            prompt=used.prompt or int(guessed_tokens(body)),
            completion=used.completion or written // CHARS_PER_TOKEN + 1,
        )
        self._tell_guess()
        return replace(reply, usage=usage, guessed=True)

    def _tell_guess(self) -> None:
        """Say once that the provider does not say what a reply took: money must not look free."""
        if not self._told:
            self._told = True
            where = self.address.base_url
            notice(f"{where} does not say how many tokens a reply took: they are guessed, four characters a token")

    async def complete(self, body: dict[str, Any]) -> Completion:
        """Let the model go on with a prompt; arguments and errors are those of `chat`."""
        return await self._ask("/completions", body, completion_of)

    async def once(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return what a path gives as JSON, or as text if it cannot be read as that: POST with a body, else GET.

        Raises:
            ApiError: The request failed.
        """
        found = await self._send(path, body)
        if isinstance(found, Failure):
            raise ApiError(found, 1)
        return found.body

    async def _ask(self, path: str, body: dict[str, Any], read: Read[R]) -> R:
        attempt = 0
        while True:
            attempt += 1
            if self.limits.breaker.is_open and self.limits.breaker.failure is not None:
                raise stopped(self.limits.breaker.failure, self.address.base_url)
            found = await self._try_within_limits(path, body, read, attempt)
            if not isinstance(found, Failure):
                return found
            if self._on_failure is not None:
                self._on_failure(found, attempt)
            most = self.address.tries * (self.address.patience if found.code == "rate" else 1)
            if found.kind != "retry" or attempt >= most:
                raise ApiError(found, attempt)
            await asyncio.sleep(self._pause_after(found, attempt))

    async def _try_within_limits(self, path: str, body: dict[str, Any], read: Read[R], attempt: int) -> R | Failure:
        limits, guess = self.limits, guessed_tokens(body)
        await limits.concurrency.enter()
        try:
            await limits.wait(guess)
            found = await self._try(path, body, read, attempt)
        finally:
            limits.concurrency.leave()
        if not isinstance(found, Failure):
            limits.concurrency.succeeded()
            limits.breaker.succeeded()
            limits.tokens.correct((found.usage.total or guess) - guess)
            return found
        if found.code in ("rate", "server", "timeout"):
            limits.concurrency.overloaded()
        if found.retry_after is not None and found.kind == "retry":
            if found.retry_after > LONGEST_PAUSE:
                notice(
                    f"{self.address.base_url} asks to wait {found.retry_after:.0f} s, and that is done: {found.said}"
                )
            limits.pause(found.retry_after)
        if found.kind == "run":
            limits.breaker.failed(found)
        return found

    async def _try(self, path: str, body: dict[str, Any], read: Read[R], attempt: int) -> R | Failure:
        started = time.monotonic()
        found = await self._send(path, body)
        if isinstance(found, Failure):
            return found
        came = body_of_stream(found.body) or found.body if isinstance(found.body, str) else found.body
        if isinstance(came, str):
            said = " ".join(came.split())[:100] or "nothing"
            return Failure("body", f"the reply is not JSON: {said}", found.status)
        return read(came, time.monotonic() - started, attempt) or failure_in(found.status, came)

    async def _send(self, path: str, body: dict[str, Any] | None) -> _Came | Failure:
        import aiohttp

        assert self._session is not None, "the client is used as a context manager"
        url = f"{self.address.base_url.rstrip('/')}{path}"
        sent = self._session.get(url) if body is None else self._session.post(url, json=body)
        try:
            async with sent as response:
                text = await response.text(encoding="utf-8", errors="replace")
                status, wait = response.status, response.headers.get("Retry-After")
        except TimeoutError:
            return Failure("timeout", f"no complete reply within {self.address.timeout:g} s")
        except aiohttp.ClientPayloadError as error:
            return Failure("body", str(error)[:200] or "the reply was cut short")
        except (aiohttp.ClientError, OSError) as error:
            return Failure("connection", str(error)[:200] or type(error).__name__)
        try:
            found = json.loads(text.removeprefix("\ufeff"))
        except (ValueError, RecursionError):
            found = text
        return failure_of(status, found, wait) if status >= 400 else _Came(status, found)

    def _pause_after(self, failure: Failure, attempt: int) -> float:
        """Return the seconds before the next try: as the provider asks, else twice as long each time, jittered."""
        if failure.retry_after is not None:  # not all at the same moment
            return failure.retry_after * random.uniform(1.0, 1.5)
        longest = min(LONGEST_PAUSE, self.address.retry_delay * 2 ** (attempt - 1))
        return longest * random.uniform(0.5, 1.0)


class _Came(NamedTuple):
    """What came back: the HTTP status, and the body as JSON, or as text if it cannot be read as that."""

    status: int
    body: Any


def guessed_tokens(body: dict[str, Any]) -> float:
    """Return about how many tokens a request will take, before a provider has counted them."""
    if "prompt" in body:
        return len(body["prompt"]) + 1.0  # its tokens
    chars = sum(len(str(m.get("content") or "")) for m in body.get("messages", ()))
    return chars / CHARS_PER_TOKEN + 1
