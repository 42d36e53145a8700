"""A process that learns lesson after lesson holds no more than it needs; `bench/memory.py` measures it at length."""

import sys
from pathlib import Path

import pytest

from clbench.core.spec import ExamBudget, Machine, RunSpec
from clbench.engine.inputs import Inputs
from clbench.engine.make_unit import Workplace, make_unit
from clbench.engine.plan import plan
from clbench.engine.units import open_run

pytestmark = pytest.mark.models

LESSONS, SETTLED, MOST_MB = 12, 4, 30.0
STREAM = f"""\
name: many
worlds: [{{num: {LESSONS}, kinds: [facts], languages: [en], seed: 5, items: 8, classes: 3, wordings: 1, exam_items: 4}}]
task_ids: boundaries
about: {{license: Apache-2.0, text: small lessons}}
"""


def resident_mb():
    (line,) = [r for r in Path("/proc/self/status").read_text().splitlines() if r.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_lessons_do_not_add_up_in_memory(tmp_path):
    stream = tmp_path / "many.yaml"
    stream.write_text(STREAM)
    learner = {"name": "replay", "memory": 40, "share": 0.5, "epochs": 1, "batch_size": 8}  # lesson 1 is that of sft
    budget = ExamBudget(policy="anchors", anchors=1, every=LESSONS)
    spec = RunSpec(name="a", learner=learner, stream=str(stream), budget=budget)
    held = {}
    machine = Machine(store=tmp_path / "store", device="cpu")
    inputs = Inputs(None)
    workplace = Workplace(machine, inputs)
    for unit in plan([open_run(spec, inputs, workplace.store, machine)]):
        make_unit(unit, workplace)
        held[unit.lesson] = resident_mb()
    assert len(held) == LESSONS + 1
    assert max(held.values()) - held[SETTLED] < MOST_MB, held
