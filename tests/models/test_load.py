"""Checkpoints that are not whole, hold code, or give scores that are no numbers: errors that name what it is."""

import json
import os
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from clbench.core.errors import ModelError
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Decode, Example, Message, Request
from clbench.models import tiny
from clbench.models.load import load_net


class Payload:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (self.mark,)


@pytest.fixture
def copy(tmp_path):
    def make(name="tiny-llama"):
        folder = tmp_path / "m"
        shutil.copytree(tiny.folder(name), folder)
        return folder, load_file(folder / "model.safetensors")

    return make


def kept(folder, weights):
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def configured(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refused(folder, says):
    with pytest.raises(ModelError, match=says):
        load_net(ModelSpec(name=str(folder)), Machine(device="cpu"))


KEY = "model.layers.0.self_attn.q_proj.weight"


def test_weights_that_are_missing_unknown_or_no_numbers_are_named(copy):
    folder, weights = copy()
    kept(folder, {k: v for k, v in weights.items() if k != KEY})
    refused(folder, f"lacks 1 weight .{KEY}")
    kept(folder, weights | {"model.adapter.weight": torch.ones(2)})
    refused(folder, "holds 1 weight .model.adapter.weight. that this model has no place for")
    for value in (float("nan"), float("inf")):
        broken = weights[KEY].clone()
        broken[3, 5] = value
        kept(folder, weights | {KEY: broken})
        refused(folder, f"NaN or infinite values in 1 weight .{KEY}")
    kept(folder, weights | {"score.weight": torch.ones(2, 128), "model.rotary_emb.inv_freq": torch.ones(16)})
    load_net(ModelSpec(name=str(folder)), Machine(device="cpu"))  # a head of another task, a buffer of old versions


def test_a_configuration_of_other_weights_is_named(copy):
    folder, weights = copy()
    configured(folder, vocab_size=5000)
    refused(folder, r"model.embed_tokens.weight \(2560, 128\) where \(5000, 128\) is expected")
    configured(folder, vocab_size=2560, num_hidden_layers=3)
    refused(folder, r"holds 13 weights .*that this model has no place for|holds \d+ weights")
    configured(folder, num_hidden_layers=10**9)
    refused(folder, "config.json says num_hidden_layers: 1000000000")
    configured(folder, num_hidden_layers=4, vocab_size=100)
    kept(folder, weights | {"model.embed_tokens.weight": weights["model.embed_tokens.weight"][:100].clone()})
    refused(folder, "words beyond the 100 rows of the model")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"])
def test_deep_json_is_refused(copy, name):
    folder, _ = copy()
    (folder / name).write_text('{"a":' * 50_000 + "1" + "}" * 50_000)
    refused(folder, "recursion|nested")


def test_a_pickle_with_a_payload_does_not_run(copy, tmp_path):
    folder, weights = copy()
    (folder / "model.safetensors").unlink()
    torch.save({"x": Payload(str(tmp_path / "ran")), **weights}, folder / "pytorch_model.bin")
    refused(folder, "holds more than tensors .nothing of it was run.")
    assert not (tmp_path / "ran").exists()


def test_scores_that_are_no_numbers_are_no_answers():
    asked = Message(role="user", content="Which?")
    plain = Example(id="q1", prompt=(asked,), targets=("a",))
    label = plain.model_copy(update={"choices": ("a", "b")})
    requests = (Request(kind="loglik", context="a b", continuation=" c"),)
    raw = Example(id="q1", prompt=(asked,), targets=("a",), requests=requests)
    text = raw.model_copy(update={"requests": (Request(kind="text", context="a b", max_tokens=4),)})
    net = load_net(ModelSpec(name="tiny-llama"), Machine(device="cpu"))
    with torch.no_grad():
        net.module.model.norm.weight[0] = float("nan")
    for example, kind in ((plain, "text"), (label, "label"), (raw, "raw"), (text, "raw")):
        with pytest.raises(ModelError, match="example q1: a score of model 'tiny-llama' is nan"):
            net.respond([example], Decode(kind=kind, max_tokens=4))
    encoder = load_net(ModelSpec(name="tiny-bert"), Machine(device="cpu"))
    with torch.no_grad():
        encoder.module.bert.embeddings.LayerNorm.weight[0] = float("nan")
    with pytest.raises(ModelError, match="example q1: a score"):
        encoder.respond([label], Decode(kind="label"))


def test_nobody_is_asked_whether_code_of_a_checkpoint_may_run(copy, monkeypatch):
    folder, _ = copy()
    asked = []
    monkeypatch.setattr("builtins.input", lambda *text: asked.append(text) or "y")
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.T", None]}}))
    (folder / "evil.py").write_text("raise SystemExit('it ran')")
    refused(folder, "needs code of its own .auto_map., which does not run unasked")
    assert asked == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model_type": ["llama"]}, "says model_type or architectures"),
        ({"architectures": 5}, "says model_type or architectures"),
        (
            {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
            "quantised .bitsandbytes.",
        ),
    ],
)
def test_odd_values_of_a_configuration_are_told(copy, changes, says):
    folder, _ = copy()
    configured(folder, **changes)
    refused(folder, says)
