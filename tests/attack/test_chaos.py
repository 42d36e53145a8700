"""Workers and drivers killed, the disk full, files flipped, cut and removed: the store ends as if nothing had happened.

One process imports torch once and forks the drivers, each with two workers, so that a round costs no imports.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from clbench.core.spec import Machine
from clbench.engine.inputs import Inputs
from clbench.engine.recipe.recipe import load_recipe
from clbench.engine.units import open_runs
from clbench.store.gc import collect
from clbench.store.store import Store
from tests.builders.contents import content_digest

RECIPE = """\
name: chaos
model: {name: tiny-llama}
stream: worlds-tiny
training: {lr: 1.0e-3, epochs: 1, batch_size: 8}
budget: {policy: seen, items: 3}
axes:
  learner: [{name: ewc, fisher_examples: 8}, replay]
"""
RECORDS = ("spec.yaml", "stream.json", "matrix.json", "items.json", "examples.json")
DRIVERS = """
import json, os, resource, sys, traceback
import clbench.models.warm
from pathlib import Path
from clbench.core.errors import UserError
from clbench.core.spec import Machine
from clbench.engine.executors import processes
from clbench.engine.recipe.recipe import load_recipe
from clbench.engine.run import attempt
from clbench.store.store import Store
from tests.builders.forked import ForkedWorkers
processes.Workers = ForkedWorkers

def drive(store, bytes_):
    if bytes_:
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, bytes_))
    machine = Machine(store=Path(store), workers=2, device="cpu", checkpoint_s=0.0)
    try:
        outcomes = attempt(load_recipe(sys.argv[1]), Store(machine.store), machine)
    except UserError as error:
        outcomes = [error]
    except BaseException:
        traceback.print_exc()
        raise
    wrong = [str(one) for one in outcomes if isinstance(one, UserError)]
    print(*wrong, file=sys.stderr, flush=True)
    return 2 if wrong else 0

print("ready", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    if (pid := os.fork()) == 0:
        code = 1
        try:
            code = drive(asked["store"], asked["bytes"])
        finally:
            os._exit(code)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Drivers:
    """Starts drivers on a store, and harms them on the way."""

    def __init__(self, recipe, log):
        command = [sys.executable, "-c", DRIVERS, str(recipe)]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self.server = subprocess.Popen(command, text=True, **pipes)
        # A pipe, and not a file: that would be too large for the drivers whose disk is full.
        self._said = threading.Thread(target=lambda: log.write_text(self.server.stderr.read()), daemon=True)
        self._said.start()
        assert self.server.stdout.readline() == "ready\n"

    def run(self, store, harm=None, after_s=0.0, file_bytes=0):
        """Run a driver; `harm` is called with its process id after a while. Return its exit code."""
        self.server.stdin.write(json.dumps({"store": str(store), "bytes": file_bytes}) + "\n")
        self.server.stdin.flush()
        pid = int(self.server.stdout.readline())
        if harm is not None:
            time.sleep(after_s)
            with suppress(ProcessLookupError):
                harm(pid)
        return int(self.server.stdout.readline())

    def close(self):
        self.server.stdin.close()
        self.server.wait(timeout=60)
        self._said.join(timeout=60)
        self.server.stdout.close()
        self.server.stderr.close()


def children(pid):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return sorted(found)


def kill_driver(pid):
    os.kill(pid, signal.SIGKILL)


def kill_worker(chance):
    def kill(pid):
        if workers := children(pid):
            os.kill(chance.choice(workers), signal.SIGKILL)

    return kill


def flipped(path, chance):
    data = bytearray(path.read_bytes())
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)


def cut(path, chance):
    data = path.read_bytes()
    path.write_bytes(data[: chance.randrange(len(data) + 1)])


def removed(path, chance):
    path.unlink()


DAMAGES = (flipped, cut, removed)


def damage(store, chance, num):
    """Harm some files of a store, whatever they are; those that were set aside are left."""
    files = [p for p in sorted(store.rglob("*")) if p.is_file() and p.relative_to(store).parts[0] != "broken"]
    for path in chance.sample(files, min(num, len(files))):
        with suppress(FileNotFoundError):  # a worker of a killed driver has just finished with it
            chance.choice(DAMAGES)(path, chance)


def states_again(recipe, store):
    """Make states that were lost behind answers that are there: runs do not need them, and a comparison does."""
    machine = Machine(store=store, device="cpu")
    opened = Store(store, notice=lambda _: None)
    for run in open_runs(load_recipe(recipe).specs(), {}, Inputs(None), opened, machine):
        for index in range(1, len(run.trajectory.keys)):
            run.trajectory.folder(index)


def rounds_of_chaos(folder, rounds, seed):
    chance = random.Random(seed)
    recipe = folder / "chaos.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    drivers, store = Drivers(recipe, folder / "log"), folder / "store"
    began = time.monotonic()
    assert drivers.run(folder / "whole") == 0
    whole_s = time.monotonic() - began
    ends = []
    for number in range(rounds):
        harm = ("driver", "worker", "disk")[number % 3]
        after_s = chance.uniform(0.05, 0.6) * whole_s
        if harm == "disk":
            ends.append((harm, drivers.run(store, file_bytes=chance.choice([200, 3000, 50_000, 300_000, 900_000]))))
        else:
            ends.append((harm, drivers.run(store, kill_driver if harm == "driver" else kill_worker(chance), after_s)))
        damage(store, chance, 1 + number % 4)
    time.sleep(1.0)  # workers of the driver that was killed last see that it is gone
    last = drivers.run(store)
    drivers.close()
    assert last == 0, (folder / "log").read_text()[-3000:]
    return recipe, ends


def check_equal(folder, recipe, ends):
    log = (folder / "log").read_text()
    assert "Traceback" not in log, log[-4000:]
    assert {code for _, code in ends} <= {0, 2, -signal.SIGKILL}
    assert all(code in (0, -signal.SIGKILL) for harm, code in ends if harm == "driver")
    whole, store = folder / "whole", folder / "store"
    for result in (whole / "runs").iterdir():
        for name in RECORDS:
            assert (store / "runs" / result.name / name).read_bytes() == (result / name).read_bytes()
    states_again(recipe, store)
    assert content_digest(Store(store, notice=lambda _: None)) == content_digest(Store(whole))
    collect(Store(store), ("last", "branch"), {key for kind, key, _ in Store(store).stages() if kind == "state"})
    assert not list((store / "drafts").glob("*")), "drafts of dead processes are swept"


@pytest.mark.slow
def test_three_rounds(tmp_path):
    recipe, ends = rounds_of_chaos(tmp_path, 3, seed=0)
    check_equal(tmp_path, recipe, ends)


@pytest.mark.attack
def test_a_hundred_rounds(tmp_path):
    recipe, ends = rounds_of_chaos(tmp_path, 100, seed=1)
    check_equal(tmp_path, recipe, ends)
    assert sum(code == -signal.SIGKILL for _, code in ends) >= 10
    assert sum(code == 2 for harm, code in ends if harm == "disk") >= 10
