"""The stub server: one process, one port, `/v1/chat/completions`; with a model of its own also `/v1/completions`."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clbench.core.extras import need
from clbench.testing.stub.completions import Completions
from clbench.testing.stub.prefix_cache import PrefixCache
from clbench.testing.stub.script import Behaviour, Script

if TYPE_CHECKING:
    from aiohttp import web

CHARS_PER_TOKEN = 4
MINUTE = 60.0


@dataclass
class Stub:
    """The server's settings and what it has seen.

    Attributes:
        script: What happens to each request.
        latency: Median seconds before a reply; each differs by up to a half.
        rpm: Requests a minute; more get a 429 with Retry-After.
        completions: What goes on with texts, lists models and loads adapters; None has no such paths.
        requests: Every request's body, in order.
        usage: Tokens over all replies: prompt, cached, completion.
        url: Its address, once it runs.
    """

    script: Script = field(default_factory=Script)
    latency: float = 0.0
    rpm: float | None = None
    completions: Completions | None = None
    cache: PrefixCache = field(default_factory=PrefixCache)
    keep_requests: bool = True
    requests: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]], init=False)
    num_requests: int = field(default=0, init=False)
    usage: dict[str, int] = field(default_factory=lambda: {"prompt": 0, "cached": 0, "completion": 0}, init=False)
    url: str = field(default="", init=False)
    _free: float = field(default=float("-inf"), init=False)

    async def start(self, host: str, port: int) -> web.AppRunner:
        """Start to serve; the runner that comes back is to be cleaned up."""
        need("context", "aiohttp", "the stub server")
        from aiohttp import web

        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/chat/completions", self._chat)
        if self.completions is not None:
            for path in ("completions", "load_lora_adapter", "unload_lora_adapter"):
                app.router.add_post(f"/v1/{path}", self._beside)
            app.router.add_get("/v1/models", self._beside)
            app.router.add_get("/version", self._beside)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        site = web.TCPSite(runner, host, port)
        await site.start()
        self.url = f"http://{host}:{runner.addresses[0][1]}/v1"
        return runner

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await self._taken(request)
        if (wait := self._too_many()) > 0:
            return _refused(Behaviour("too many requests", status=429, code="rate_limit", retry_after=wait))
        done = self.script.behaviour(body)
        cached = self.cache.cached_chars(body["messages"])  # what is cached when the request comes
        await asyncio.sleep(done.delay + self.latency * random.uniform(0.5, 1.5))
        if done.body is not None:
            return _as_it_is(done)
        if done.status >= 400:
            return _refused(done)
        return await _sent(request, self._completion(body, done, cached), torn=done.torn)

    async def _beside(self, request: web.Request) -> web.StreamResponse:
        assert self.completions is not None, "it has no such path without them"
        path = request.path.rpartition("/")[2]
        body = await self._taken(request) if request.method == "POST" else {}
        if path == "completions" and (wait := self._too_many()) > 0:
            return _refused(Behaviour("too many requests", status=429, code="rate_limit", retry_after=wait))
        answers = {"completions": self.completions.complete, "models": self.completions.listed}
        answers |= {"version": self.completions.release, "load_lora_adapter": self.completions.load}
        answers |= {"unload_lora_adapter": self.completions.unload}
        found = await asyncio.to_thread(answers[path], body)
        if isinstance(found, Behaviour):
            await asyncio.sleep(found.delay)
            return _refused(found) if found.status >= 400 else await _sent(request, {}, torn=found.torn)
        return await _sent(request, found)

    async def _taken(self, request: web.Request) -> dict[str, Any]:
        body: dict[str, Any] = await request.json()
        self.num_requests += 1
        if self.keep_requests:
            self.requests.append(body)
        return body

    def _too_many(self) -> float:
        """Return the seconds until a request is allowed again, 0 if this one is; a burst of two seconds is."""
        if self.rpm is None:
            return 0.0
        now, each = time.monotonic(), MINUTE / self.rpm
        start = max(self._free, now - 2.0)
        if start > now:
            return start - now
        self._free = start + each
        return 0.0

    def _completion(self, body: dict[str, Any], done: Behaviour, cached_chars: int) -> dict[str, Any]:
        messages = body["messages"]
        prompt = sum(len(str(m.get("content"))) for m in messages) // CHARS_PER_TOKEN
        cached = min(prompt, cached_chars // CHARS_PER_TOKEN)
        completion = len(done.content or "") // CHARS_PER_TOKEN + 1
        self.cache.finished(messages)
        for name, num in (("prompt", prompt), ("cached", cached), ("completion", completion)):
            self.usage[name] += num
        message = {"role": "assistant", "content": done.content}
        return {
            "id": f"stub-{self.num_requests}",
            "object": "chat.completion",
            "model": f"{body.get('model', '')}-stub",
            "choices": [{"index": 0, "message": message, "finish_reason": done.finish_reason}],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": prompt + completion,
                "prompt_tokens_details": {"cached_tokens": cached},
            },
        }


async def _sent(request: web.Request, body: dict[str, Any], *, torn: bool = False) -> web.StreamResponse:
    """Send a body; a torn one breaks off in the middle, and the connection with it."""
    from aiohttp import web

    text = json.dumps(body, ensure_ascii=False)
    if not torn:
        return web.Response(text=text, content_type="application/json")
    response = web.StreamResponse(headers={"Content-Length": str(len(text.encode()))})
    await response.prepare(request)
    await response.write(text.encode()[: len(text) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


def _as_it_is(done: Behaviour) -> web.Response:
    from aiohttp import web

    if isinstance(done.body, str):
        return web.Response(text=done.body, status=done.status, content_type="text/html")
    return web.json_response(done.body, status=done.status)


def _refused(done: Behaviour) -> web.Response:
    from aiohttp import web

    headers = {} if done.retry_after is None else {"Retry-After": f"{done.retry_after:.3f}"}
    error = {"error": {"message": done.content, "code": done.code}}
    return web.json_response(error, status=done.status, headers=headers)


@contextmanager
def running(stub: Stub, host: str = "127.0.0.1", port: int = 0) -> Generator[Stub]:
    """Serve in a thread inside of the block.

    Example:
        >>> with running(Stub()) as stub:
        ...     stub.url.startswith("http://127.0.0.1:")
        True
    """
    loop, ready = asyncio.new_event_loop(), threading.Event()
    failed: list[BaseException] = []

    async def serve() -> None:
        try:
            runner = await stub.start(host, port)
        except BaseException as error:
            failed.append(error)
            return
        finally:
            ready.set()
        try:
            await stop.wait()
        finally:
            await runner.cleanup()

    stop = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    ready.wait()
    try:
        if failed:
            raise failed[0]
        yield stub
    finally:
        if thread.is_alive():
            loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
