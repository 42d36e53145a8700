"""How questions find their part: told, by key, or not at all, the same for every isolated method."""

from types import SimpleNamespace

import pytest
import torch

from clbench.core import plugins
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Decode
from clbench.data.exams.exam import open_exams
from clbench.data.streams.stream import lessons, open_stream
from clbench.engine.ask import unanswered
from clbench.learners._shared.lesson_keys import FLOOR, Isolated, Parts, distance, farthest

pytestmark = pytest.mark.xdist_group("methods")
ISOLATED = ("lora_per_task", "adapters", "progressive", "progressive_prompts", "separate")
TEXT = Decode()


def known(unlike, *lessons_):
    """Parts whose lessons hold the given states."""
    made = Parts(Isolated(unlike=unlike))
    for number, states in enumerate(lessons_, start=1):
        name = str(number)
        made.keys[name], made.spreads[name] = states.mean(0), states.var(0, correction=0)
        made.limits[name] = farthest(states)
    return made


def clouds(seed=0):
    torch.manual_seed(seed)
    here, there = torch.zeros(6), torch.zeros(6)
    here[0], there[1] = 20.0, 20.0
    return here + torch.randn(40, 6), there + torch.randn(40, 6)


def test_distance_and_the_farthest_prompt_are_those_worked_out_one_by_one():
    states, _ = clouds()
    key, spread = states.mean(0), states.var(0, correction=0)
    by_hand = [
        sum(float((x - k) ** 2 / (v + FLOOR * spread.mean())) for x, k, v in zip(row, key, spread, strict=True)) / 6
        for row in states
    ]
    assert distance(states, key, spread).tolist() == pytest.approx(by_hand, rel=1e-4)
    left_out = []
    for i in range(len(states)):
        others = torch.cat([states[:i], states[i + 1 :]])
        left_out.append(float(distance(states[i : i + 1], others.mean(0), others.var(0, correction=0))))
    assert float(farthest(states)) == pytest.approx(max(left_out), rel=1e-3)


def test_one_prompt_alone_has_no_farthest():
    assert float(farthest(torch.ones(1, 4))) == 1.0
    assert float(farthest(torch.ones(5, 4))) == 1.0


def test_states_find_the_nearest_lesson_and_those_unlike_every_lesson_find_none():
    one, two = clouds()
    parts = known(2.0, one, two)
    new_one, new_two = clouds(seed=1)
    far = torch.randn(9, 6) + torch.tensor([0.0, 0.0, 20.0, 0.0, 0.0, 0.0])
    assert parts.nearest(torch.cat([new_two[:5], new_one[:5], far])) == [2] * 5 + [1] * 5 + [None] * 9
    always = known(None, one, two)
    assert None not in always.nearest(far)
    strict = known(0.01, one, two)
    assert strict.nearest(new_one) == [None] * 40


def test_what_is_far_from_its_nearest_key_and_like_another_lesson_is_not_unlike_every_lesson():
    narrow = torch.tensor([10.0, 0.0]) + 0.01 * torch.randn(30, 2, generator=torch.Generator().manual_seed(0))
    wide = torch.tensor([0.0, 10.0]) + 5.0 * torch.randn(30, 2, generator=torch.Generator().manual_seed(0))
    assert known(2.0, narrow, wide).nearest(torch.tensor([[6.0, 5.0]])) == [1]
    assert known(2.0, narrow).nearest(torch.tensor([[6.0, 5.0]])) == [None]


def test_a_task_that_is_told_needs_no_key():
    parts = Parts(Isolated())
    parts.tasks = {"a": 1, "b": 2}
    never = SimpleNamespace()  # neither read nor asked
    for task, part in (("a", 1), ("b", 2), ("c", None)):
        decode = TEXT.model_copy(update={"task_id": task})
        assert parts.routes(never, ["x", "y"], decode, lambda _: pytest.fail("read")) == [part, part]
    assert parts.routes(never, [], TEXT, lambda _: pytest.fail("read")) == []


# --- the methods ------------------------------------------------------------------------------------------------


def taught(name, task_ids, **settings):
    """A learner after two lessons of small worlds, at a rate at which it unlearns all else."""
    plugin = plugins.load("learner", name, "PLUGIN")
    given = {
        "lr": 5e-2 if name == "progressive_prompts" else 1e-2,
        "epochs": 2,
        "batch_size": 8,
        "decay": "constant",
        **settings,
    }
    made = plugin.build(plugin.config(**given), ModelSpec(name="tiny-llama"), 0, Machine(device="cpu"))
    stream = open_stream("worlds-tiny", None).model_copy(update={"task_ids": task_ids})
    for number, lesson in enumerate(lessons(stream)[1:], start=1):
        made.learn(lesson.model_copy(update={"number": number}))
    return made, open_exams(["abilities"], stream, 6)


def answers(made, exam):
    return [a.text for a in made.respond([unanswered(e) for e in exam.examples], exam.decode)]


@pytest.fixture(scope="module")
def base():
    plugin = plugins.load("learner", "frozen", "PLUGIN")
    return plugin.build(plugin.config(), ModelSpec(name="tiny-llama"), 0, Machine(device="cpu"))


def share_of_base(made, exams, base):
    same = [a == b for exam in exams for a, b in zip(answers(made, exam), answers(base, exam), strict=True)]
    return sum(same) / len(same)


@pytest.mark.parametrize(
    ("name", "task_ids"),
    [(n, "given") for n in ISOLATED] + [(n, "boundaries") for n in ISOLATED if n != "separate"],  # it must be told
)
def test_questions_of_abilities_are_answered_by_the_base_and_those_of_lessons_are_not(name, task_ids, base):
    made, exams = taught(name, task_ids)
    abilities = [e for e in exams if e.kind != "task"]
    assert len(abilities) == 8
    assert share_of_base(made, abilities, base) > 0.9
    for exam in exams[1:3]:  # of the worlds that were taught
        decode = exam.decode.model_copy(update={"task_id": None})
        assert None not in made.method.parts.routes(made.net, exam.examples, decode, at_of(made))
    if task_ids == "given":
        never = exams[0]
        assert answers(made, never) == answers(base, never)


def at_of(made):
    """What puts a part to work, by which the method of a learner asks for keys."""
    method = made.method
    if hasattr(method, "switch") or hasattr(method, "columns"):
        return (method.columns.switch if hasattr(method, "columns") else method.switch).at
    return method.at(made.net) if hasattr(method, "at") else lambda part: method._at(made.net, part)


@pytest.mark.parametrize("name", ["lora_per_task", "adapters"])
def test_without_the_rule_their_parts_would_answer_abilities_otherwise(name, base):
    made, exams = taught(name, "boundaries", unlike=None)
    assert share_of_base(made, [e for e in exams if e.kind != "task"], base) < 0.7
