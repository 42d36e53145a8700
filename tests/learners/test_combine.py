"""Methods in one: each part does what it does alone, in order, and parts that cannot go together are refused."""

import pytest
import torch

from clbench.core import plugins
from clbench.core.errors import SpecError
from clbench.core.keys import canonical, digest, rng
from clbench.core.protocols import LearnerPlugin
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Budget, Decode, Example, Lesson, Message
from clbench.engine.resolve import open_learner
from clbench.learners import combine
from clbench.learners.combine import Combined, Config
from clbench.models.net import Forward
from clbench.training.method import Method
from clbench.training.settings import Training
from clbench.training.state_files import save_state

pytestmark = pytest.mark.xdist_group("methods")


def lesson(step=1, num=8, **changes):
    examples = tuple(
        Example(
            id=f"{step}-{i}",
            prompt=(Message(role="user", content=f"zan {step} {i}"),),
            targets=(("red", "blue")[(step + i) % 2],),
            choices=("red", "blue"),
        )
        for i in range(num)
    )
    return Lesson(number=step, examples=examples, digest=digest(examples), **changes)


def learner(name, model="tiny-llama", **settings):
    plugin = plugins.load("learner", name, "PLUGIN")
    config = plugin.config(**{"lr": 1e-3, "batch_size": 4, "epochs": 1, "warmup": 0.0, **settings})
    return plugin.build(config, ModelSpec(name=model), 0, Machine(device="cpu"))


def taught(name, steps=(1, 2), **settings):
    made = learner(name, **settings)
    for step in steps:
        made.learn(lesson(step))
    return made


def weights(made):
    return {n: p.detach().clone() for n, p in made.net.module.named_parameters()}


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[n], right[n]) for n in left)


def as_saved(state, folder):
    """Give the bytes of a state as it is kept."""
    save_state(folder, state)
    return {path.name: path.read_bytes() for path in folder.glob("*")}


# --- one part is that learner --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("replay", {"share": 0.5, "memory": 5}),
        ("ewc", {"strength": 50.0, "fisher_examples": 4}),
        ("lora_plus", {"rank": 4}),
        ("olora", {"rank": 2}),
        ("osf", {}),
        ("merge", {"how": "dare"}),
        ("lora_per_task", {"rank": 2}),
    ],
)
def test_one_part_is_that_learner_bit_for_bit(name, settings, tmp_path):
    alone, one = taught(name, **settings), taught("combine", parts=[{"name": name, **settings}])
    assert same(weights(one), weights(alone))
    for i, (whole, part) in enumerate(
        [(one.method.state(), alone.method.state()), (one.method.answer_state(), alone.method.answer_state())]
    ):
        stripped = {key.removeprefix("0."): value for key, value in whole.items()}
        assert all(key.startswith("0.") for key in whole)
        assert as_saved(stripped, tmp_path / f"one{i}") == as_saved(part, tmp_path / f"alone{i}")
    decode = Decode(kind="label")
    assert one.respond(lesson(3).examples, decode) == alone.respond(lesson(3).examples, decode)


# --- two parts do both ---------------------------------------------------------------------------------------------

REPLAY, FAST = {"name": "replay", "share": 1.0, "memory": 6}, {"name": "lora_plus", "rank": 2, "ratio": 3.0}


def test_two_parts_have_both_effects():
    both = taught("combine", parts=[REPLAY, FAST])
    assert len(both.method.parts[0].memory) == 6
    assert any(".lora_B." in n and float(v.abs().sum()) > 0 for n, v in weights(both).items())
    assert both.method.lr_scale("x.lora_B.default.weight") == 3.0
    replay_off = taught("combine", parts=[{**REPLAY, "share": 0.0}, FAST])
    slow = taught("combine", parts=[REPLAY, {**FAST, "ratio": 1.0}])
    assert same(weights(replay_off), weights(taught("lora_plus", rank=2, ratio=3.0)))
    for other in (replay_off, slow):
        assert not same(weights(both), weights(other))


def test_replay_lora_is_the_combination_of_its_parts():
    settings = {"rank": 4, "targets": ("q_proj",)}
    made = taught("replay_lora", share=0.5, memory=6, **settings)
    other = taught("combine", parts=[{"name": "replay", "share": 0.5, "memory": 6}, {"name": "lora", **settings}])
    assert same(weights(made), weights(other))
    assert canonical(made.method.state()) == canonical(other.method.state())
    lora = taught("lora", **settings)
    assert not same(weights(made), weights(lora))
    assert same(weights(taught("replay_lora", (1,), **settings)), weights(taught("lora", (1,), **settings)))


class Noted(Method):
    """A part that writes down what it sees, and adds and multiplies by fixed numbers."""

    def __init__(self, name, log, adds=0.0):
        self.name, self.log, self.adds = name, log, adds

    def expand(self, net, lesson, rng):
        self.log.append(f"widen {self.name}")
        return lesson.model_copy(update={"examples": (*lesson.examples, *lesson.examples[: len(self.name)])})

    def compose_batch(self, batch, rng):
        self.log.append(f"mix {self.name} {len(batch)}")
        return [*batch, *batch]

    def loss(self, net, batch, out):
        return out.loss + self.adds if self.adds else out.loss

    def edit_gradients(self, net):
        self.log.append(f"project {self.name}")

    def finish(self, net, step):
        self.log.append(f"finish {self.name} {step}")

    def consolidate(self, net, lesson, rng):
        self.log.append(f"settle {self.name}")

    def lr_scale(self, name):
        return 2.0 if name == self.name else 5.0


def test_hooks_go_through_the_parts_in_order():
    log, net = [], learner("sft").net
    whole = Combined([Noted("a", log), Noted("bb", log)])
    assert len(whole.expand(net, lesson(num=4), None).examples) == 4 + 1 + 2
    assert len(whole.compose_batch([1], None)) == 4
    whole.edit_gradients(net)
    whole.finish(net, 7)
    whole.consolidate(net, lesson(), None)
    assert log == [
        *("widen a", "widen bb", "mix a 1", "mix bb 2", "project a", "project bb"),
        *("finish a 7", "finish bb 7", "settle a", "settle bb"),
    ]
    assert [whole.lr_scale(n) for n in ("a", "bb", "c")] == [10.0, 10.0, 25.0]


@pytest.mark.parametrize(("adds", "loss"), [((0.0, 0.0), 0.1), ((0.5, 0.0), 0.6), ((0.5, 0.25), 0.85)])
def test_losses_add_up(adds, loss):
    out = Forward(torch.tensor(0.1), torch.zeros(1, 2), torch.zeros(1))
    whole = Combined([Noted(str(i), [], a) for i, a in enumerate(adds)])
    assert whole.loss(None, None, out).item() == pytest.approx(loss)
    if adds == (0.0, 0.0):
        assert whole.loss(None, None, out) is out.loss


def test_a_combination_inside_another_is_taken_apart():
    inner = Combined([Noted("a", []), Noted("b", [])])
    assert [p.name for p in Combined([inner, Noted("c", [])]).parts] == ["a", "b", "c"]


# --- what parts share ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [Budget(examples=5), Budget(bytes=1500), Budget(examples=0)])
def test_two_memories_share_one_budget(budget):
    parts = [{"name": "replay", "memory": 3}, {"name": "replay", "memory": 50}]
    whole = combine.method_of(Config(parts=parts))
    for step in (1, 2):
        whole.consolidate(None, lesson(step, budget=budget), rng(0, step, "settle"))
        first, second = (part.memory for part in whole.parts)
        kept = [*first, *second]
        assert len(kept) <= (budget.examples if budget.examples is not None else 99)
        assert len(canonical(kept).encode()) <= (budget.bytes or 10**9)
        if budget.examples == 5:
            assert (len(first), len(second)) == (3, 2)


def test_training_settings_of_the_whole_reach_the_parts():
    whole = combine.method_of(Config(lr=0.125, epochs=7, parts=[{"name": "replay", "memory": 9}]))
    (part,) = whole.parts
    assert (part.config.lr, part.config.epochs, part.config.memory) == (0.125, 7, 9)


def test_settings_are_filled_in_and_stay_as_they_are():
    config = Config(parts=[{"name": "replay", "share": 0.5}, {"name": "lora"}])
    first, second = config.parts
    assert first["share"] == 0.5
    assert first["memory"] == 200
    assert second["rank"] == 16
    assert not set(Training.model_fields) & (set(first) | set(second))
    assert first["version"] == plugins.load("learner", "replay", "PLUGIN").version
    again = Config.model_validate(config.model_dump(mode="json"))
    assert canonical(again) == canonical(config)


def test_a_new_version_of_a_part_is_another_result(monkeypatch):
    import dataclasses

    from clbench.learners import replay

    before = canonical(Config(parts=[{"name": "replay"}]))
    monkeypatch.setattr(replay, "PLUGIN", dataclasses.replace(replay.PLUGIN, version=replay.PLUGIN.version + 1))
    assert canonical(Config(parts=[{"name": "replay"}])) != before


# --- what is refused -----------------------------------------------------------------------------------------------

REFUSED = {
    "no name": ([{"memory": 3}], "needs a name"),
    "unknown learner": ([{"name": "repaly"}], "replay"),
    "a file": ([{"name": "my_file.py:Mine"}], "is a file, and only learners"),
    "unknown setting": ([{"name": "replay", "memroy": 3}], "memory"),
    "value out of range": ([{"name": "sft"}, {"name": "replay", "share": 2.0}], "learner.parts[1].share"),
    "a training setting": ([{"name": "replay", "lr": 1e-3}], "beside `parts`"),
    "not trained": ([{"name": "frozen"}], "not trained"),
    "at once": ([{"name": "joint"}], "at once"),
    "two that change the model": ([{"name": "lora"}, {"name": "osf"}], "lora and osf"),
    "the same twice": ([{"name": "merge"}, {"name": "merge"}], "merge and merge"),
    "two that answer": ([{"name": "lora_per_task"}, {"name": "lora_per_task"}], "answer in their own way"),
    "one hidden in a combination": ([{"name": "replay_lora"}, {"name": "olora"}], "replay_lora and olora"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_a_part_is_refused_before_anything_is_spent(case):
    parts, said = REFUSED[case]
    with pytest.raises(SpecError) as error:
        open_learner({"name": "combine", "parts": parts})
    assert said in str(error.value)


def test_no_parts_are_refused():
    with pytest.raises(SpecError):
        open_learner({"name": "combine", "parts": []})


def test_a_part_that_must_be_told_the_task_is_refused(monkeypatch):
    import dataclasses

    from clbench.learners import replay

    monkeypatch.setattr(replay, "PLUGIN", dataclasses.replace(replay.PLUGIN, needs_task_ids=True))
    with pytest.raises(SpecError, match="must be told the task"):
        Config(parts=[{"name": "replay"}])


def test_a_part_for_other_models_is_refused():
    with pytest.raises(SpecError, match="not defined on encoder models"):
        learner("combine", model="tiny-bert", parts=[{"name": "lora_per_task"}])


@pytest.mark.parametrize("shape", ["olora", "osf"])
def test_a_part_whose_weights_leave_training_is_refused_where_it_shows(shape):
    settings = {"rank": 2} if shape == "olora" else {}
    made = learner("combine", parts=[{"name": "ewc", "fisher_examples": 2}, {"name": shape, **settings}])
    made.learn(lesson(1, 4))
    with pytest.raises(SpecError, match="takes out of training"):
        made.learn(lesson(2, 4))


def test_ewc_beside_lora_is_not_refused_and_pulls():
    parts = [{"name": "ewc", "fisher_examples": 4, "strength": 1e4}, {"name": "lora", "rank": 2}]
    held, free = taught("combine", parts=parts), taught("lora", rank=2)
    assert not same(weights(held), weights(free))


# --- sleep ---------------------------------------------------------------------------------------------------------


def test_sleep_gives_each_part_its_own_state(tmp_path):
    parts = [{"name": "replay", "memory": 5}, {"name": "ewc", "fisher_examples": 4}, {"name": "lora", "rank": 2}]
    made = taught("combine", (1,), parts=parts)
    made.save(tmp_path)
    woken = learner("combine", parts=parts)
    woken.load(tmp_path)
    assert woken.method.parts[0].memory == made.method.parts[0].memory
    assert same(woken.method.parts[1].anchor, made.method.parts[1].anchor)
    for each in (made, woken):
        each.learn(lesson(2))
    assert same(weights(made), weights(woken))


def test_the_declaration_says_what_the_engine_must_know():
    assert isinstance(combine.PLUGIN, LearnerPlugin)
    assert combine.PLUGIN.method is combine.method_of
    assert combine.PLUGIN.neutral == {"parts": [{"name": "sft"}]}
