"""How much memory one process holds after every lesson of a long stream: `python bench/memory.py [LEARNER ...]`.

Lessons and their exams are made as `clbench run --workers 1` makes them, into a store that goes away again; the stream
is `long-worlds` (fifty lessons) on the tiny LLaMA. Resident memory counts what the allocator keeps to itself, as the
system does. What Python and torch load once, and buffers of the longest batch, are there after some lessons: growth is
told from lesson 10 on, and more than 30 MB of it is called too much (exit code 1).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clbench.core.spec import ExamBudget, Machine, ModelSpec, RunSpec
from clbench.engine.inputs import Inputs
from clbench.engine.make_unit import Workplace, make_unit
from clbench.engine.plan import plan
from clbench.engine.units import open_run

STREAM = "long-worlds"
TRAINING: dict[str, Any] = {"lr": 1e-3, "epochs": 2, "batch_size": 16}
LEARNERS: dict[str, dict[str, Any]] = {"sft": {}, "replay": {"memory": 200, "share": 0.5}}
SETTLED = 10  # lessons after which all that is loaded once is there
MOST_MB = 30.0


def resident_mb() -> float:
    """Give the memory of this process that is in RAM, in MB (Linux alone)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise OSError("the kernel does not tell")


def measured(learner: Mapping[str, Any], stream: str, model: str) -> Iterator[tuple[int, float]]:
    """Run a learner through a stream; give (lessons learnt, MB that this process holds) after each of its exams."""
    spec = RunSpec(
        name="memory",
        model=ModelSpec(name=model),
        learner=learner,
        stream=stream,
        budget=ExamBudget(policy="anchors", anchors=8, every=10),
    )
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(store=Path(folder), device="cpu")
        inputs = Inputs(None)
        workplace = Workplace(machine, inputs)
        for unit in plan([open_run(spec, inputs, workplace.store, machine)]):
            make_unit(unit, workplace)
            yield unit.lesson, resident_mb()


def main() -> int:
    """Print a table, a row for every fifth lesson; 1 where memory grows too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("learners", nargs="*", metavar="LEARNER", help="default: " + ", ".join(LEARNERS))
    parser.add_argument("--stream", default=STREAM)
    parser.add_argument("--model", default="tiny-llama")
    parser.add_argument("--every", type=int, default=5, help="lessons between rows")
    given = parser.parse_args()
    grown_too_much = False
    for name in given.learners or LEARNERS:
        settings = {"name": name, **TRAINING, **LEARNERS.get(name, {})}
        print(f"{name}\nlessons  resident MB", flush=True)
        found: dict[int, float] = {}
        for step, held in measured(settings, given.stream, given.model):
            found[step] = held
            if step % given.every == 0:
                print(f"{step:7d}  {held:11.1f}", flush=True)
        grown = max((mb for step, mb in found.items() if step >= SETTLED), default=0.0) - found.get(SETTLED, 0.0)
        grown_too_much |= grown > MOST_MB
        print(f"grown after lesson {SETTLED}: {grown:.1f} MB (at most {MOST_MB:.0f})\n", flush=True)
    return int(grown_too_much)


if __name__ == "__main__":
    sys.exit(main())
