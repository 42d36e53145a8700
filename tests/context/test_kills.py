"""A run that is killed at any moment loses no paid answer but those in flight."""

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
pytestmark = pytest.mark.slow


def test_kill_9_loses_what_is_in_flight_at_most(tmp_path):
    data = write(tmp_path / "d.jsonl", [task(c, n) for c in "abcdefghij" for n in range(6)])
    rng, kills = random.Random(7), 0
    with running(Stub(latency=0.03, keep_requests=False)) as stub:
        args = ["--input", str(data), "--output", str(tmp_path / "o.jsonl"), "--workers", str(WORKERS)]
        command = [
            sys.executable,
            "-c",
            COMMAND,
            "context",
            "infer",
            *args,
            "--base-url",
            stub.url,
            "--api-key",
            "none",
        ]
        for _ in range(12):
            before = stub.num_requests
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
                wanted = before + rng.randint(3, 20)
                while run.poll() is None and stub.num_requests < wanted:
                    time.sleep(0.005)
                if kills < 4 and run.poll() is None:
                    os.kill(run.pid, signal.SIGKILL)
                    kills += 1
            if run.returncode == 0:
                break
        assert (kills, run.returncode) == (4, 0)
    answers = Counter(r["task_id"] for _, r in records(tmp_path / "o.log.jsonl") if r["event"] == "answer")
    assert len(answers) == 60
    assert set(answers.values()) == {1}, "nothing is paid for twice once it is in the log"
    assert 60 <= stub.num_requests <= 60 + kills * WORKERS
    assert {row["state"] for row in read(tmp_path / "o.jsonl")} == {"ok"}
