"""Two hundred kills at random moments of learning, asking, grading and recording: the records end the same.

One process imports torch once and forks the runs that are killed; with two, both work on one store at once.
"""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from clbench.store.store import Store
from tests.builders.contents import content_digest

pytestmark = pytest.mark.attack
RECIPE = """\
name: killed
model: {name: tiny-llama}
stream: worlds-tiny
exams: [mini_arithmetic]
training: {lr: 1.0e-3, epochs: 1, batch_size: 4}
budget: {items: 4}
axes:
  learner: [{name: ewc, fisher_examples: 8}, replay]
"""
RECORDS = ("spec.yaml", "stream.json", "matrix.json", "items.json", "examples.json")
SERVER = """
import os, sys, clbench.models.warm
from pathlib import Path
from clbench.core.spec import Machine
from clbench.engine.recipe.recipe import load_recipe
from clbench.engine.run import run as run_recipe
from clbench.store.store import Store
print("ready", flush=True)
for line in sys.stdin:
    store, workers = line.split()
    pids = []
    for _ in range(int(workers)):
        if (pid := os.fork()) == 0:
            machine = Machine(store=Path(store), workers=1, device="cpu", checkpoint_s=0.0)
            run_recipe(load_recipe(sys.argv[1]), Store(machine.store), machine).folders
            os._exit(0)
        pids.append(pid)
    print(*pids, flush=True)
    print(*(os.waitpid(pid, 0)[1] for pid in pids), flush=True)
"""


@pytest.mark.parametrize(("workers", "kills"), [(1, 100), (2, 100)])
def test_killed_again_and_again_it_ends_the_same(tmp_path, workers, kills):
    recipe = tmp_path / "killed.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(recipe)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout.readline() == "ready\n"

    def run(store, within_s=None):
        """Start the run in as many processes as there are workers; kill each at a moment of its own. How many died."""
        server.stdin.write(f"{store} {workers}\n")
        server.stdin.flush()
        pids = [int(pid) for pid in server.stdout.readline().split()]
        if within_s is not None:
            began = time.monotonic()
            for pid, moment in zip(pids, sorted(chance.uniform(0.1, within_s) for _ in pids), strict=True):
                time.sleep(max(began + moment - time.monotonic(), 0))
                with suppress(ProcessLookupError):  # it was finished before
                    os.kill(pid, signal.SIGKILL)
        codes = [int(code) for code in server.stdout.readline().split()]
        assert all(code in (0, signal.SIGKILL) for code in codes), "a run failed by itself"
        return sum(code != 0 for code in codes)

    chance = random.Random(workers)
    began = time.monotonic()
    assert not run(tmp_path / "whole")
    whole_s = time.monotonic() - began
    killed, stores = 0, [tmp_path / "store-0"]
    while killed < kills:
        died = run(stores[-1], 0.3 * whole_s)
        killed += died
        if not died:
            stores.append(tmp_path / f"store-{len(stores)}")
    assert not run(stores[-1])
    server.stdin.close()
    server.wait(timeout=30)
    server.stdout.close()
    whole = Store(tmp_path / "whole")
    for folder in stores:
        assert content_digest(Store(folder)) == content_digest(whole)
        assert not list((folder / "broken").glob("*")), "a half-written stage stood where it is read"
        for result in (whole.folder / "runs").iterdir():
            for name in RECORDS:
                assert (folder / "runs" / result.name / name).read_bytes() == (result / name).read_bytes()
