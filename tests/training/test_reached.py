"""What the gradient of a lesson does not reach: refused where a method has added it, else counted and told."""

import json

import pytest
import torch
from torch import nn

from clbench.core import plugins
from clbench.core.errors import LessonError
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Example, Lesson, Message
from clbench.models.load import load_net
from clbench.training.loop import GradientLearner
from clbench.training.method import Method
from clbench.training.settings import Training
from tests.builders import zoo

pytestmark = [pytest.mark.xdist_group("models"), pytest.mark.filterwarnings("ignore")]
TRAINING = Training(lr=1e-3, epochs=1, batch_size=2, warmup=0.0)
LESSON = Lesson(
    number=1,
    examples=tuple(
        Example(id=str(i), prompt=(Message(role="user", content=f"{i}"),), targets=("a",)) for i in range(4)
    ),
    digest="one",
    task_name="one",
)


class Unread(Method):
    """Adds a part that the model does not read."""

    def prepare(self, net, number):
        net.module.add_module("extra", nn.Linear(3, 2))


class Frozen(Unread):
    def prepare(self, net, number):
        super().prepare(net, number)
        net.module.get_submodule("extra").requires_grad_(False)


def counts_of(learner, folder):
    learner.save(folder)
    return json.loads((folder / "counts.json").read_text())


def test_a_part_that_nothing_depends_on_is_an_error_after_the_first_batch():
    net = load_net(ModelSpec(name="tiny-llama"), Machine(device="cpu"))
    with pytest.raises(LessonError, match=r"no gradient reaches extra\.weight, extra\.bias") as error:
        GradientLearner(TRAINING, Unread(), net, 0, Machine(device="cpu")).learn(LESSON)
    assert "first batch" in error.value.where
    assert "requires_grad" in error.value.mend
    net = load_net(ModelSpec(name="tiny-llama"), Machine(device="cpu"))
    GradientLearner(TRAINING, Frozen(), net, 0, Machine(device="cpu")).learn(LESSON)


def test_weights_of_the_model_that_are_not_used_are_counted_and_told(heard, tmp_path):
    net = load_net(ModelSpec(name="tiny-llama"), Machine(device="cpu"))
    used = sum(p.numel() for p in net.module.parameters())
    net.module.add_module("tower", nn.Linear(7, 5))
    learner = GradientLearner(TRAINING, Method(), net, 0, Machine(device="cpu"))
    learner.learn(LESSON)
    assert f"no gradient reaches tower.weight, tower.bias, {40 / (used + 40):.1%} of the weights" in heard[-1]
    counts = counts_of(learner, tmp_path)
    assert counts["trained_parameters"] == used + 40
    assert counts["unreached_parameters"] == 40
    assert "idle_expert_parameters" not in counts


def test_a_model_of_which_all_is_used_says_nothing(heard, tmp_path):
    net = load_net(ModelSpec(name="tiny-llama"), Machine(device="cpu"))
    learner = GradientLearner(TRAINING, Method(), net, 0, Machine(device="cpu"))
    learner.learn(LESSON)
    counts = counts_of(learner, tmp_path)
    assert counts["trained_parameters"] == sum(p.numel() for p in net.module.parameters())
    assert "unreached_parameters" not in counts
    assert heard == []


def test_layers_that_are_left_out_at_random_are_no_error():
    net = load_net(ModelSpec(name="tiny-llama"), Machine(device="cpu"))
    net.module.config.layerdrop = 0.1
    GradientLearner(TRAINING, Unread(), net, 0, Machine(device="cpu")).learn(LESSON)


@pytest.fixture(scope="module")
def mixtral(tmp_path_factory):
    """A model of many experts, of which a token chooses one."""
    kind, settings = zoo.DECODERS["mixtral"]
    folder = tmp_path_factory.mktemp("zoo") / "mixtral"
    many = {**settings, "num_local_experts": 16, "num_experts_per_tok": 1}
    return zoo.checkpoint(folder, "mixtral", (kind, many))


def built(name, folder, **machine):
    plugin = plugins.load("learner", name, "PLUGIN")
    config = plugin.config(lr=1e-3, epochs=1, batch_size=2, warmup=0.0)
    return plugin.build(config, ModelSpec(name=str(folder)), 0, Machine(device="cpu", **machine))


@pytest.mark.parametrize("name", ["sft", "lora"])
def test_idle_experts_are_counted_as_the_weights_that_did_not_move(name, mixtral, heard, tmp_path):
    learner = built(name, mixtral)
    before = {n: p.detach().clone() for n, p in learner.net.module.named_parameters() if "experts" in n}
    learner.learn(LESSON)
    still = 0
    for path, param in learner.net.module.named_parameters():
        if name == "sft" and "experts" in path:
            still += sum(a.numel() for a, b in zip(before[path], param, strict=True) if a.equal(b))
        if name == "lora" and "experts" in path and ".lora_B." in path:
            wide = learner.net.module.get_parameter(path.replace("lora_B", "lora_A")).shape[1]
            idle = sum(not param[:, expert::16].any() for expert in range(16))
            still += idle * 16 * (len(param) + wide)  # of rank 16
    assert still > 0
    counts = counts_of(learner, tmp_path)
    assert counts["idle_expert_parameters"] == still
    assert "unreached_parameters" not in counts
    share = still / counts["trained_parameters"]
    assert f"no gradient reaches the experts that hold {share:.1%} of the weights that learn" in heard[-1]


def test_a_lesson_that_was_stopped_counts_as_one_that_was_not(mixtral, tmp_path, monkeypatch):
    whole, stopped, resumed = (built("sft", mixtral, checkpoint_s=0) for _ in range(3))
    whole.learn(LESSON, tmp_path / "none")
    steps = []

    def stop(*_):
        steps.append(1)
        if len(steps) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(stopped.method, "after_step", stop)
    with pytest.raises(KeyboardInterrupt):
        stopped.learn(LESSON, tmp_path / "progress")
    resumed.learn(LESSON, tmp_path / "progress")
    assert counts_of(resumed, tmp_path / "a") == counts_of(whole, tmp_path / "b")
    woken = built("sft", mixtral)
    woken.load(tmp_path / "a")
    assert counts_of(woken, tmp_path / "c") == counts_of(whole, tmp_path / "b")


def test_experts_of_their_own_modules_are_told_by_their_name():
    from clbench.training.reached import count_unreached

    class Mixture(nn.Module):
        def __init__(self):
            super().__init__()
            self.experts = nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])
            self.tower = nn.Linear(2, 2)

    module = Mixture()
    params = dict(module.named_parameters())
    optimizer = torch.optim.AdamW(params.values())
    module.experts[1](torch.ones(1, 4)).sum().backward()
    optimizer.step()
    assert count_unreached(module, params, optimizer, 1) == {
        "trained_parameters": 3 * 20 + 6,
        "unreached_parameters": 6,
        "idle_expert_parameters": 40,
    }
