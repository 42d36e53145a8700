"""The server: what it answers, and what it refuses."""

import http.client
import socket
import threading
from contextlib import contextmanager

import pytest

from clbench.core.errors import SpecError
from clbench.view.server import Page, serve

PAGES = {"": Page("text/html", b"first"), "runs/a-1.0": Page("text/html", b"run"), "broken": None}
SECRET = b"secret"


def find(path):
    if path == "broken":
        raise ValueError("no")
    assert ".." not in path
    return PAGES.get(path)


@contextmanager
def served():
    server = serve(find, 0)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def port():
    with served() as found:
        yield found


def raw(port, text):
    """Send bytes as they are; return the status and the whole answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(text.encode("latin-1"))
        answer = b"".join(iter(lambda: line.recv(65536), b""))
    return int(answer.split()[1]), answer


def asked(port, path="/", method="GET", host=None, **headers):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host or f'127.0.0.1:{port}'}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return raw(port, "\r\n".join([*lines, "Connection: close", "", ""]))


def test_pages_are_found_by_their_whole_path(port):
    assert asked(port)[0] == 200
    code, answer = asked(port, "/runs/a-1.0", host=f"localhost:{port}")
    assert (code, answer.endswith(b"run")) == (200, True)
    assert b"Content-Security-Policy: default-src 'none'" in answer
    assert b"nosniff" in answer
    assert asked(port, "/nothing")[0] == 404
    code, answer = asked(port, "/broken")
    assert (code, b"ValueError: no" in answer) == (500, True)
    assert asked(port)[0] == 200, "one page that cannot be drawn ends nothing"


PATHS = [
    *("/..", "/../etc/passwd", "/runs/../../etc/passwd", "/%2e%2e/etc/passwd", "/runs/%2e%2e%2fx", "//etc/passwd"),
    *("/etc//passwd", "/runs\\..\\x", "/.hidden", "/runs/.git/config", "/?a=1", "/runs/a-1.0?x", "/a b", "/runs/a\x00"),
    *("etc/passwd", "http://127.0.0.1/", "http://elsewhere.example/", "*", "/ü", "/~/..", "/;/x"),
]


@pytest.mark.parametrize("path", PATHS)
def test_paths_that_are_none_are_refused(port, path):
    code, answer = raw(port, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")
    assert code in (400, 404)
    assert b"first" not in answer
    assert b"root:" not in answer


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"])
def test_other_methods_are_refused(port, method):
    code, answer = asked(port, method=method)
    assert code == 405
    assert b"Allow: GET" in answer


def test_a_made_up_method_is_refused(port):
    assert asked(port, method="BREW")[0] == 501


@pytest.mark.parametrize(
    "host",
    ["elsewhere.example", "127.0.0.1", "127.0.0.1:1", "localhost.elsewhere.example", "[::1]", "", "127.1:{port}"],
)
def test_other_hosts_are_refused(port, host):
    text = host.format(port=port)
    code, answer = raw(port, f"GET / HTTP/1.1\r\nHost: {text}\r\nConnection: close\r\n\r\n")
    assert (code, b"first" in answer) == (403, False)


def test_no_host_or_two_are_refused(port):
    assert raw(port, "GET / HTTP/1.0\r\n\r\n")[0] == 403
    two = f"Host: 127.0.0.1:{port}\r\nHost: elsewhere.example\r\n"
    assert raw(port, f"GET / HTTP/1.1\r\n{two}Connection: close\r\n\r\n")[0] == 403


def test_other_sites_are_refused(port):
    assert asked(port, Origin="https://elsewhere.example")[0] == 403
    assert asked(port, Sec_Fetch_Site="cross-site")[0] == 403
    assert asked(port, Origin=f"http://127.0.0.1:{port}", Sec_Fetch_Site="same-origin")[0] == 200


def test_it_listens_on_this_machine_alone(port):
    server = serve(find, 0)
    assert server.server_address[0] == "127.0.0.1"
    server.server_close()
    with pytest.raises(SpecError, match=f"nothing can listen at port {port}"):
        serve(find, port)


def test_rubbish_ends_nothing(port):
    for text in ("\r\n\r\n", "GET\r\n\r\n", "x" * 70000 + "\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
            line.sendall(text.encode())
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/")
    assert connection.getresponse().read() == b"first"
    connection.close()
