"""A state is loaded at once: the net gets the shape that its lessons gave it, without going through them again."""

import pytest

from clbench.core import plugins
from clbench.core.spec import Machine, ModelSpec
from clbench.learners.lora import Lora
from clbench.training.method import Method

pytestmark = [pytest.mark.models, pytest.mark.xdist_group("learners")]
SHAPING = (
    ("lora", {}),
    ("lora_plus", {}),
    ("replay_lora", {}),
    ("lora_per_task", {"rank": 2, "lora_dropout": 0.1}),
    ("olora", {"rank": 2}),
    ("osf", {}),
    ("merge", {}),
    ("separate", {}),
    ("adapters", {"bottleneck": 4}),
    ("progressive", {"bottleneck": 4}),
    ("progressive_prompts", {"length": 2}),
    ("combine", {"parts": [{"name": "replay"}, {"name": "olora", "rank": 2}]}),
)


def built(name, settings, model, dtype="float32"):
    plugin = plugins.load("learner", name, "PLUGIN")
    spec = ModelSpec(name=model, dtype=dtype)
    return plugin.build(plugin.config.model_validate(settings), spec, 0, Machine(device="cpu"))


def shape(learner):
    """Give what stands in the net, in its order: name -> shape, type, whether it learns."""
    return [(n, tuple(p.shape), p.dtype, p.requires_grad) for n, p in learner.net.module.named_parameters()]


def stepped(name, settings, model, dtype="float32"):
    """Give a learner whose net went through three lessons, one after another, without learning anything."""
    learner = built(name, settings, model, dtype)
    for number in (1, 2, 3):
        learner._prepare(number)
        learner._finish(number)
    learner._masters.round(learner.net.module)
    return learner


@pytest.mark.parametrize(("name", "settings"), SHAPING)
@pytest.mark.parametrize(
    ("model", "dtype"), [("tiny-llama", "float32"), ("tiny-llama", "bfloat16"), ("tiny-bert", "float32")]
)
def test_waking_gives_the_shape_that_the_lessons_gave(name, settings, model, dtype):
    if model == "tiny-bert" and "encoder" not in plugins.load("learner", name, "PLUGIN").model_families:
        pytest.skip("it is for causal models")
    one, other = stepped(name, settings, model, dtype), built(name, settings, model, dtype)
    assert other.method.wakes_at_once()
    other._reshape(3)
    other._masters.round(other.net.module)
    assert sorted(shape(other)) == sorted(shape(one))
    assert list(other._trainable()) == list(one._trainable())  # gradients are clipped in this order
    modules = [[n for n, _ in each.net.module.named_modules()] for each in (one, other)]
    assert len(modules[0]) >= len(modules[1])  # layers without weights may be one for all adapters


class PerLesson(Lora):
    """Adds to a method that wakes at once what its waking does not know of."""

    def prepare(self, net, number):
        super().prepare(net, number)


class Knows(PerLesson):
    def wake(self, net, number):
        self.prepare(net, number)


def test_what_a_later_class_changes_is_gone_through_again():
    config = plugins.load("learner", "lora", "PLUGIN").config()
    assert Method().wakes_at_once() and Lora(config).wakes_at_once() and Knows(config).wakes_at_once()
    assert not PerLesson(config).wakes_at_once()
    own = Lora(config)
    own.finish = lambda net, number: None
    assert not own.wakes_at_once()


class Adds(Method):
    """One new parameter per lesson, drawn at random and frozen: it is no part of a saved state."""

    def prepare(self, net, number):
        import torch

        net.module.requires_grad_(True)
        net.module.register_parameter(f"extra_{number}", torch.nn.Parameter(torch.rand(3), requires_grad=False))


def test_a_method_without_a_waking_of_its_own_goes_through_its_lessons(tmp_path):
    from clbench.core.keys import folder_digest
    from clbench.training.plugin import trained
    from clbench.training.settings import Training

    def fresh():
        return trained(Training(), Adds(), ModelSpec(name="tiny-llama"), 3, Machine(device="cpu"))

    learner = fresh()
    for number in (1, 2):
        learner._prepare(number)
    learner.number = 2
    learner.save(tmp_path / "a")
    woken = fresh()
    woken.load(tmp_path / "a")
    assert [woken.net.module.get_parameter(f"extra_{n}").tolist() for n in (1, 2)] == [
        learner.net.module.get_parameter(f"extra_{n}").tolist() for n in (1, 2)
    ]
    woken.save(tmp_path / "b")
    assert folder_digest(tmp_path / "a") == folder_digest(tmp_path / "b")


def test_an_adapter_beside_the_net_answers_and_is_saved_as_if_it_stood_in_it(tmp_path):
    """One net with all adapters in it, and the learner that keeps but the last one there."""
    import torch
    from safetensors.torch import load_file

    from clbench.core.types import Decode
    from clbench.data.streams.stream import lessons, open_stream
    from clbench.learners._shared.adapters import acting, adapter_of, add_all

    settings = {"rank": 2, "epochs": 1, "batch_size": 8, "lr": 1e-2, "unlike": None}
    learner = built("lora_per_task", settings, "tiny-llama", "bfloat16")
    stream = open_stream("worlds-tiny", None)
    taught = lessons(stream.model_copy(update={"task_ids": "given"}))
    for lesson in taught:
        learner.learn(lesson)
    assert [n for n in dict(learner.net.module.named_parameters()) if ".default." in n or ".lesson2." in n] == []
    learner.save(tmp_path)
    saved = load_file(tmp_path / "answers" / "weights.safetensors")
    for settled in (tmp_path / "parts").iterdir():
        saved |= load_file(settled)
    assert {w.dtype for w in saved.values()} == {torch.bfloat16}
    whole = built("lora_per_task", settings, "tiny-llama", "bfloat16")
    add_all(whole.net, whole.method.config, 3)
    with torch.no_grad():
        for name, weight in saved.items():
            whole.net.module.get_parameter(name).copy_(weight)
    whole.net.module.eval()
    woken = built("lora_per_task", settings, "tiny-llama", "bfloat16")
    woken.load(tmp_path)
    for part, task in enumerate(stream.tasks, 1):
        decode = Decode(kind="label", task_id=task.name)
        with acting(whole.net, [adapter_of(part)]):
            expected = whole.net.respond(task.exam[:6], decode)
        assert learner.respond(task.exam[:6], decode) == woken.respond(task.exam[:6], decode) == expected
    assert {a.text for a in expected}


def test_weights_of_another_model_are_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    from clbench.core.errors import StoreError

    learner = built("sft", {}, "tiny-llama")
    learner.number = 1
    learner._changed = set(learner._trainable())
    learner.save(tmp_path)
    path = tmp_path / "answers" / "weights.safetensors"
    weights = load_file(path)
    save_file(weights | {"model.elsewhere": next(iter(weights.values())).clone()}, path)
    with pytest.raises(StoreError, match=r"other parts, for example model\.elsewhere"):
        built("sft", {}, "tiny-llama").load(tmp_path)
