"""What the ways to learn with less memory cost in time, measured in turn within one process on a model of 28M weights.

    .venv/bin/python bench/step.py

A LLaMA of random weights (8 layers of 512) learns texts in full (float32, batch 4):

- recompute: activations are made again in the backward pass, texts of 256 tokens; wanted: at most 1.35 of a step;
- micro-batch: the batch goes forward and backward one example at a time, the same texts;
- packing: examples share rows, texts of log-normal length (median 48 tokens, at most 256), batch 16, in the batches of
  like lengths that are the default;
- packing mixed: the same texts in batches of mixed lengths (`bucket: 1`).

Each stands beside the plain way on the same texts. What is reported is the median of the ratios; times are CPU seconds
of the one thread, which busy neighbours disturb less than the clock on the wall. Tokens a second are real ones: padding
does not count.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from clbench.core import plugins
from clbench.core.keys import digest, rng
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Example, Lesson, Message
from clbench.data.worlds.lexicon import COMMON_EN
from clbench.models import tiny

MOST = 1.35  # of a step's time that recomputing may take
STEPS = 2


@dataclass(frozen=True)
class Way:
    """A way to learn, as it differs from the plain one, on some texts."""

    texts: str
    batch: int
    how: dict[str, Any] = field(default_factory=dict[str, Any])
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    both: dict[str, Any] = field(default_factory=dict[str, Any])  # settings of the plain way too


WAYS = {
    "recompute": Way("alike", 4, how={"recompute": True}),
    "micro-batch": Way("alike", 4, how={"micro_batch": 1}),
    "packing": Way("mixed", 16, settings={"packing": True}),
    "packing mixed": Way("mixed", 16, settings={"packing": True}, both={"bucket": 1}),
}


def checkpoint(folder: Path, width: int, layers: int) -> ModelSpec:
    """Write a LLaMA of random weights with the tokenizer of the tiny one; give the model to load."""
    shutil.copytree(tiny.folder("tiny-llama"), folder, ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=2560,
        hidden_size=width,
        intermediate_size=width * 11 // 4,
        num_hidden_layers=layers,
        num_attention_heads=8,
        max_position_embeddings=1024,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return ModelSpec(name=str(folder))


def lesson(texts: str, batch: int) -> Lesson:
    """Make a lesson of `STEPS` batches: texts of one length, or of log-normal lengths."""
    generator = rng(0, 0, texts)
    examples: list[Example] = []
    for i in range(STEPS * batch):
        words = 180 if texts == "alike" else min(180, max(3, int(generator.lognormal(3.5, 0.8))))
        text = " ".join(COMMON_EN[j] for j in generator.integers(len(COMMON_EN), size=words))
        examples.append(Example(id=str(i), prompt=(Message(role="user", content=text),), targets=("red",)))
    return Lesson(number=1, examples=tuple(examples), digest=digest(examples))


def seconds(model: ModelSpec, way: Way) -> tuple[float, dict[str, int]]:
    """Give the CPU seconds of a step of a lesson, and what its learner counted."""
    plugin = plugins.load("learner", "sft", "PLUGIN")
    settings = {"epochs": 1, "batch_size": way.batch, **way.both, **way.settings}
    learner: Any = plugin.build(plugin.config(**settings), model, 0, Machine(device="cpu", **way.how))
    learned = lesson(way.texts, way.batch)
    for example in learned.examples:
        learner.net.length(example)  # encodes it
    began = time.process_time()
    learner.learn(learned)
    spent = time.process_time() - began
    with tempfile.TemporaryDirectory() as folder:
        learner.save(Path(folder))
        counts = json.loads((Path(folder) / "counts.json").read_text(encoding="utf-8"))
    return spent / STEPS, counts


def main() -> int:
    """Print a row for every way; 1 where recomputing takes too long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ways", nargs="*", metavar="WAY", help="default: " + ", ".join(WAYS))
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        model = checkpoint(Path(folder) / "model", given.width, given.layers)
        print("way            plain s  way s  ratio  plain tokens/s  way tokens/s", flush=True)
        for name in given.ways or WAYS:
            way = WAYS[name]
            plain = Way(way.texts, way.batch, both=way.both)
            pairs = [(seconds(model, plain), seconds(model, way)) for _ in range(given.repeats)]
            found[name] = statistics.median(b / a for (a, _), (b, _) in pairs)
            a, b = (statistics.median(pair[side][0] for pair in pairs) for side in (0, 1))
            counts = pairs[-1][1][1]
            rates = [counts["train_tokens"] / STEPS / spent for spent in (a, b)]
            print(f"{name:14} {a:7.2f} {b:6.2f}  {found[name]:5.2f}  {rates[0]:14,.0f}  {rates[1]:12,.0f}", flush=True)
            if tokens := counts.get("packing_tokens"):
                before, after = (1 - tokens / counts[f"packing_{of}"] for of in ("slots_apart", "slots"))
                print(f"               padding: {before:.1%} of the slots apart, {after:.1%} packed")
    return int(found.get("recompute", 0.0) > MOST)


if __name__ == "__main__":
    sys.exit(main())
