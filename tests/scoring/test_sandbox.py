"""Hostile programs: each is contained, and each scores as failed."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clbench.core.errors import SpecError
from clbench.scoring import _doors, _groups, _sandbox
from clbench.scoring._sandbox import Limits, Outcome, Trial, run_tests, strongest
from tests.builders.places import FIXTURES

FOLDER = FIXTURES / "hostile"
TESTS = Trial("", ("f",), ("assert f(2) == 4", "assert list([f(2)]) == [4]"))
LIMITS = Limits(seconds=1.0, memory_bytes=256 << 20)
walled = pytest.mark.skipif(strongest() != "namespaces", reason="this host makes no namespaces")


def descendants():
    """Processes whose parent chain leads to this one."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = {os.getpid()}
    while more := {p for p, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}


def cells_running(starter=None):
    """Cells that a process (this one) started, wherever they hang in the tree."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if f"\0{starter or os.getpid()}.".encode() in (entry / "cmdline").read_bytes():
                    found.append(entry.name)
            except OSError:
                continue
    return found


@pytest.mark.slow
@walled
@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py.txt")), ids=lambda p: p.name.split(".")[0])
def test_hostile_programs_are_contained_and_fail(path, tmp_path, monkeypatch):
    canary = tmp_path / "canary.txt"
    canary.write_text("untouched")
    monkeypatch.setenv("CLBENCH_CANARY", "secret")
    own = set(descendants())
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        program = path.read_text().replace("CANARY_FILE", str(canary)).replace("CANARY_PID", str(os.getpid()))
        program = program.replace("CANARY_PORT", str(server.getsockname()[1]))
        started = time.monotonic()
        outcome = run_tests(program, TESTS, LIMITS)
        spent = time.monotonic() - started
        with pytest.raises(TimeoutError):
            server.accept()
    assert not outcome.passed
    assert outcome.note
    assert outcome.level == "namespaces"
    assert spent < _sandbox.LAST * LIMITS.seconds
    assert canary.read_text() == "untouched"
    deadline = time.monotonic() + 2
    while cells_running() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert cells_running() == []
    assert set(descendants()) <= own


BURNS = """
import time
def f(x):
    end = time.process_time() + {}
    while time.process_time() < end:
        pass
    return 2 * x
"""


@pytest.mark.slow
@walled
def test_a_busy_machine_changes_no_score_and_who_does_not_compute_is_ended():
    near = Limits(seconds=2.0, memory_bytes=256 << 20)
    once = Trial("", ("f",), ("assert f(2) == 4",))
    burn = [sys.executable, "-c", "while True: pass"]
    # In sessions of their own: some kernels share processors out among sessions first.
    burners = [subprocess.Popen(burn, start_new_session=True) for _ in range(4 * (os.cpu_count() or 1))]
    try:
        passed = run_tests(BURNS.format(1.3), once, near)
        spent = run_tests(BURNS.format(60), once, near)
        slept = run_tests("import time\ndef f(x):\n    time.sleep(60)\n", once, Limits(seconds=0.5))
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
    assert passed.passed, passed.note
    assert spent.note == "not done after 2 s of processor time"
    assert slept.note == "not done after 1.5 s in which it did not compute"


def test_there_are_twenty_and_more():
    assert len(list(FOLDER.glob("*.py.txt"))) >= 20


@pytest.mark.slow
@walled
@pytest.mark.parametrize(
    ("program", "tests", "passed"),
    [
        ("def f(x):\n    return x * 2\n", ("assert f(2) == 4",), True),
        ("def f(x):\n    return x\n", ("assert f(2) == 4",), False),
        ("def f(x) return", ("assert f(2) == 4",), False),
        ("", ("assert f(2) == 4",), False),
        ("def f():\n    return (1, {2}, {'a': [3j]}, b'x', None, 1 << 80, float('inf'), range(3))\n",
         ("assert f() == (1, {2}, {'a': [3j]}, b'x', None, 1 << 80, float('inf'), range(3))",), True),
        ("from collections import Counter\ndef f(s):\n    return Counter(s)\n",
         ("assert f('aab') == {'a': 2, 'b': 1}",), True),
        ("class Pair:\n    def __init__(s, a):\n        s.a = a\ndef f(ps):\n    return sum(p.a for p in ps)\n",
         ("p = Pair(3)", "p.a = 5", "assert p.a == 5", "assert f([p, Pair(1)]) == 6"), True),
        ("def f():\n    yield 1\n    yield 2\n", ("assert list(f()) == [1, 2]",), True),
        ("def f(g):\n    return g\n", ("assert f(len)([1, 2]) == 2",), True),
        ("def f(x, t):\n    return isinstance(x, t)\n", ("assert f(3, int) is True",), True),
        ("def set(x):\n    return 0\ndef f(x):\n    return 1\n", ("assert set([f(3)]) == set([5])",), False),
        ("def f(x):\n    x.append(1)\n    return x\n", ("assert f([0]) == [0, 1]",), True),
        ("import sys\ndef f():\n    return sys.maxsize\n", ("assert f() == sys.maxsize",), True),
        ("def f():\n    return True\n", ("assert f() is True", "assert isinstance(f(), bool)"), True),
    ],
)  # fmt: skip
def test_values_cross_and_verdicts_are_right(program, tests, passed):
    outcome = run_tests(program, Trial("", ("f",), tests), LIMITS)
    assert outcome.passed is passed, outcome.note


@walled
def test_what_a_program_sees(tmp_path):
    program = (
        "import os\ndef f():\n    return sorted(os.listdir('/')), os.getcwd(), os.listdir('.'), os.getpid(), "
        "os.getuid() != 0, len(os.environ) <= 1\n"
    )
    seen = "assert f()[1:] == ('/work', [], 1, True, True), f()"
    roots = "assert set(f()[0]) <= {'lib', 'lib64', 'usr', 'root', 'home', 'opt', 'work', 'etc', 'nix'}, f()[0]"
    outcome = run_tests(program, Trial("", (), (seen, roots)), LIMITS)
    assert outcome.passed, outcome.note


@walled
def test_nothing_is_left_behind_on_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run_tests("def f(x):\n    open('left', 'w').close()\n    return 4\n", TESTS, LIMITS)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def weak(monkeypatch):
    """Let level "limits" run with a Python that nobody can read: as root, the library must not lie in root's home."""
    for python in (sys.executable, shutil.which("python3", path="/usr/bin:/usr/local/bin")):
        monkeypatch.setattr(sys, "executable", python)
        if python and _sandbox.holds("limits"):
            return
    pytest.skip("no Python here that a user without rights can read")


@pytest.mark.slow
def test_without_a_wall_programs_are_refused_unless_it_is_meant(monkeypatch, weak):
    monkeypatch.setattr(_sandbox, "strongest", lambda: "limits")
    monkeypatch.delenv(_sandbox.ALLOW, raising=False)
    with pytest.raises(SpecError, match="no sandbox"):
        run_tests("def f(x):\n    return 4\n", TESTS, LIMITS)
    monkeypatch.setenv(_sandbox.ALLOW, "1")
    outcome = run_tests("def f(x):\n    return 4\n", TESTS, LIMITS)
    assert outcome.passed
    assert outcome.level == "limits"
    assert not run_tests("while True:\n    pass\n", TESTS, LIMITS).passed
    monkeypatch.setattr(_sandbox, "strongest", lambda: "none")
    with pytest.raises(SpecError):
        run_tests("def f(x):\n    return 4\n", TESTS, LIMITS)


def test_the_weak_level_runs_as_nobody_writes_nothing_and_starts_nothing(tmp_path, weak):
    program = f"""
import os, socket
def can(do, *args):
    try:
        do(*args)
    except OSError:
        return False
    return True
def f():
    tries = {{
        "root": 0 in (os.getuid(), os.geteuid(), os.getgid()),
        "write": can(open, {str(tmp_path / "new")!r}, "w"),
        "remove": can(os.rmdir, {str(tmp_path)!r}),
        "process": can(os.fork),
        "program": can(os.execv, "/bin/true", ["true"]),
        "signal": can(os.kill, {os.getpid()}, 0),
        "network": can(socket.socket),
        "read": {_doors.can_fence()} and can(open, "/etc/passwd"),
    }}
    return [name for name, gone in tries.items() if gone]
"""
    outcome = _sandbox._in_cells(program, Trial("", ("f",), ("assert f() == [], f()",)), LIMITS, "limits")
    assert outcome.passed, outcome.note


def test_root_without_namespaces_and_without_a_library_for_nobody_is_refused(monkeypatch):
    monkeypatch.setattr(_sandbox, "holds", lambda level: False)
    _sandbox.strongest.cache_clear()
    try:
        assert _sandbox.strongest() == "none"
        with pytest.raises(SpecError, match="no sandbox"):
            run_tests("def f(x):\n    return 4\n", TESTS, LIMITS)
    finally:
        _sandbox.strongest.cache_clear()


def test_control_groups_are_made_bounded_and_dropped(tmp_path, monkeypatch):
    files = {"memory.max": "{memory}", "pids.max": "{tasks}"}
    monkeypatch.setattr(_groups, "_parent_groups", lambda: iter([(tmp_path / "none", files), (tmp_path, files)]))
    gone = tmp_path / f"{_groups.PREFIX}999999999-1"
    gone.mkdir()
    (group,) = _groups.make(7, 1 << 20)
    assert not gone.exists()
    assert (group / "memory.max").read_text() == str(1 << 20)
    assert int((group / "pids.max").read_text()) == _groups.MOST_PROCESSES
    for file in group.iterdir():  # as the kernel's own do, they go with their folder
        file.unlink()
    _groups.drop((group,))
    assert list(tmp_path.iterdir()) == []


@walled
def test_cells_die_with_the_process_that_started_them():
    program = "import time\ntime.sleep(1000)\n"
    starts = (
        f"from clbench.scoring import _sandbox as s\ns.run_tests({program!r}, s.Trial('', ('f',), ()), s.Limits(300))"
    )
    with subprocess.Popen([sys.executable, "-c", starts], start_new_session=True) as starter:
        until = time.monotonic() + 60
        # Two cells, each waited for by another.
        while len(begun := cells_running(starter.pid)) < 4 and time.monotonic() < until:
            time.sleep(0.05)
        starter.kill()
    until = time.monotonic() + 10
    while cells_running(starter.pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert len(begun) >= 4
    assert cells_running(starter.pid) == []


@walled
def test_programs_may_have_threads():
    program = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "def f(x):\n    with ThreadPoolExecutor(4) as pool:\n        return sum(pool.map(int, [x, x]))\n"
    )
    outcome = run_tests(program, TESTS, LIMITS)
    assert outcome.passed, outcome.note


@walled
def test_what_both_cells_use_together_is_bounded_where_groups_can_be_made(monkeypatch):
    if not _sandbox.grouped("namespaces"):
        pytest.skip("no control groups can be made here")
    program = "def f(x):\n    return len(bytes(range(1, 256)) * (x << 18)) and 2 * x\n"  # 128 MB, each page written
    once = Trial("", ("f",), ("assert f(2) == 4",))
    assert run_tests(program, once, LIMITS).passed
    monkeypatch.setattr(_sandbox, "SPARE_BYTES", (64 << 20) - 2 * LIMITS.memory_bytes)
    ended = run_tests(program, once, LIMITS)
    assert not ended.passed
    assert ended.note == _sandbox.GONE
    for parent, _ in _groups._parent_groups():
        assert list(parent.glob(f"{_groups.PREFIX}{os.getpid()}-*")) == []


def test_a_verdict_that_is_no_verdict_is_a_failure():
    for said in (
        b"",
        b"\0\0\0\1",
        b"\0\0\0\4true",
        b'\0\0\0\x10{"passed": 1}',
        b'\0\0\0\x20{"passed":"yes","note":""}',
    ):
        assert isinstance(_sandbox._outcome(said, "limits", 0.0), Outcome)
        assert not _sandbox._outcome(said, "limits", 0.0).passed
