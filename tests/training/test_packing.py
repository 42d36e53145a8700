"""Examples that share a row are learnt as examples apart: same losses, gradients and weights, less padding."""

import json

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
)

from clbench.core import plugins
from clbench.core.events import notice_listener
from clbench.core.keys import canonical, digest, folder_digest
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Example, Lesson, Message
from clbench.models.load import load_net
from clbench.models.packing import Packing, filled
from clbench.models.probe import scale_border
from clbench.testing.learners import _StoppedError, _stopping
from clbench.training.packed import reads_packed
from clbench.training.settings import Training

pytestmark = pytest.mark.xdist_group("learners")
EXAMPLES = tuple(
    Example(
        id=str(i),
        prompt=(Message(role="user", content=f"what is {i} " + "zan " * (i * 11 % 37)),),
        targets=("red " * (1 + i % 4),),
        choices=(),
    )
    for i in range(12)
)


@pytest.fixture(scope="module")
def nets():
    return {name: load_net(ModelSpec(name=name), Machine(device="cpu")) for name in ("tiny-llama", "tiny-hunyuan")}


def small(config):
    """Return a random model of a configuration, large enough in its weights that neighbours would be seen."""
    torch.manual_seed(0)
    module = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for param in module.parameters():
            if param.dim() > 1:
                param.mul_(4)
    return module


SHAPE = {"vocab_size": 2560, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2}
READ = {
    "gpt2": GPT2Config(vocab_size=2560, n_embd=32, n_layer=2, n_head=4, n_positions=1024),
    "mistral": MistralConfig(**SHAPE, **HEADS, sliding_window=8),
    "gemma2": Gemma2Config(**SHAPE, **HEADS, head_dim=8, sliding_window=8),
}
NOT_READ = {
    "mamba": MambaConfig(vocab_size=2560, hidden_size=32, num_hidden_layers=2, state_size=8),
    "bloom": BloomConfig(vocab_size=2560, hidden_size=32, n_layer=2, n_head=4),
    "dynamic": LlamaConfig(
        **SHAPE,
        **HEADS,
        max_position_embeddings=64,
        rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0},
    ),
}


def gradients(net, packing=None):
    """Return loss, logits and gradients of a batch, and the logits' labels."""
    net.module.zero_grad()
    net.packing = packing
    try:
        out = net.forward(net.module, net.batch(EXAMPLES))
    finally:
        net.packing = None
    out.loss.backward()
    return out, {n: p.grad.clone() for n, p in net.module.named_parameters() if p.grad is not None}


def assert_same(net):
    packing = Packing()
    (apart, wanted), (packed, found) = gradients(net), gradients(net, packing)
    assert packing.packed < packing.apart, "else both would be read apart"
    torch.testing.assert_close(packed.loss, apart.loss, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(packed.logits_NV, apart.logits_NV, rtol=1e-4, atol=1e-4)
    assert torch.equal(packed.labels_N, apart.labels_N)
    assert wanted.keys() == found.keys()
    for name, one in wanted.items():
        apart_by = float((one - found[name]).norm() / one.norm().clamp(min=1e-9))
        assert apart_by < 1e-4, name


@pytest.mark.parametrize("name", ["tiny-llama", "tiny-hunyuan"])
def test_packed_rows_give_the_loss_and_the_gradients_of_rows_apart(name, nets, monkeypatch):
    net = nets[name]
    assert reads_packed(net)
    assert_same(net)
    monkeypatch.setattr(net, "splits", False)  # all logits by the model itself
    assert_same(net)
    monkeypatch.undo()
    monkeypatch.setattr("clbench.models.taught.MOST_LOGITS", 5 * net.rows)
    assert_same(net)


@pytest.mark.parametrize("name", READ)
def test_learned_positions_and_sliding_windows_are_read_packed(name, nets, monkeypatch):
    net = nets["tiny-llama"]
    monkeypatch.setattr(net, "module", small(READ[name]))
    monkeypatch.setattr(net, "splits", False)
    assert reads_packed(net)
    assert_same(net)


@pytest.mark.parametrize("name", NOT_READ)
def test_a_model_that_cannot_read_packed_rows_is_found_out(name, nets, monkeypatch):
    net = nets["tiny-llama"]
    monkeypatch.setattr(net, "module", small(NOT_READ[name]))
    monkeypatch.setattr(net, "scale_border", scale_border(net.module, net.spec.longest))
    assert not reads_packed(net)


def test_a_neighbour_that_can_be_seen_is_found_out(nets, monkeypatch):
    net = nets["tiny-llama"]
    sound = net.module.forward

    def blind(input_ids, position_ids, **more):
        return sound(input_ids=input_ids, **more)

    for dtype in (torch.float32, torch.bfloat16):
        with monkeypatch.context() as patched:
            patched.setattr(net, "module", small(LlamaConfig(**SHAPE, **HEADS)).to(dtype))
            assert reads_packed(net)
            sound = net.module.forward
            patched.setattr(net.module, "forward", blind)
            assert not reads_packed(net), dtype


def test_an_example_s_scores_do_not_depend_on_its_neighbours(nets):
    net = nets["tiny-llama"]
    net.packing = Packing()
    try:
        with torch.no_grad():
            whole = net.forward(net.module, net.batch(EXAMPLES)).logits_NV
            other = (EXAMPLES[0].model_copy(update={"prompt": (Message(role="user", content="quite another"),)}),)
            changed = net.forward(net.module, net.batch(other + EXAMPLES[1:])).logits_NV
    finally:
        net.packing = None
    own = len(net.encode(EXAMPLES[0])[1])
    assert not torch.allclose(whole[:own], changed[:own])
    torch.testing.assert_close(whole[own:], changed[own:], rtol=1e-4, atol=1e-4)


def test_rows_are_filled_and_none_is_longer_than_the_longest_example():
    lengths = [(7 * i) % 31 + 2 for i in range(64)]
    rows = filled(lengths, max(lengths))
    assert sorted(i for row in rows for i in row) == list(range(64))
    assert all(sum(lengths[i] for i in row) <= max(lengths) for row in rows)
    assert len(rows) * max(lengths) < 1.1 * sum(lengths)


def test_a_batch_that_is_not_padded_less_is_read_apart():
    mask = torch.zeros(3, 200, dtype=torch.long)
    for row, length in zip(mask, (200, 200, 150), strict=True):
        row[:length] = 1
    packing = Packing()
    assert packing.rows(mask) is None
    assert (packing.tokens, packing.apart, packing.packed) == (550, 600, 600)
    assert packing.rows(mask[2:]) is None


QUICK = {"lr": 1e-3, "epochs": 2, "batch_size": 4, "bucket": 1}


def lesson(number, examples=EXAMPLES):
    return Lesson(number=number, examples=examples, digest=digest(examples))


def made(name, model="tiny-llama", dtype="float32", **settings):
    plugin = plugins.load("learner", name, "PLUGIN")
    known = {k: v for k, v in {**QUICK, **settings}.items() if k in plugin.config.model_fields}
    return plugin.build(
        plugin.config(**known), ModelSpec(name=model, dtype=dtype), 0, Machine(device="cpu", checkpoint_s=0.0)
    )


def told(action):
    said = []
    token = notice_listener.set(said.append)
    try:
        action()
    finally:
        notice_listener.reset(token)
    return said


def moved(name, **settings):
    learner = made(name, **settings)
    before = {n: p.detach().clone() for n, p in learner.net.module.named_parameters()}
    said = told(lambda: [learner.learn(lesson(number)) for number in (1, 2)])
    after = dict(learner.net.module.named_parameters())
    return {n: p.detach() - before.get(n, 0) for n, p in after.items()}, learner, said


@pytest.mark.parametrize("name", ["sft", "lwf", "derpp", "lora"])
def test_lessons_are_learnt_as_apart_and_the_padding_is_counted(name, tmp_path):
    (apart, plain, _), (packed, learner, said) = moved(name), moved(name, packing=True)
    wrong = sum(float((apart[n] - packed[n]).square().sum()) for n in apart)
    assert (wrong / sum(float(apart[n].square().sum()) for n in apart)) ** 0.5 < 0.02
    assert said == []
    found = []
    for each in (plain, learner):
        each.save(tmp_path / str(len(found)))
        found.append(json.loads((tmp_path / str(len(found)) / "counts.json").read_text()))
    assert found[0]["train_tokens"] == found[1]["train_tokens"]
    assert not any(name.startswith("packing") for name in found[0])
    tokens, apart, packed = (found[1][f"packing_{n}"] for n in ("tokens", "slots_apart", "slots"))
    assert tokens <= packed < apart


@pytest.mark.parametrize("how", [{"dtype": "bfloat16"}, {"precision": "bf16"}])
def test_lessons_of_sixteen_bits_are_packed_too(how):
    learner = made("sft", packing=True, **how)
    assert told(lambda: learner.learn(lesson(1))) == []
    counts = learner._packing.counts()
    assert counts["packing_slots"] < counts["packing_slots_apart"]


def test_soft_prompts_and_encoders_read_their_examples_apart_and_say_so():
    apart, _, _ = moved("progressive_prompts")
    packed, learner, said = moved("progressive_prompts", packing=True)
    assert said and all("LlamaForCausalLM cannot read examples that share a row" in line for line in said)
    assert all(torch.equal(apart[n], packed[n]) for n in apart)
    assert learner._packing.counts() == {}
    labelled = tuple(e.model_copy(update={"targets": ("red",), "choices": ("red", "blue")}) for e in EXAMPLES[:4])
    encoder = made("sft", "tiny-bert", packing=True)
    assert "BertForSequenceClassification cannot read" in told(lambda: encoder.learn(lesson(1, labelled)))[0]


def test_stopped_inside_a_packed_lesson_it_ends_the_same(tmp_path):
    whole = made("sft", packing=True)
    whole.learn(lesson(1))
    whole.save(tmp_path / "whole")
    with pytest.raises(_StoppedError), _stopping(2):
        made("sft", packing=True).learn(lesson(1), tmp_path / "progress")
    again = made("sft", packing=True)
    again.learn(lesson(1), tmp_path / "progress")
    again.save(tmp_path / "again")
    assert folder_digest(tmp_path / "again") == folder_digest(tmp_path / "whole")
    woken = made("sft", packing=True)
    woken.load(tmp_path / "again")
    woken.save(tmp_path / "woken")
    assert folder_digest(tmp_path / "woken") == folder_digest(tmp_path / "whole")


def test_the_setting_is_part_of_a_key_only_where_it_is_on():
    for name in plugins.names("learner"):
        config = plugins.load("learner", name, "PLUGIN").config
        if issubclass(config, Training):
            assert "packing" not in canonical(config())
            assert "packing" in canonical(config(packing=True))
