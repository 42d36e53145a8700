"""What states cost on a long stream, in disk, waking and learning: `python bench/state.py [LEARNER ...]`.

Lessons are learnt as `clbench run` learns them, without exams, into a store that goes away again: small generated
tasks on the tiny LLaMA. The first table gives, for each learner, the disk that all its states take (files of several
names count once), CPU seconds to load the last of them (the median of three), and CPU seconds of a lesson: the median
of lessons 2 to 6 against that of the last five. The second one learns 16 chains of three lessons in one and in two
processes, and counts how often a model and a state are read from disk.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clbench.core.spec import ExamBudget, Machine, ModelSpec, RunSpec
from clbench.engine.executors import processes
from clbench.engine.inputs import Inputs
from clbench.engine.plan import plan
from clbench.engine.units import open_run
from clbench.models import warm
from clbench.store.store import Store
from clbench.training import plugin as training_plugin
from clbench.training.loop import GradientLearner

STREAM = """\
name: many
worlds: [{{num: {num}, kinds: [facts], languages: [en], seed: 7, items: 8, classes: 3, wordings: 1, exam_items: 4}}]
task_ids: given
about: {{license: Apache-2.0, text: small lessons}}
"""
TRAINING: dict[str, Any] = {"lr": 1e-3, "epochs": 1, "batch_size": 8}
LEARNERS: dict[str, dict[str, Any]] = {
    "ewc per task": {"name": "ewc", "per_task": True, "fisher_examples": 2},
    "ties": {"name": "merge", "how": "ties"},
    "olora": {"name": "olora"},
    "lora_per_task": {"name": "lora_per_task"},
    "osf": {"name": "osf"},
    "separate": {"name": "separate"},
    "adapters": {"name": "adapters"},
    "progressive": {"name": "progressive"},
    "progressive_prompts": {"name": "progressive_prompts", "length": 2},
}


def spec_of(learner: Mapping[str, Any], stream: Path, seed: int = 0) -> RunSpec:
    """Give a run that is asked next to nothing."""
    return RunSpec(
        name=f"state-{seed}",
        model=ModelSpec(name="tiny-llama"),
        learner={**TRAINING, **learner},
        stream=str(stream),
        seed=seed,
        budget=ExamBudget(policy="anchors", anchors=1, every=1000),
    )


def on_disk(folder: Path) -> int:
    """Give the bytes that the files below a folder take; a file of several names counts once."""
    found = {(s.st_dev, s.st_ino): s.st_blocks * 512 for p in folder.rglob("*") if p.is_file() for s in [p.stat()]}
    return sum(found.values())


def states(learner: Mapping[str, Any], num: int) -> tuple[int, float, float, float]:
    """Learn a stream; give (bytes of all states, CPU seconds to load the last, of an early lesson, of a late one)."""
    with tempfile.TemporaryDirectory() as name:
        stream = Path(name) / "many.yaml"
        stream.write_text(STREAM.format(num=num), encoding="utf-8")
        machine = Machine(store=Path(name) / "store", device="cpu")
        store = Store(machine.store)
        trajectory = open_run(spec_of(learner, stream), Inputs(None), store, machine).trajectory
        seconds: list[float] = []
        for lesson in range(1, num + 1):
            began = time.process_time()
            trajectory.reach(lesson)
            seconds.append(time.process_time() - began)
        loads: list[float] = []
        for _ in range(3):
            woken = trajectory.plugin.build(trajectory.config, trajectory.spec.model, 0, machine)
            began = time.process_time()
            woken.load(trajectory.folder(num))
            loads.append(time.process_time() - began)
        early, late = statistics.median(seconds[1:6]), statistics.median(seconds[-5:])
        return on_disk(machine.store / "state"), statistics.median(loads), early, late


@contextmanager
def counted(log: Path) -> Iterator[None]:
    """Write a letter into a file whenever a model ("m") or a state ("s") is read, here or in a forked worker."""
    load_state, trained = GradientLearner.load, training_plugin.trained

    def tell(letter: str) -> None:
        with log.open("a", encoding="ascii") as f:
            f.write(letter)

    def loading(self: GradientLearner, folder: Path) -> None:
        tell("s")
        load_state(self, folder)

    def building(*args: Any) -> Any:
        tell("m")
        return trained(*args)

    fork = multiprocessing.get_context("fork")
    workers = processes.Workers
    vars(fork)["set_forkserver_preload"] = lambda _: None
    GradientLearner.load, training_plugin.trained = loading, building  # type: ignore[method-assign]
    processes.Workers = lambda: fork  # type: ignore[misc,assignment]
    try:
        yield
    finally:
        GradientLearner.load, training_plugin.trained = load_state, trained  # type: ignore[method-assign]
        processes.Workers = workers  # type: ignore[misc]


def loads(workers: int) -> tuple[int, int]:
    """Learn 16 chains of three lessons in some processes; give (models read, states read)."""
    with tempfile.TemporaryDirectory() as name:
        stream, log = Path(name) / "many.yaml", Path(name) / "log"
        stream.write_text(STREAM.format(num=3), encoding="utf-8")
        machine = Machine(store=Path(name) / "store", device="cpu", workers=workers)
        inputs = Inputs(None)
        runs = [
            open_run(spec_of({"name": "sft"}, stream, seed), inputs, Store(machine.store), machine)
            for seed in range(16)
        ]
        units = [unit for unit in plan(runs) if unit.lesson]
        for unit in units:
            unit.exams = ()
        with counted(log):
            failed = processes.execute(units, machine, inputs)
        assert not failed, failed
        text = log.read_text(encoding="ascii")
    return text.count("m"), text.count("s")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("learners", nargs="*", metavar="LEARNER", help="default: " + ", ".join(LEARNERS))
    parser.add_argument("--lessons", type=int, default=50)
    parser.add_argument("--no-workers", action="store_true", help="leave the second table out")
    given = parser.parse_args()
    assert warm.LOADED, "imported, so that one thread works"
    print(f"| after {given.lessons} lessons | states, MB | load, s | lesson early, s | late, s | late / early |")
    print("|---|---:|---:|---:|---:|---:|", flush=True)
    for name in given.learners or LEARNERS:
        size, load, early, late = states(LEARNERS[name], given.lessons)
        print(
            f"| {name} | {size / 1e6:,.1f} | {load:.2f} | {early:.3f} | {late:.3f} | {late / early:.2f} |", flush=True
        )
    if not given.no_workers:
        print("\n| 48 states in 16 chains | models read | states read |\n|---|---:|---:|", flush=True)
        for workers in (1, 2):
            models, found = loads(workers)
            print(f"| {workers} worker{'s' * (workers > 1)} | {models} | {found} |", flush=True)


if __name__ == "__main__":
    main()
