"""A run that is killed at any moment loses no paid answer but those in flight; so with notes, and so in grading."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from clbench.context.log import records
from clbench.testing.stub import Stub, running
from tests.builders.asked import read, task, write

WORKERS = 4
COMMAND = "from clbench.cli.main import entry; entry()"


def killed_and_resumed(command, stub, kills, seed):
    """Run a command again and again, kill it at random moments `kills` times, and return how often it was killed."""
    rng, done = random.Random(seed), 0
    for _ in range(3 * kills):
        before = stub.num_requests
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
            wanted = before + rng.randint(1, 8)
            while run.poll() is None and stub.num_requests < wanted:
                time.sleep(0.005)
            time.sleep(rng.random() * 0.05)
            if done < kills and run.poll() is None:
                os.kill(run.pid, signal.SIGKILL)
                done += 1
        if run.returncode == 0:
            break
    assert run.returncode == 0
    return done


def command_of(verb, stub, *arguments):
    given = ("--base-url", stub.url, "--api-key", "none", "--workers", WORKERS, *arguments)
    return [sys.executable, "-c", COMMAND, "context", verb, *map(str, given)]


@pytest.mark.parametrize("kills", [pytest.param(4, marks=pytest.mark.slow), pytest.param(30, marks=pytest.mark.attack)])
def test_kill_9_loses_what_is_in_flight_at_most(tmp_path, kills):
    rows = [task(c, n) for c in "abcdefghijklmnopqrst"[: 5 * (1 + (kills > 4) * 3)] for n in range(12)]
    data = write(tmp_path / "d.jsonl", rows)
    with running(Stub(latency=0.03, keep_requests=False)) as stub:
        command = command_of("infer", stub, "--input", data, "--output", tmp_path / "o.jsonl")
        assert killed_and_resumed(command, stub, kills, 7) == kills
    answers = Counter(r["task_id"] for _, r in records(tmp_path / "o.log.jsonl") if r["event"] == "answer")
    assert len(answers) == len(rows)
    assert set(answers.values()) == {1}, "nothing is paid for twice once it is in the log"
    assert len(rows) <= stub.num_requests <= len(rows) + kills * WORKERS
    assert {row["state"] for row in read(tmp_path / "o.jsonl")} == {"ok"}


@pytest.mark.attack
def test_kills_of_notes_of_grading_and_of_classes(tmp_path):
    rows = [task(c, n, rubrics=('It says "x".',)) for c in "abcdefgh" for n in range(6)]
    data, out, graded = write(tmp_path / "d.jsonl", rows), tmp_path / "o.jsonl", tmp_path / "o_graded.jsonl"
    with running(Stub(latency=0.03, keep_requests=False)) as stub:
        notes = ("--input", data, "--output", out, "--context-policy", "notes")
        kills = killed_and_resumed(command_of("infer", stub, *notes), stub, 6, 1)
        assert len(rows) + 8 <= stub.num_requests <= len(rows) + 8 + kills * WORKERS
        before = stub.num_requests
        grading = ("--input", out, "--output", graded, "--dataset", data)
        kills = killed_and_resumed(command_of("eval", stub, *grading), stub, 6, 2)
        assert len(rows) <= stub.num_requests - before <= len(rows) + kills * WORKERS
        before = stub.num_requests
        classes = (graded, "--output", tmp_path / "e.jsonl")
        kills = killed_and_resumed(command_of("errors", stub, *classes), stub, 6, 3)
        assert len(rows) <= stub.num_requests - before <= len(rows) + kills * WORKERS
    assert [row["score"] for row in read(graded)] == [0] * len(rows)
    assert {tuple(row["classes"]) for row in read(tmp_path / "e.jsonl")} == {("context_ignored",)}
