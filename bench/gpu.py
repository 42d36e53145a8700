"""A model of a billion weights on one accelerator: speed, memory against the plan, exams, a kill, many workers.

    python bench/gpu.py            # under ten minutes; without an accelerator a small shape on the processor, under two
    python bench/gpu.py --json rows.json

Rows that need an accelerator and have none are printed as open. Operations of a full step are counted as 6 for each
weight and token (2 forward, 4 backward) and 12 x layers x hidden x length for attention; LoRA makes no gradients of
frozen weights, so 4 for each weight. Their share of the rate that a large product of matrices reaches here is the MFU.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from clbench.core import plugins
from clbench.core.keys import digest
from clbench.core.spec import Machine, ModelSpec, RunSpec
from clbench.core.types import Decode, Example, Lesson, LessonPlan, Message, Stream
from clbench.engine.memory import Needs, resident
from clbench.models import tiny
from clbench.models.load import load_net
from clbench.models.pretrained import DTYPES
from clbench.store.measure import measure

CARD = torch.cuda.is_available()
LARGE = {"hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32}
LARGE |= {"num_key_value_heads": 4, "head_dim": 64, "max_position_embeddings": 2048}
DTYPE = "bfloat16" if CARD else "float32"
SMALL = {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 4, "num_attention_heads": 4}
SMALL |= {"num_key_value_heads": 4, "head_dim": 64, "max_position_embeddings": 512}
RECIPE = """\
name: tiny
stream: worlds-tiny
training: {lr: 1.0e-3, epochs: EPOCHS, batch_size: 8}
axes: {seed: [0, 1, 2, 3], learner: [sft]}
"""


@dataclass(frozen=True)
class Row:
    """A figure: what, its value with a unit, what is wanted, and whether it was measured on an accelerator."""

    what: str
    value: str
    wanted: str = ""
    card: bool = CARD


def checkpoint(folder: Path) -> Path:
    """Write a model of random weights, with the tokenizer of a shipped one."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    shutil.copytree(tiny.folder("tiny-llama"), folder, ignore=shutil.ignore_patterns("*.safetensors"))
    known = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    words = {"vocab_size": 32000} if CARD else {}
    config = LlamaConfig(**{**known, **(LARGE if CARD else SMALL), **words})
    AutoModelForCausalLM.from_config(config, dtype=DTYPES[DTYPE]).save_pretrained(folder)
    return folder


def lesson(net: Any, rows: int, tokens: int) -> Lesson:
    """Return examples of about so many tokens each, an eighth of them answer."""
    text = "red blue green yellow black white brown gold " * tokens
    words = text.split()

    def example(i: int, num: int) -> Example:
        asked, answer = " ".join(words[: num * 7 // 8]), " ".join(words[: num // 8])
        prompt = (Message(role="user", content=f"{i} {asked}"),)
        return Example(id=str(i), prompt=prompt, targets=(answer,))

    num = tokens // 2
    while net.length(example(0, num)) < tokens * 0.97 and num < tokens:
        num += tokens // 64
    examples = tuple(example(i, num) for i in range(rows))
    return Lesson(number=1, examples=examples, digest=digest(examples))


def gemm_rate() -> float:
    """Return the operations a second of a large product of matrices, the best of several."""
    size, kind, device = (8192, torch.bfloat16, "cuda") if CARD else (1024, torch.float32, "cpu")
    a, b = (torch.randn(size, size, dtype=kind, device=device) for _ in range(2))
    best = float("inf")
    for _ in range(8):
        wait()
        started = time.perf_counter()
        for _ in range(4):
            a @ b
        wait()
        best = min(best, (time.perf_counter() - started) / 4)
    return 2 * size**3 / best


def wait() -> None:
    """Wait until an accelerator has done what it was given."""
    if CARD:
        torch.cuda.synchronize()


def trained(name: str, model: ModelSpec, machine: Machine, peak: float, wanted: float) -> Iterator[Row]:
    """Yield the speed of a learner, its share of the peak rate, and its memory beside the plan."""
    before = resident()
    plugin = plugins.load("learner", name, "PLUGIN")
    config = plugin.config(epochs=1, batch_size=4, lr=1e-5)
    learner: Any = plugin.build(config, model, 0, machine)
    rows, length = (64, 2048) if CARD else (16, 256)
    taught = lesson(learner.net, rows, length)
    learner.learn(taught.model_copy(update={"examples": taught.examples[:4]}))  # warms up
    tokens = sum(learner.net.length(e) for e in taught.examples)
    with measure() as cost:
        wait()
        if CARD:
            torch.cuda.reset_peak_memory_stats()
        started = time.perf_counter()
        learner.learn(taught.model_copy(update={"number": 2}))
        wait()
        seconds = time.perf_counter() - started
    config_of = learner.net.module.config
    weights = sum(p.numel() for p in learner.net.module.parameters())
    each = (6 if name == "sft" else 4) * weights + 12 * config_of.num_hidden_layers * config_of.hidden_size * length
    rate = tokens / seconds
    yield Row(f"{name}: tokens a second at {length}", f"{rate:,.0f}")
    yield Row(f"{name}: MFU", f"{each * rate / peak:.1%}" if CARD else "open", f">= {wanted:.0%}")
    spec = RunSpec(name="x", model=model, learner={"name": name, "epochs": 1, "batch_size": 4}, stream="x")
    need = Needs(machine, lambda _: (given(taught), ()), CARD, before).of(spec)
    found = torch.cuda.max_memory_allocated() if CARD else cost["peak_memory_bytes"]
    off = need.peak / found - 1
    yield Row(f"{name}: peak memory, planned / measured", f"{need.peak / 1e9:.2f} / {found / 1e9:.2f} GB ({off:+.0%})")


def given(taught: Lesson) -> Stream:
    """Return a stream of one lesson."""
    return Stream(name="x", tasks=(), plans=(LessonPlan(teaches=("t",), examples=taught.examples),))


def asked(model: ModelSpec, machine: Machine) -> Row:
    """Return how many tokens a second are written in an exam."""
    net = load_net(model, machine)
    questions = lesson(net, 64 if CARD else 8, 256 if CARD else 64).examples
    written = 64 if CARD else 16
    wait()
    started = time.perf_counter()
    answers = net.respond(questions, Decode(kind="text", max_tokens=written))
    return Row(
        "exam: tokens written a second", f"{sum(a.tokens_out for a in answers) / (time.perf_counter() - started):,.0f}"
    )


def command(folder: Path, *arguments: str) -> list[str]:
    """Return the command that runs the recipe of tiny models in a folder."""
    code = "import sys; from clbench.cli.main import main; sys.exit(main(sys.argv[1:]))"
    return [
        sys.executable,
        "-c",
        code,
        "run",
        str(folder / "tiny.yaml"),
        "--out",
        str(folder / "page.html"),
        *arguments,
    ]


def kill_and_resume(folder: Path) -> Row:
    """Kill a run after its first state, let the same command go on, and compare what comes out."""
    stores = [folder / "killed", folder / "whole"]
    killed = subprocess.Popen(command(folder, "--store", str(stores[0]), "--workers", "1"), stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not any(stores[0].glob("**/stage.json")) and time.monotonic() < until and killed.poll() is None:
        time.sleep(0.2)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    for store in stores:
        subprocess.run(command(folder, "--store", str(store)), check=True, capture_output=True)
    scores = [sorted(p.read_text() for p in store.glob("runs/*/matrix.json")) for store in stores]
    same = "same scores" if scores[0] and scores[0] == scores[1] else "other scores"
    return Row("killed with SIGKILL, and resumed", same, "same scores")


def side_by_side(folder: Path) -> Iterator[Row]:
    """Yield how long tiny models take on one device, by the number of workers."""
    for workers in (1, 4) if CARD else (1, 2):
        started = time.perf_counter()
        store = folder / f"with-{workers}"
        subprocess.run(
            command(folder, "--store", str(store), "--workers", str(workers)), check=True, capture_output=True
        )
        yield Row(f"tiny models, {workers} workers on one device", f"{time.perf_counter() - started:.0f} s")


def rows(folder: Path) -> Iterator[Row]:
    """Yield all figures."""
    (folder / "tiny.yaml").write_text(RECIPE.replace("EPOCHS", "10" if CARD else "1"), encoding="utf-8")
    machine = Machine(device="cuda" if CARD else "cpu", checkpoint_s=1e9, micro_batch=None if CARD else 4)
    model = ModelSpec(name=str(checkpoint(folder / "model")), dtype=DTYPE, max_tokens=2048 if CARD else 512)
    peak = gemm_rate()
    yield Row("product of matrices: operations a second", f"{peak / 1e12:,.2f} T")
    yield from trained("sft", model, machine, peak, 0.5)
    yield from trained("lora", model, machine, peak, 0.4)
    yield asked(model, machine)
    if not CARD:
        yield Row("the rows above for a billion weights in bfloat16", "open", "an accelerator")
    yield kill_and_resume(folder)
    yield from side_by_side(folder)


def main() -> int:
    """Print the table; with --json also write it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path, help="also write the rows here")
    given_ = parser.parse_args()
    name = torch.cuda.get_device_name() if CARD else "processor, a small shape; rows of an accelerator are open"
    print(
        f"Device: {name}, torch {torch.__version__}\n\n| what | here | wanted on an accelerator |\n|---|---:|---:|",
        flush=True,
    )
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as place:
        for row in rows(Path(place)):
            print(f"| {row.what} | {row.value} | {row.wanted} |", flush=True)
            found.append(row)
    if given_.json is not None:
        given_.json.write_text(json.dumps([vars(row) for row in found], indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
