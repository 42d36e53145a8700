"""Weights of 16 bits learn as those of 32 do: master copies in lessons, in checkpoints and between lessons."""

import json

import pytest
import torch

from clbench.core import plugins
from clbench.core.errors import ModelError, SpecError
from clbench.core.keys import folder_digest
from clbench.core.spec import Machine, ModelSpec, RunSpec
from clbench.core.types import Decode
from clbench.data.streams.stream import lessons, open_stream
from clbench.engine.resolve import check_learner
from clbench.testing.learners import _StoppedError, _stopping
from clbench.training.precision import Masters

pytestmark = pytest.mark.xdist_group("models")
STREAM = open_stream("worlds-tiny", None)
LESSONS = lessons(STREAM)
USUAL = 2e-5


def made(name="sft", dtype="float32", model="tiny-llama", **settings):
    plugin = plugins.load("learner", name, "PLUGIN")
    known = {"lr": 1e-3, "epochs": 1, "batch_size": 8, "warmup": 0.0, **settings}
    return plugin.build(plugin.config(**known), ModelSpec(name=model, dtype=dtype), 0, Machine(device="cpu"))


def weights(learner):
    return {n: p.detach().float().clone() for n, p in learner.net.module.named_parameters()}


def masters(learner):
    return learner._masters.kept or weights(learner)


def taught(dtype, **settings):
    """Learn one lesson; give how the weights moved, and the loss on the lesson before and after."""
    learner = made(dtype=dtype, **settings)
    batch = learner.net.batch(LESSONS[0].examples)
    before, losses = weights(learner), [loss(learner, batch)]
    learner.learn(LESSONS[0])
    losses.append(loss(learner, batch))
    return {n: p - before[n] for n, p in masters(learner).items()}, losses


@torch.no_grad()
def loss(learner, batch):
    return float(learner.net.forward(learner.net.module, batch).loss)


def flat(moved):
    return torch.cat([moved[n].flatten() for n in sorted(moved)])


def test_at_the_usual_rate_as_many_weights_move_as_in_float32():
    whole, half = (flat(taught(d, lr=USUAL)[0]) for d in ("float32", "bfloat16"))
    share, own = (float((m != 0).float().mean()) for m in (whole, half))
    assert share > 0.97
    assert abs(share - own) < 0.02
    assert float(torch.cosine_similarity(whole, half, dim=0)) > 0.8


def test_the_loss_follows_that_of_float32():
    (whole, before), (half, after) = taught("float32", epochs=3), taught("bfloat16", epochs=3)
    assert after[0] == pytest.approx(before[0], rel=0.02)
    assert after[1] < 0.8 * after[0]
    assert abs(after[1] - before[1]) < 0.05 * (before[0] - before[1])
    apart = (flat(whole) - flat(half)).norm() / flat(whole).norm()
    assert apart < 0.5


@pytest.mark.parametrize("name", ["sft", "lora", "olora", "adapters", "joint", "osf"])
def test_what_trains_in_float16_is_refused_with_what_to_take(name):
    spec = RunSpec(name="a", model=ModelSpec(dtype="float16"), learner={"name": name}, stream="worlds-tiny")
    with pytest.raises(SpecError, match=f"{name!r} trains weights") as refused:
        check_learner(spec, STREAM)
    assert refused.value.where == "model.dtype" and "bfloat16" in refused.value.mend
    check_learner(spec.model_copy(update={"model": ModelSpec(dtype="bfloat16")}), STREAM)
    with pytest.raises(ModelError, match="trains weights"):
        made("sft", "float16").learn(LESSONS[0])


@pytest.mark.parametrize("name", ["frozen", "in_context", "retrieval", "notebook"])
def test_what_only_answers_may_do_so_in_float16(name):
    check_learner(RunSpec(name="a", model=ModelSpec(dtype="float16"), learner={"name": name}, stream="w"), STREAM)


def test_it_answers_with_the_rounded_masters_and_keeps_them_for_later_lessons(tmp_path):
    learner = made(dtype="bfloat16")
    learner.learn(LESSONS[0])
    kept = learner._masters.kept
    params = dict(learner.net.module.named_parameters())
    assert {p.dtype for p in params.values()} == {torch.bfloat16}
    assert kept.keys() == params.keys()
    assert {m.dtype for m in kept.values()} == {torch.float32}
    assert all(torch.equal(m.bfloat16(), params[n]) for n, m in kept.items())
    learner.save(tmp_path)
    costs = json.loads((tmp_path / "counts.json").read_text())
    assert costs["state_bytes"] >= sum(4 * m.numel() for m in kept.values())
    assert costs["kept_bytes"] == costs["state_bytes"]


def test_small_steps_add_up_over_lessons(tmp_path):
    """One lesson moves a weight by less than bfloat16 shows; several must not lose that each time."""
    half, whole = (made(dtype=d, lr=2e-6, batch_size=32) for d in ("bfloat16", "float32"))
    before = {"half": weights(half), "whole": weights(whole)}
    for lesson in LESSONS[:3]:
        half.learn(lesson)
        whole.learn(lesson)
    moved = flat({n: m - before["half"][n] for n, m in half._masters.kept.items()}).norm()
    reference = flat({n: p - before["whole"][n] for n, p in weights(whole).items()}).norm()
    assert moved == pytest.approx(float(reference), rel=0.05)


NAMES = sorted(
    {*plugins.names("learner")}
    - {"checkpoints", "command", "frozen", "in_context", "retrieval", "notebook", "joint", "right_document"}
)
BERT = ["sft", "ewc", "lora", "merge", "osf", "progressive", "progressive_prompts", "separate"]


def told(name):
    stream = open_stream("worlds-tiny", None)
    known = plugins.load("learner", name, "PLUGIN")
    return lessons(stream.model_copy(update={"task_ids": "given"}) if known.needs_task_ids else stream)


@pytest.mark.parametrize(("name", "model"), [*((n, "tiny-llama") for n in NAMES), *((n, "tiny-bert") for n in BERT)])
def test_every_method_sleeps_and_wakes_with_bfloat16(name, model, tmp_path):
    first, second = told(name)[:2]
    if model == "tiny-bert":
        first, second = (named(lesson) for lesson in (first, second))
    awake = made(name, "bfloat16", model)
    awake.learn(cut(first))
    awake.save(tmp_path / "one")
    woken = made(name, "bfloat16", model)
    woken.load(tmp_path / "one")
    asked = first.examples[:4]
    decode = Decode(kind="label" if model == "tiny-bert" else "text", max_tokens=2)
    assert awake.respond(asked, decode) == woken.respond(asked, decode)
    for learner, folder in ((awake, "awake"), (woken, "woken")):
        learner.learn(cut(second))
        learner.save(tmp_path / folder)
    assert folder_digest(tmp_path / "awake") == folder_digest(tmp_path / "woken")
    assert {p.dtype for p in awake.net.module.parameters()} == {torch.bfloat16}


def cut(lesson):
    return lesson.model_copy(update={"examples": lesson.examples[:8]})


def named(lesson):
    names = tuple(f"kind {lesson.number} {i}" for i in range(3))
    examples = tuple(
        e.model_copy(update={"targets": (names[i % 3],), "choices": names}) for i, e in enumerate(lesson.examples)
    )
    return lesson.model_copy(update={"examples": examples})


@pytest.mark.parametrize("name", ["sft", "osf", "lora", "lwf"])
def test_stopped_inside_a_lesson_it_ends_the_same(name, tmp_path):
    first, second = (cut(lesson) for lesson in LESSONS[:2])
    whole = made(name, "bfloat16", epochs=2)
    whole.learn(first)
    whole.save(tmp_path / "base")
    whole.learn(second)
    whole.save(tmp_path / "whole")
    for resumed in (False, True):
        learner = made(name, "bfloat16", epochs=2)
        learner.machine = learner.machine.model_copy(update={"checkpoint_s": 0.0})
        learner.load(tmp_path / "base")
        if resumed:
            learner.learn(second, tmp_path / "progress")
            learner.save(tmp_path / "again")
            continue
        with pytest.raises(_StoppedError), _stopping(1):
            learner.learn(second, tmp_path / "progress")
    assert folder_digest(tmp_path / "again") == folder_digest(tmp_path / "whole")


def test_a_shared_first_lesson_brings_its_masters(tmp_path):
    parent, child, own = made("sft", "bfloat16"), made("ewc", "bfloat16"), made("ewc", "bfloat16")
    parent.learn(LESSONS[0])
    parent.save(tmp_path / "parent")
    child.adopt_first_lesson(tmp_path / "parent", LESSONS[0])
    own.learn(LESSONS[0])
    for learner, folder in ((child, "child"), (own, "own")):
        learner.save(tmp_path / folder)
    assert folder_digest(tmp_path / "child") == folder_digest(tmp_path / "own")


def test_computing_in_bfloat16_changes_nothing_but_lessons(tmp_path):
    """A float32 model that learnt in bfloat16 answers in float32, awake as after a sleep."""
    learner = made(precision="bf16")
    learner.learn(LESSONS[0])
    learner.save(tmp_path)
    woken = made(precision="bf16")
    woken.load(tmp_path)
    batch = learner.net.batch(LESSONS[0].examples[:8])
    with torch.no_grad():
        one, two = (each.net.forward(each.net.module, batch).logits_NV for each in (learner, woken))
    assert torch.equal(one, two)


def thirty_steps(dtype):
    """Return how the weights move in 30 steps at the usual rate, from the weights that bfloat16 can show."""
    learner = made("sft", dtype, lr=USUAL, batch_size=8, epochs=10, warmup=0.1)
    assert len(LESSONS[0].examples) == 24
    with torch.no_grad():
        for param in learner.net.module.parameters():
            param.copy_(param.bfloat16())
    before = weights(learner)
    learner.learn(LESSONS[0])
    return flat({n: p - before[n] for n, p in masters(learner).items()})


@pytest.mark.slow
def test_weights_of_16_bits_move_as_those_of_32_do(monkeypatch):
    whole, half = thirty_steps("float32"), thirty_steps("bfloat16")
    assert float(torch.cosine_similarity(whole, half, dim=0)) > 0.98
    monkeypatch.setattr(Masters, "widen", lambda self, module: None)
    assert float(torch.cosine_similarity(whole, thirty_steps("bfloat16"), dim=0)) < 0.9, "without masters"


def test_adapters_of_a_16_bit_base_are_float32_while_they_learn():
    learner, seen = made("lora", "bfloat16"), []
    inner = learner.net.forward

    def forward(module, batch):
        seen.append({name: (param.dtype, param.requires_grad) for name, param in module.named_parameters()})
        return inner(module, batch)

    learner.net.forward = forward
    learner.learn(cut(LESSONS[0]))
    adapters = {name for name in seen[0] if ".lora_" in name}
    assert adapters and seen[0] == seen[-1]
    for name, (dtype, learns) in seen[0].items():
        assert (dtype, learns) == ((torch.float32, True) if name in adapters else (torch.bfloat16, False)), name
    assert learner._masters.kept.keys() == adapters
    assert {master.dtype for master in learner._masters.kept.values()} == {torch.float32}
