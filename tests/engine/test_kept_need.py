"""What a shipped model's learner takes is found out once over all commands; of other models and learners each time."""

import pytest

from clbench.core.spec import Machine, ModelSpec, RunSpec
from clbench.engine import kept_need
from clbench.engine.inputs import Inputs
from clbench.engine.memory import Needs
from tests.builders.child import run_python

MADE: list[str] = []


@pytest.fixture
def needs(tmp_path, monkeypatch):
    """Give a maker of needs as a fresh command has it; what is found out is counted in `MADE`."""
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))
    made = Needs._made
    monkeypatch.setattr(
        Needs, "_made", lambda self, spec, *rest: MADE.append(spec.learner_name) or made(self, spec, *rest)
    )
    MADE.clear()
    return lambda **how: Needs(Machine(store=tmp_path, device="cpu", **how), Inputs(None).of, card=False)


def spec(**more):
    return RunSpec(**{"name": "x", "model": ModelSpec(name="tiny-llama"), "learner": {"name": "sft"}} | more | WORLDS)


WORLDS = {"stream": "worlds-tiny"}


def test_a_need_is_found_out_once_and_is_the_same_when_it_is_read(needs):
    first, again = needs().of(spec()), needs().of(spec())
    assert MADE == ["sft"]
    assert first == again
    assert first.as_dict() == again.as_dict()


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"learner": {"name": "sft", "lr": 0.5}},
        {"learner": {"name": "joint"}},
        {"exams": ("mini_arithmetic",)},
    ],
)
def test_another_run_is_found_out_by_itself(needs, other):
    needs().of(spec())
    needs().of(spec(**other))
    assert len(MADE) == 2


def test_another_machine_or_other_code_or_libraries_are_found_out(needs, monkeypatch):
    needs().of(spec())
    needs(micro_batch=1).of(spec())
    assert len(MADE) == 2
    monkeypatch.setattr(kept_need, "code_digest", lambda *_: "other")
    needs().of(spec())
    monkeypatch.setattr(kept_need, "LIBRARIES", ("torch",))
    needs().of(spec())
    assert len(MADE) == 4


def test_of_what_does_not_ship_nothing_is_kept(needs, monkeypatch):
    monkeypatch.setattr(kept_need, "is_shipped", lambda _: False)
    for _ in range(2):
        needs().of(spec())
    assert len(MADE) == 2


def test_the_memory_of_a_processor_is_known_without_torch():
    code = (
        "import sys; from clbench.core.spec import Machine; from clbench.models.room import room_of; "
        "room = room_of(Machine(device='cpu')); assert room.bytes and not room.card; assert 'torch' not in sys.modules"
    )
    run_python(code)
