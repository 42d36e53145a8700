"""Ways to need less memory while a lesson is learnt: they change how it is computed, and not what is learnt."""

from dataclasses import replace
from functools import lru_cache

import pytest
import torch

from clbench.core import plugins
from clbench.core.events import notice_listener
from clbench.core.keys import digest
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Example, Lesson, Message
from clbench.learners.agem import mean_gradient
from clbench.models.load import load_net
from clbench.training.loop import GradientLearner

pytestmark = pytest.mark.xdist_group("learners")
MODELS = {"causal": "tiny-llama", "encoder": "tiny-bert"}
PLUGINS = {n: plugins.load("learner", n, "PLUGIN") for n in plugins.names("learner")}
TRAINED = [n for n, plugin in PLUGINS.items() if plugin.trains != "none" and plugin.elsewhere is None]
EVERY = [(n, model) for n in TRAINED for family, model in MODELS.items() if family in PLUGINS[n].model_families]
# AdamW makes a step of a gradient that is nothing but rounding, such as that of a BERT's key biases.
ROUNDING = 0.02
SMALL = {"memory": 8, "batch_size": 16, "epochs": 2, "lr": 1e-3}


def lesson(number, model, num=16):
    """Questions and answers of very different lengths; the second lesson answers those of the first the other way."""
    answers = ("red", "a deep and rather unusual shade of blue")
    examples = tuple(
        Example(
            id=f"{number}-{i}",
            prompt=(Message(role="user", content=f"what is {i} " + "zan " * (i * 5 % 13)),),
            targets=(answers[(i + number) % 2],),
            choices=answers if model == "tiny-bert" else (),
        )
        for i in range(num)
    )
    return Lesson(number=number, examples=examples, digest=digest(examples))


def taught(name, model="tiny-llama", **how):
    """Return the weights after one lesson and after two."""
    plugin = PLUGINS[name]
    known = {k: v for k, v in SMALL.items() if k in plugin.config.model_fields}
    learner = plugin.build(plugin.config(**known), ModelSpec(name=model), 0, Machine(device="cpu", **how))
    found = []
    for number in (1, 2):
        learner.learn(lesson(number, model))
        found.append({n: p.detach().clone() for n, p in learner.net.module.named_parameters()})
    return found


@lru_cache
def plainly_taught(name, model="tiny-llama"):
    return taught(name, model)


def error(found, first, last):
    """Return the distance from weights `last`, as a share of what the second lesson changed and added."""
    wrong = sum(float((last[n] - found[n]).double().square().sum()) for n in last)
    moved = sum(float((last[n] - first.get(n, 0)).double().square().sum()) for n in last)
    return (wrong / moved) ** 0.5


@pytest.mark.parametrize("name", TRAINED)
def test_recomputed_activations_give_the_same_weights_to_the_bit(name):
    _, last = plainly_taught(name)
    _, found = taught(name, recompute=True)
    assert all(torch.equal(found[n], last[n]) for n in last)


@pytest.mark.parametrize(("name", "model"), EVERY)
def test_four_parts_of_four_add_up_to_a_batch_of_sixteen(name, model):
    first, last = plainly_taught(name, model)
    _, found = taught(name, model, micro_batch=4)
    assert error(found, first, last) < ROUNDING


def test_parts_of_unequal_size_add_up_to_a_batch():
    first, last = plainly_taught("replay")
    _, found = taught("replay", micro_batch=3)
    assert error(found, first, last) < ROUNDING


def test_parts_that_are_weighed_alike_would_be_seen(monkeypatch):
    first, last = plainly_taught("sft")
    sound = GradientLearner._parts

    def alike(self, *args):
        parts = sound(self, *args)
        return [replace(part, share=1 / len(parts)) for part in parts]

    monkeypatch.setattr(GradientLearner, "_parts", alike)
    _, found = taught("sft", micro_batch=3)
    assert error(found, first, last) > 0.05


def test_the_gradient_that_agem_looks_at_is_the_mean_over_all_targets():
    net = load_net(ModelSpec(), Machine(device="cpu"))
    params = list(net.module.parameters())
    whole = mean_gradient(net, lesson(1, "tiny-llama").examples, params)
    net.micro_batch = 3
    found = mean_gradient(net, lesson(1, "tiny-llama").examples, params)
    for a, b in zip(whole, found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)


def test_the_learners_that_look_at_old_examples_did_so():
    """Else the tests above would compare plain fine-tuning with itself."""
    _, plain = plainly_taught("sft")
    for name in ("derpp", "generative_replay", "replay"):
        _, last = plainly_taught(name)
        assert any(not torch.equal(plain[n], last[n]) for n in plain), name


def test_an_architecture_that_cannot_recompute_says_so(monkeypatch):
    from transformers import LlamaForCausalLM

    monkeypatch.setattr(LlamaForCausalLM, "supports_gradient_checkpointing", False)
    said = []
    token = notice_listener.set(said.append)
    try:
        taught("sft", recompute=True)
    finally:
        notice_listener.reset(token)
    assert any("LlamaForCausalLM has no gradient checkpointing" in line for line in said)
