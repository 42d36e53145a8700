"""`clbench run --processes`: one command, several processes; one of them is killed, and another number goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clbench.cli.launch import _code_of, launch
from clbench.cli.main import main
from clbench.core.errors import WorkerError

pytestmark = pytest.mark.xdist_group("ranks")
RECIPE = """
name: two
model: {name: tiny-llama}
stream: worlds-tiny
training: {epochs: 1, batch_size: 16, lr: 1e-3}
budget: {items: 6}
learner: ewc
"""


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    (tmp_path / "two.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return "two.yaml"


def outcome(store):
    (run,) = Path(store, "runs").iterdir()
    answers = sorted(path.read_text() for path in Path(store, "ask").glob("*/*/answers.jsonl"))
    return json.loads((run / "matrix.json").read_text()), answers


def rank_1_of(launcher):
    """Return the process id of rank 1, once there is one."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            told = (path / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"RANK=1" in told and f"CLBENCH_STARTED_BY={launcher}".encode() in told:
            return int(path.name)
    return None


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc for the rank")
def test_a_killed_rank_ends_the_run_and_one_process_goes_on(recipe, capsys):
    command = [sys.executable, "-P", "-m", "clbench", "run", recipe, "--store", "shared", "--out", "out"]
    run = subprocess.Popen([*command, "--processes", "2", "--shard"], stderr=subprocess.PIPE, text=True)
    while run.poll() is None and not list(Path("shared").glob("effective/*/*")):  # the first lesson is learnt
        time.sleep(0.05)
    victim = rank_1_of(run.pid)
    assert victim is not None, run.communicate()
    os.kill(victim, signal.SIGKILL)
    killed = time.monotonic()
    _, said = run.communicate(timeout=120)
    assert time.monotonic() - killed < 60
    assert run.returncode == 2
    assert "rank 1: was killed, perhaps because memory ran out" in said
    assert "Traceback" not in said
    assert main(["run", recipe, "--store", "shared", "--out", "out", "--workers", "1"]) == 0
    assert main(["run", recipe, "--store", "alone", "--out", "out", "--workers", "1"]) == 0
    assert outcome("shared") == outcome("alone")


def test_a_rank_that_says_why_it_ends_gives_its_exit_code():
    assert _code_of(1, 2) == 2
    with pytest.raises(WorkerError, match="was killed, perhaps because memory ran out"):
        _code_of(1, -9)
    with pytest.raises(WorkerError, match="ended by SIGSEGV"):
        _code_of(1, -11)


@pytest.mark.parametrize(("arguments", "environment", "said"), [
    (["--shard"], {}, "--shard: one process has nobody"),
    (["--processes", "2", "--workers", "2"], {}, "--workers 2: 2 processes work together"),
    (["--processes", "2", "--limit", "9"], {}, "--limit: a unit of several processes"),
    (["--processes", "0"], {}, "--processes"),
    (["--processes", "2", "--shard", "--set", "learner=agem"], {}, "'agem' looks at whole weights"),
    (["--processes", "2", "--set", "stream=nowhere"], {}, "nowhere"),
    ([], {"WORLD_SIZE": "2"}, "WORLD_SIZE is '2', and RANK"),
    (["--processes", "3"], {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}, "has started 2 processes, not 3"),
])  # fmt: skip
def test_what_cannot_work_is_told_once_before_any_rank_is_started(
    recipe, monkeypatch, capsys, arguments, environment, said
):
    monkeypatch.setattr("clbench.cli.launch.launch", lambda *_: pytest.fail("ranks were started"))
    for name, value in {**environment, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    assert main(["run", recipe, *arguments]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_other_verbs_are_refused_where_several_processes_were_started(recipe, monkeypatch, capsys):
    launched = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "a", "MASTER_PORT": "1"}
    for name, value in launched.items():
        monkeypatch.setenv(name, value)
    assert main(["exam", "tiny-llama"]) == 2
    assert "this works in one process, and 2 were started" in capsys.readouterr().err


def test_ranks_are_started_with_the_command_as_it_was_given(monkeypatch, recipe):
    seen = []
    monkeypatch.setattr("clbench.cli.launch.launch", lambda *given: seen.append(given) or 0)
    assert main(["run", recipe, "--processes", "2"]) == 0
    assert seen == [(["run", recipe, "--processes", "2"], 2)]


def test_a_rank_that_fails_takes_the_others_with_it(tmp_path, monkeypatch):
    """The command of a rank is replaced: rank 1 fails, and rank 0 would wait for ever."""
    code = "import os, sys, time; sys.exit(5) if os.environ['RANK'] == '1' else time.sleep(600)"
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr("clbench.cli.launch.SAYS_S", 0.2)
    started = time.monotonic()
    assert launch(["run"], 2) == 5
    assert time.monotonic() - started < 20
