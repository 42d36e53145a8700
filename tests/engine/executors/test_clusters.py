"""Ray and Slurm: what is asked of them, and, where they are installed, the same results as here."""

import json
import sys
import types

import pytest

from clbench.core.errors import LearnerError, SpecError, WorkerError
from clbench.core.extras import absent
from clbench.core.spec import Machine
from clbench.engine.executors import ray as on_ray
from clbench.engine.executors.dispatch import dispatch
from clbench.engine.executors.executor import Made, Watch
from clbench.engine.units import Unit
from clbench.store.store import Store
from tests.builders.child import run_child
from tests.builders.contents import content_digest

RECIPE = """\
name: small
model: {name: tiny-llama}
stream: worlds-tiny
training: {lr: 1.0e-3, epochs: 1, batch_size: 8}
budget: {policy: every, every: 3, items: 3}
axes: {learner: [sft, replay]}
"""


def unit(key, needs=None):
    return Unit(key=key, spec=None, lesson=0, label=f"unit {key}", needs=needs, weight=1)


CHAINS = [unit("root"), *(unit(f"{c}{p}", f"{c}{p - 1}" if p else "root") for c in "abc" for p in range(3))]


class GoneError(Exception):
    """Stands for an actor that died."""


class FakeRay(types.ModuleType):
    """A Ray of two CPUs; `answers` says of the key of a unit and the number of the try what comes of it."""

    def __init__(self, answers):
        super().__init__("ray")
        self.answers, self.tries, self.options, self.killed = answers, {}, [], []
        gone = types.SimpleNamespace(RayActorError=GoneError, NodeDiedError=GoneError)
        self.exceptions = types.SimpleNamespace(**vars(gone), WorkerCrashedError=GoneError, OutOfMemoryError=GoneError)

    def is_initialized(self):
        return True

    def cluster_resources(self):
        return {"CPU": 2.0, "GPU": 0.0}

    def remote(self, **options):
        self.options.append(options)

        class Actor:
            class make:  # noqa: N801  # called as Ray calls a method
                @staticmethod
                def remote(orders, machine, folder):
                    return (orders[0].key, object())

        return lambda kind: types.SimpleNamespace(remote=Actor)

    def wait(self, futures, num_returns, timeout):
        return futures[:1], futures[1:]

    def get(self, future):
        key, _ = future
        self.tries[key] = self.tries.get(key, 0) + 1
        found = self.answers(key, self.tries[key])
        if isinstance(found, GoneError):
            raise found
        return [Made(key, found)], ["the same notice"]

    def kill(self, actor):
        self.killed.append(actor)


def made_on(monkeypatch, answers, machine=None):
    fake = FakeRay(answers)
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setattr(on_ray, "need", lambda *_: None)
    workers = on_ray.RayWorkers(machine or Machine(executor="ray", cluster={}), len(CHAINS))
    failed = dispatch(CHAINS, workers, Watch(), 0, len(CHAINS))
    workers.close()
    return fake, workers, failed


def test_actors_have_the_resources_of_a_worker_and_are_as_many_as_fit(monkeypatch, heard):
    fake, workers, failed = made_on(monkeypatch, lambda key, tries: None)
    assert failed == {}
    assert fake.tries == {one.key: 1 for one in CHAINS}
    assert workers.slots == 2
    assert fake.options == [{"num_cpus": 1.0, "num_gpus": 0.0, "max_restarts": 0}] * 2
    assert set(heard) == {"the same notice"}
    assert len(fake.killed) == 2


def test_an_actor_that_is_gone_is_replaced(monkeypatch, heard):
    fake, _, failed = made_on(monkeypatch, lambda key, tries: GoneError("node died") if tries == 1 else None)
    assert failed == {}
    assert set(fake.tries.values()) == {2}
    assert len(fake.options) > 2
    assert any("a worker of the cluster is gone (node died); it is begun again" in text for text in heard)


def test_what_cannot_be_made_is_told_and_the_rest_is_made(monkeypatch, heard):
    broken = {"a1": LearnerError("no")}
    _, _, failed = made_on(monkeypatch, lambda key, tries: broken.get(key) or (GoneError("x") if key == "b0" else None))
    assert failed.keys() == {"a1", "a2", "b0", "b1", "b2"}
    assert isinstance(failed["b0"], WorkerError) and failed["a2"] is broken["a1"]


@pytest.mark.parametrize(("cluster", "said"), [
    ({"cpus": "4"}, "no worker of 4 CPUs and 0 GPUs fits: the cluster has 2 and 0"),
    ({"gpus": "1"}, "no worker of 1 CPUs and 1 GPUs fits"),
])  # fmt: skip
def test_a_cluster_without_room_is_refused_at_once(monkeypatch, cluster, said):
    with pytest.raises(SpecError, match=said):
        made_on(monkeypatch, lambda key, tries: None, Machine(executor="ray", cluster=cluster))


# --- the real ones, where they are installed ------------------------------------------------------------------

DRIVE = """
import json, sys
from pathlib import Path
from clbench.core.spec import Machine
from clbench.engine.recipe.recipe import load_recipe
from clbench.engine.executors.executor import Watch
from clbench.engine.run import attempt
from clbench.store.store import Store

def main(recipe, store, how, stop_after):
    made = []
    if how["executor"] == "ray":
        from ray.cluster_utils import Cluster
        small = {"num_cpus": 1, "object_store_memory": 10**8}
        cluster = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
        cluster.add_node(**small)
        how = {**how, "cluster": {"address": cluster.address}}
    watch = Watch(
        tell=lambda event: made.append(event.unit.label) if event.what == "made" else None,
        pause=lambda: "enough" if stop_after and len(made) >= stop_after else "",
    )
    machine = Machine(store=Path(store), device="cpu", **how)
    outcomes = attempt(load_recipe(recipe), Store(machine.store), machine, watch)
    print(json.dumps([made, [str(one) for one in outcomes]]))
    if how["executor"] == "ray":
        cluster.shutdown()

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4]))
"""
LOCAL_JOBS = {"executor": "slurm", "cluster": {"cluster": "local", "max": "2"}}
HERE = {"executor": "processes"}


def drive(folder, store, how, stop_after=0):
    (folder / "small.yaml").write_text(RECIPE)
    (folder / "drive.py").write_text(DRIVE)
    command = [sys.executable, "drive.py", "small.yaml", store, json.dumps(how), str(stop_after)]
    done = run_child(command, cwd=folder, timeout=400)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.models
@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "how"),
    [
        ("submitit", LOCAL_JOBS),
        # Its daemons give up where they do not start within 30 s, as on a machine with much else to do.
        pytest.param("ray", {"executor": "ray"}, marks=pytest.mark.attack),
    ],
)
def test_a_grid_that_begins_on_a_cluster_and_ends_here_is_the_same(tmp_path, module, how):
    if absent([module]):
        pytest.skip(f"{module} is not installed")
    begun, _ = drive(tmp_path, "shared", how, stop_after=2)
    assert begun
    ended, results = drive(tmp_path, "shared", HERE)
    assert ended and not set(begun) & set(ended), "nothing is made twice"
    drive(tmp_path, "whole", HERE)
    for result in (tmp_path / result for result in results):
        whole = tmp_path / "whole" / "runs" / result.name / "matrix.json"
        assert whole.read_bytes() == (result / "matrix.json").read_bytes()
    shared, whole = Store(tmp_path / "shared"), Store(tmp_path / "whole")
    assert content_digest(shared) == content_digest(whole)
    assert drive(tmp_path, "shared", how)[0] == [], "the cluster has nothing to make"
