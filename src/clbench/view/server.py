"""A server that answers this machine's browser alone, and reads alone.

What can be asked for are names in a table, never paths: nothing outside of it can be reached. A page of somebody else
in the same browser cannot ask either: requests that name another host, or come from another site, are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from clbench.core.errors import SpecError

HOST = "127.0.0.1"
PLAIN = re.compile(r"/(?:[A-Za-z0-9_@+=~-][A-Za-z0-9._@+=~-]*/?)*")  # no `..`, `//`, `%`, backslash or question
LONG_S = 30.0  # that a request may take to arrive
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Page:
    """What is sent: its kind ("text/html; charset=utf-8"), and its bytes."""

    kind: str
    body: bytes


Find = Callable[[str], Page | None]
"""The path of a request, without a leading `/` -> the page; None where there is none."""


def serve(find: Find, port: int) -> ThreadingHTTPServer:
    """Return a server that listens on this machine; `serve_forever` lets it answer.

    Args:
        find: Gives the pages; called from several threads.
        port: Where; 0 is one that is free.

    Raises:
        SpecError: Another program listens there.
    """

    class Answering(_Request):
        pages = staticmethod(find)

    try:
        server = ThreadingHTTPServer((HOST, port), Answering)
    except OSError as error:
        raise SpecError(
            f"nothing can listen at port {port}: {error.strerror}", where="--port", mend="leave it out"
        ) from error
    server.daemon_threads = True
    return server


class _Request(BaseHTTPRequestHandler):
    """One request: refused, or looked up by its whole path."""

    pages: Find
    timeout = LONG_S
    server_version, sys_version = "clbench", ""

    def do_GET(self) -> None:  # the library calls it by the method's name
        """Answer with a page, or say why not."""
        why = self._refused()
        if why is not None:
            self._send(*why)
            return
        try:
            page = self.pages(self.path.removeprefix("/"))
        except Exception as error:  # one page that cannot be drawn ends nothing
            self._send(500, f"this page cannot be drawn: {type(error).__name__}: {str(error)[:300]}")
            return
        if page is None:
            self._send(404, "there is no such page")
        else:
            self._write(200, page)

    def _other(self) -> None:
        self._send(405, "only GET is answered", {"Allow": "GET"})

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = _other  # as above

    def _refused(self) -> tuple[int, str] | None:
        port = self.connection.getsockname()[1]
        ours = {f"{name}:{port}" for name in (HOST, "localhost")}
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or hosts[0].strip().lower() not in ours:
            return 403, "this server answers to localhost alone"
        origin = self.headers.get("Origin")
        if origin is not None and origin not in {f"http://{name}" for name in ours}:
            return 403, "another site may not ask"
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return 403, "another site may not ask"
        return None if PLAIN.fullmatch(self.path) else (400, "this is not the path of a page")

    def _send(self, code: int, text: str, more: dict[str, str] | None = None) -> None:
        self._write(code, Page("text/plain; charset=utf-8", f"{text}\n".encode()), more)

    def _write(self, code: int, page: Page, more: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {**HEADERS, **(more or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", page.kind)
        self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.body)

    def log_message(self, format: str, *args: object) -> None:  # the library's name
        """Say nothing: the terminal is the user's."""
