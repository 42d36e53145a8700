"""A process that learns lesson after lesson holds no more than it needs; `bench/memory.py` measures it at length."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from clbench.core.errors import ModelError
from clbench.core.spec import ExamBudget, Machine, RunSpec
from clbench.engine import make_unit as work
from clbench.engine.inputs import Inputs
from clbench.engine.make_unit import Workplace, make_unit
from clbench.engine.plan import plan
from clbench.engine.units import Unit, open_run

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


# --- memory that runs out while a lesson is learnt ----------------------------------------------------------------


class Small(work.Workplace):
    """A workplace that can learn from so many examples at a time, and no more; nothing is loaded."""

    def __init__(self, room, batch_size=16, error=None, **machine):
        super().__init__(Machine(**machine))
        self.room, self.size, self.tried = room, batch_size, []
        self.error = error or RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    def trajectory(self, spec):
        size = self.machine.micro_batch or self.size

        class Learnt:
            config = SimpleNamespace(model_dump=lambda: {"batch_size": self.size})

            @staticmethod
            def reach(lesson):
                self.tried.append(size)
                if size > self.room:
                    raise self.error

        return Learnt()


def learnt(workplace):
    unit = Unit(key="k", spec=None, lesson=2, label="sft lesson 2", needs=None, weight=1)
    return work._reached(unit, workplace)


@pytest.mark.parametrize(("room", "tried"), [(16, [16]), (9, [16, 8]), (3, [16, 8, 4, 2]), (1, [16, 8, 4, 2, 1])])
def test_fewer_examples_are_learnt_from_at_a_time_until_they_fit(room, tried, heard):
    workplace = Small(room)
    learnt(workplace)
    assert workplace.tried == tried
    assert [text.partition("with ")[2].partition(" examples")[0] for text in heard] == [str(n) for n in tried[:-1]]
    assert workplace.given.micro_batch is None, "what was asked for is known, so that the process goes on with it"
    learnt(workplace)
    assert workplace.tried[len(tried) :] == tried[-1:], "the next lesson begins with what fitted"


def test_what_never_fits_says_what_would(heard):
    with pytest.raises(ModelError, match="one example at a time") as error:
        learnt(Small(0))
    assert "--recompute" in error.value.mend


@pytest.mark.parametrize("workplace", [
    Small(0, error=RuntimeError("shapes do not match")),  # not of memory
    Small(-1, batch_size=0),  # a learner that is not trained
    Small(0, processes=2),  # ranks agree on what each of them does
])  # fmt: skip
def test_other_errors_pass(workplace, heard):
    with pytest.raises(RuntimeError):
        learnt(workplace)
    assert len(workplace.tried) == 1 and heard == []
