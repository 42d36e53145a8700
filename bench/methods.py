"""What each method costs against plain fine-tuning (sft), measured in turn within one process on the tiny LLaMA.

    make bench                           # every learner; writes bench/methods.json, and `make docs` the table from it
    .venv/bin/python bench/methods.py ewc l2   # these alone; the others stay as they were measured

A learner has learnt lesson 1 and is timed in lesson 2, so that penalties, memories and adapters are at work; every
repeat wakes it and sft from their states and times both, and what is reported is the median of the ratios:

- step: mean time of an optimiser step (the first is left out), over sft's at the same batches;
- lesson: time of the whole lesson, with what is done before the first step and after the last one;
- after: time from the last step to the end (Fisher passes, memories, merges), in sft's epochs of that lesson;
- exam: time of 64 questions with eight choices, after lesson 2;
- memory: most bytes that tensors hold during both lessons, weights included, counted by torch's own allocator.

Times are CPU seconds of the one thread, which busy neighbours disturb less than the clock on the wall.
A learner that trains nothing has no steps; the time that it takes to learn an example stands instead.
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
import tempfile
import time
from itertools import accumulate, pairwise
from pathlib import Path

import torch
from run import LABELS, MACHINE, MODEL, examples
from torch.profiler import ProfilerActivity, profile

from clbench.core import plugins
from clbench.core.events import progress_listener
from clbench.core.keys import digest
from clbench.core.types import Decode, Lesson
from clbench.engine.provenance import cpu_model
from clbench.training.loop import GradientLearner

REPEATS = 5
SIZE = 160  # examples of a lesson: as many as the facts of stream `worlds` have
EXAM = 64
PLACE = Path(__file__).parent / "methods.json"
TRAINING = {"lr": 1e-4, "epochs": 1, "batch_size": 16}
# What was promised, and the settings at which it was; every other learner is measured at its defaults.
BARS = {
    "ewc": ({"step": 1.15, "after": 0.5}, {}),
    "l2": ({"step": 1.15}, {}),
    "lwf": ({"step": 1.6}, {}),
    "replay": ({"step": 1.2}, {"share": 0.1}),
}
TEXTS = examples(2 * SIZE + EXAM)
QUESTIONS = TEXTS[2 * SIZE :]


def lesson(step, size=SIZE):
    """Give lesson 1 or 2."""
    taught = TEXTS[(step - 1) * SIZE : (step - 1) * SIZE + size]
    return Lesson(number=step, examples=taught, task_name=f"task-{step}", digest=digest(taught))


def build(name, settings):
    """Give a fresh learner at the training that all share."""
    plugin = plugins.load("learner", name, "PLUGIN")
    shared = {k: v for k, v in TRAINING.items() if k in plugin.config.model_fields}
    return plugin.build(plugin.config(**{**shared, **settings}), MODEL, 0, MACHINE)


def timed(name, settings, state):
    """Wake a learner after lesson 1, and time lesson 2 and an exam: step, whole lesson, after the last step, exam."""
    learner = build(name, settings)
    learner.load(state)
    ticks = []
    token = progress_listener.set(
        lambda progress: ticks.append(time.process_time()) if "lesson" in progress.what else None
    )
    started = time.process_time()
    learner.learn(lesson(2))
    ended = time.process_time()
    progress_listener.reset(token)
    told = Decode(kind="label", task_id="task-1")
    asked = time.process_time()
    learner.respond(QUESTIONS, told)
    exam = time.process_time() - asked
    steps = [b - a for a, b in pairwise(ticks)]
    return {
        "step": statistics.fmean(steps) if steps else None,
        "lesson": ended - started,
        "after": ended - ticks[-1] if ticks else 0.0,
        "exam": exam,
    }


def taught(name, settings, folder):
    """Save a learner after lesson 1."""
    learner = build(name, settings)
    learner.learn(lesson(1))
    learner.save(folder)
    return folder


def most_bytes(name, settings):
    """Give the most bytes that tensors hold while two short lessons are learnt, the base weights included."""
    learner = build(name, settings)
    held = sum(p.numel() * p.element_size() for p in learner.net.module.parameters())
    gc.collect()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        for step in (1, 2):
            learner.learn(lesson(step, 32))
    events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    changes = [e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())]
    return held + max(accumulate(changes), default=0), learner


def kept_bytes(learner):
    """Give the bytes of a learner's state beyond the weights."""
    with tempfile.TemporaryDirectory() as folder:
        learner.save(Path(folder))
        costs = Path(folder) / "counts.json"
        return json.loads(costs.read_text())["kept_bytes"] if costs.is_file() else 0


def measure(name):
    """Measure a learner against sft."""
    bars, settings = BARS.get(name, ({}, {}))
    with tempfile.TemporaryDirectory() as place:
        mine = taught(name, settings, Path(place) / "mine")
        plain = taught("sft", {}, Path(place) / "sft")
        timed(name, settings, mine), timed("sft", {}, plain)
        pairs = [(timed(name, settings, mine), timed("sft", {}, plain)) for _ in range(REPEATS)]

    def median(what, against):
        return statistics.median(a[what] / b[against] for a, b in pairs)

    trains = isinstance(build(name, settings), GradientLearner)
    bytes_, learner = most_bytes(name, settings)
    batches = -(-SIZE // TRAINING["batch_size"])
    return {
        "learner": name,
        "settings": settings,
        "step": round(median("step", "step"), 3) if trains else None,
        "lesson": round(median("lesson", "lesson"), 3),
        "after": round(statistics.median(a["after"] / (b["step"] * batches) for a, b in pairs), 3),
        "exam": round(median("exam", "exam"), 3),
        "memory": round(bytes_ / most_bytes("sft", {})[0], 3),
        "kept_bytes": kept_bytes(learner),
        "example_ms": round(1000 * statistics.median(a["lesson"] for a, _ in pairs) / SIZE, 3),
        "bars": bars,
    }


def main(names):
    """Measure the named learners, or all, and write bench/methods.json after each."""
    shipped = plugins.shipped("learner")
    known = json.loads(PLACE.read_text()) if PLACE.is_file() else {"methods": {}}
    methods = {name: row for name, row in known["methods"].items() if name in shipped and names}
    for name in names or shipped:
        methods[name] = measure(name)
        print(json.dumps(methods[name]), flush=True)
        found = {"about": about(), "methods": dict(sorted(methods.items()))}
        PLACE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def about():
    """Say how it was measured, in lines for the page."""
    return [
        f"Made by `make bench` on {cpu_model()}, one thread, torch {torch.__version__}.",
        f"Medians of {REPEATS} repeats, in turn with `sft`, in CPU time, on tiny-llama; two lessons of {SIZE} texts of",
        f"log-normal length with {len(LABELS)} labels, batch 16, one epoch; timed in lesson 2. As multiples of `sft`:",
        "step, lesson, memory (all tensors, at their most), exam. After the lesson: in epochs of `sft`. Kept: beyond",
        "the weights. Settings are the defaults but for what is written. Machines differ: read the ratios, and small",
        "differences as none.",
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
