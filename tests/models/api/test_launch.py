"""A server that a user's command starts: it ends with us, however we end, and its last words are told."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clbench.core.errors import ModelError
from clbench.models.api.launch import Launched

PYTHON = shlex.quote(sys.executable)
KILLED = """
import sys, time
from clbench.models.api.launch import Launched
launched = Launched(sys.argv[1], {"folder": "a b"})
time.sleep(60)
"""


def lives(process):
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(met, seconds=20.0):
    until = time.monotonic() + seconds
    while not (found := met()) and time.monotonic() < until:
        time.sleep(0.05)
    return found


def saying(path):
    """A command that writes its arguments, its process and that of a child into a file, and stays."""
    code = "import os,subprocess,sys,time;c=subprocess.Popen(['sleep','60']);"
    code += f"open({str(path)!r},'w').write(f'{{os.getpid()}} {{c.pid}} {{sys.argv[1:]}}');time.sleep(60)"
    return f"{PYTHON} -c {shlex.quote(code)} {{folder}} --port={{port}}"


def said(path):
    return wait_for(lambda: path.is_file() and path.read_text().endswith("]") and path.read_text())


def test_it_gets_its_folder_and_a_port_and_ends_with_all_that_it_started(tmp_path):
    launched = Launched(saying(tmp_path / "said"), {"folder": "a b"})
    try:
        server, child, rest = said(tmp_path / "said").split(" ", 2)
        assert rest == str(["a b", f"--port={launched.port}"])
        launched.check()
    finally:
        launched.end()
    assert wait_for(lambda: not lives(server) and not lives(child))


def test_it_ends_when_we_are_killed(tmp_path):
    ours = subprocess.Popen([sys.executable, "-c", KILLED, saying(tmp_path / "said")])
    server, child, _ = said(tmp_path / "said").split(" ", 2)
    os.kill(ours.pid, signal.SIGKILL)
    ours.wait()
    assert wait_for(lambda: not lives(server) and not lives(child))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (f"{PYTHON} -c 'print(\"loading\"); 1/0' {{folder}} {{port}}", "exit code 1: .*ZeroDivisionError"),
        ("no-such-program {folder} {port}", "no-such-program: No such file"),
        ("true {folder} {port}", "exit code 0: it said nothing"),
    ],
)
def test_one_that_ends_by_itself_is_told_with_its_last_words(command, words):
    launched = Launched(command, {"folder": "a"})
    try:
        with pytest.raises(ModelError, match=words) as error:
            while True:
                launched.check()
        assert "by hand" in error.value.mend
    finally:
        launched.end()
