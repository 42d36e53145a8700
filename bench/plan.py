"""Planned memory beside what a process takes: `python bench/plan.py [--processes 2 [--shard]] [LEARNER ...]`.

A LLaMA of random weights (12 layers of 768, 110 million weights, float32) learns two lessons of two steps, one
process for each learner (Linux alone: the kernel is asked for the most memory that was in RAM). The process with its
libraries is kept apart, as the plan takes it. "load" is the most while the model is loaded,
"learn" while the lessons are learnt; the plan is to be within 15 % of the larger of them (exit code 1 otherwise). Of
several processes that learn together, the one that takes most is told.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from clbench.core import plugins
from clbench.core.keys import digest
from clbench.core.spec import Machine, ModelSpec, RunSpec
from clbench.core.types import Example, Lesson, LessonPlan, Message, Stream

LEARNERS: dict[str, dict[str, Any]] = {
    **{name: {} for name in ("sft", "lora", "ewc", "mas", "l2", "lwf", "agem", "derpp", "merge", "osf", "olora")},
    "ties": {"name": "merge", "how": "ties"},
}
SHAPE = {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 12}
SHAPE |= {"num_key_value_heads": 12, "head_dim": 64, "vocab_size": 32000, "tie_word_embeddings": True}
# Two steps in a lesson: the moments of AdamW come with the first one, and no earlier pass stands beside them.
SETTINGS: dict[str, Any] = {"batch_size": 2, "epochs": 2, "lr": 1e-5, "fisher_examples": 1}
MOST = 0.15  # of what is measured by which a plan may be off
RESET = Path("/proc/self/clear_refs")


def checkpoint(folder: Path) -> ModelSpec:
    """Write a model of random weights with the tokenizer of a shipped one; give the model to load."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    from clbench.models import tiny

    shutil.copytree(tiny.folder("tiny-llama"), folder, ignore=shutil.ignore_patterns("*.safetensors"))
    known = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    AutoModelForCausalLM.from_config(LlamaConfig(**{**known, **SHAPE})).save_pretrained(folder)
    return ModelSpec(name=str(folder), max_tokens=256)


def lesson(number: int) -> Lesson:
    """Make a lesson of one batch."""
    examples = tuple(
        Example(
            id=f"{number}-{i}",
            prompt=(Message(role="user", content=f"{number} {i} " + "red blue green " * 8),),
            targets=("a deep shade of blue",),
        )
        for i in range(SETTINGS["batch_size"])
    )
    return Lesson(number=number, examples=examples, digest=digest(examples), task_name=f"t{number}")


def most_mb() -> float:
    """Give the most memory of this process that was in RAM since it was last asked, in MB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    found = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    RESET.write_text("5", encoding="ascii")
    return found * 1024 / 1e6


def taken(name: str, model: ModelSpec, machine: Machine) -> dict[str, float]:
    """Learn in this process, perhaps with others; give the MB of each phase, and what is planned."""
    import peft

    from clbench.engine.memory import Needs, resident
    from clbench.models import warm

    assert warm.LOADED, peft.__version__
    before = resident()  # at least what a process takes that has learnt
    most_mb()
    own = {"name": name, **LEARNERS.get(name, {})}
    name = own.pop("name")
    plugin = plugins.load("learner", name, "PLUGIN")
    settings = {k: v for k, v in (SETTINGS | own).items() if k in plugin.config.model_fields}
    learner: Any = plugin.build(plugin.config(**settings), model, 0, machine)
    load, loaded, lessons = most_mb(), resident() / 1e6, [lesson(1), lesson(2)]
    for each in lessons:
        learner.learn(each)
    learn = most_mb()
    spec = RunSpec(name="x", model=model, learner={"name": name, **settings}, stream="x")
    plans = tuple(LessonPlan(teaches=("t",), examples=each.examples) for each in lessons)
    stream = Stream(name="x", tasks=(), plans=plans)
    need = Needs(machine, lambda _: (stream, ()), card=False, process=before).of(spec)
    found = {"process": before / 1e6, "load": load, "loaded": loaded, "learn": learn, "planned": need.peak / 1e6}
    return found | {f"of it {part}": vars(need)[part] / 1e6 for part in ("weights", "activations", "logits", "method")}


def in_processes(name: str, model: ModelSpec, processes: int, *, shard: bool) -> dict[str, float]:
    """Give what `taken` does in fresh processes: of each phase, what the one takes that takes most."""
    command = [sys.executable, __file__, name, "--model", model.name, "--processes", str(processes)]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        common = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1])}
    common |= {"WORLD_SIZE": str(processes), "GLOO_SOCKET_IFNAME": "lo"}
    started = [
        subprocess.Popen(
            command + ["--shard"] * shard,
            env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]
    said = [process.communicate()[0] for process in started]
    found: list[dict[str, float]] = [json.loads(out.splitlines()[-1]) for out in said]
    return {part: max(each[part] for each in found) for part in found[0]}


def main() -> int:
    """Print a row for each learner; 1 where a plan is off by too much."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("learners", nargs="*", metavar="LEARNER", help="default: " + ", ".join(LEARNERS))
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--shard", action="store_true")
    parser.add_argument("--model", help=argparse.SUPPRESS)  # given to the process of one learner
    given = parser.parse_args()
    if given.model:
        machine = Machine(device="cpu", checkpoint_s=1e9, processes=given.processes, shard=given.shard)
        print(json.dumps(taken(given.learners[0], ModelSpec(name=given.model, max_tokens=256), machine)), flush=True)
        return 0
    worst = 0.0
    print("| learner | process, MB | load | learn | planned | off |\n|---|---:|---:|---:|---:|---:|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        model = checkpoint(Path(folder) / "model")
        for name in given.learners or LEARNERS:
            found = in_processes(name, model, given.processes, shard=given.shard)
            off = found["planned"] / max(found["load"], found["learn"]) - 1
            worst = max(worst, abs(off))
            sizes = " | ".join(f"{found[part]:,.0f}" for part in ("process", "load", "learn", "planned"))
            print(f"| {name} | {sizes} | {off:+.1%} |", flush=True)
            print({part: round(size) for part, size in found.items()}, file=sys.stderr, flush=True)
    return int(worst > MOST)


if __name__ == "__main__":
    sys.exit(main())
