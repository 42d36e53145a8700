"""Pretraining that was interrupted ends with the weights of one that was not; a model may start from another's."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from clbench.cli.pretrain import _material
from clbench.core.errors import ModelError
from clbench.core.spec import ModelSpec
from clbench.data.worlds.abilities import closed_answers, generate
from clbench.models import tiny
from clbench.models.pretraining import resume, start
from clbench.models.pretraining.batches import IGNORED, Place, _conversation, _drilled, _text_ids, batches
from clbench.models.pretraining.pretrain import build, pretrain
from clbench.models.pretraining.recipe import Material, Recipe

SHARES = {"lookup": 2.0, "reading": 1.0, "arithmetic": 1.0}


class StoppedError(Exception):
    """What ends a training early."""


@pytest.fixture(scope="module")
def material():
    made = _material(recipe("llama"))
    return Material(made.sample, made.late, made.lines[:2000], made.labels, {}, made.num_told)


def recipe(architecture, **more):
    shape = {"positions": 512 if architecture == "bert" else 1024, "start": f"tiny-{architecture}"}
    pace = {"steps": 7, "save_every": 3, "log_every": 2, "batch_tokens": 400, "dropout": 0.1}
    return Recipe(name="tried", architecture=architecture, shares=SHARES, **{**shape, **pace, **more})


def stopped_after(step):
    def progress(at):
        if at.done == step:
            raise StoppedError

    return progress


@pytest.mark.parametrize("architecture", ["llama", "bert"])
def test_a_resumed_training_ends_as_one_that_was_not_interrupted(architecture, material, tmp_path, heard):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    record = pretrain(recipe(architecture), material, whole)
    for step in (4, 5):  # the second time it goes on from the same place
        with pytest.raises(StoppedError):
            pretrain(recipe(architecture), material, broken, stopped_after(step))
    resumed = pretrain(recipe(architecture), material, broken)
    expected, found = load_file(whole / "model.safetensors"), load_file(broken / "model.safetensors")
    assert all(torch.equal(expected[name], found[name]) for name in expected | found)
    pace = {"tokens_per_s"}
    assert [{k: v for k, v in e.items() if k not in pace} for e in record["log"]] == [
        {k: v for k, v in e.items() if k not in pace} for e in resumed["log"]
    ]
    assert [n for n in heard if "resumed after step 3 of 7" in n]
    assert not (broken / resume.FILE).exists(), "a finished model needs no state"


def test_batches_go_on_over_the_end_of_a_pool(material, monkeypatch):
    from clbench.models.pretraining import batches as module
    from clbench.models.pretraining.start import tokenizer_of

    monkeypatch.setattr(module, "POOL", 6)
    tokenizer, settings = tokenizer_of(tiny.folder("tiny-llama")), recipe("llama")
    place = Place()
    source = batches(settings, material, tokenizer, place)
    wanted = [next(source) for _ in range(12)]
    for taken in range(1, 12):
        place = Place()
        source = batches(settings, material, tokenizer, place)
        for _ in range(taken):
            next(source)
        again = batches(settings, material, tokenizer, Place(place.step, place.state, place.taken))
        assert torch.equal(next(again).ids, wanted[taken].ids)


def test_another_recipe_does_not_go_on_with_what_is_stored(material, tmp_path):
    with pytest.raises(StoppedError):
        pretrain(recipe("llama"), material, tmp_path, stopped_after(4))
    with pytest.raises(ModelError, match="another recipe"):
        pretrain(recipe("llama", lr=1e-4), material, tmp_path)
    (tmp_path / resume.FILE).write_bytes(b"damaged")
    with pytest.raises(ModelError, match="cannot be read"):
        pretrain(recipe("llama"), material, tmp_path)


def test_it_starts_with_the_weights_and_the_tokenizer_of_a_checkpoint(material, tmp_path):
    pretrain(recipe("llama", steps=1, lr=0.0), material, tmp_path)
    first = tiny.folder("tiny-llama")
    old, new = load_file(first / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert all(torch.equal(old[name], new[name]) for name in old | new)
    assert json.loads((first / "tokenizer.json").read_text()) == json.loads((tmp_path / "tokenizer.json").read_text())


def test_labels_that_the_first_head_did_not_know_get_rows_of_their_own(material, tmp_path):
    pretrain(recipe("bert", steps=1, lr=0.0), material, tmp_path)
    first = tiny.folder("tiny-bert")
    rows = [load_file(f / "model.safetensors")["classifier.weight"] for f in (first, tmp_path)]
    labels = [json.loads((f / "config.json").read_text())["label2id"] for f in (first, tmp_path)]
    assert set(labels[1]) - set(labels[0]) == {"not in the text", "文中没有"}
    assert all(torch.equal(rows[0][row], rows[1][labels[1][name]]) for name, row in labels[0].items())


def test_a_checkpoint_of_another_shape_is_refused(material, tmp_path):
    with pytest.raises(ModelError, match=r"no .* of shape"):
        pretrain(recipe("llama", inner=256), material, tmp_path)


def test_weights_may_be_stored_in_sixteen_bits(material, tmp_path):
    from clbench.core.spec import Machine
    from clbench.models.load import load_net

    pretrain(recipe("llama", steps=1, stored="bfloat16"), material, tmp_path)
    assert {w.dtype for w in load_file(tmp_path / "model.safetensors").values()} == {torch.bfloat16}
    net = load_net(ModelSpec(name=str(tmp_path)), Machine(device="cpu"))
    assert {p.dtype for p in net.module.parameters()} == {torch.float32}


def test_what_earlier_turns_only_tell_is_not_learnt(material):
    tokenizer = start.tokenizer_of(tiny.folder("tiny-llama"))
    example = next(e for e in material.sample(0, 200, 1.0, None) if material.num_told(e))
    ids, taught = _conversation(example, tokenizer, material.num_told(example))
    asked = tokenizer.token_to_id("<|assistant|>")
    replies = [i for i, token in enumerate(ids) if token == asked]
    learnt = [taught[i + 1] for i in replies]
    told = material.num_told(example)
    assert learnt == [False] * told + [True] * (len(replies) - told)


@pytest.mark.parametrize("name", ["tiny-llama", "tiny-hunyuan"])
def test_more_layers_leave_what_the_checkpoint_writes_nearly_as_it_was(name):
    folder = tiny.folder(name)
    tokenizer = start.tokenizer_of(folder)
    text = "cat=red\ndog=blue\nbird=gold\ncat=?"
    ids = torch.tensor([[1, 4, *tokenizer.encode(text, add_special_tokens=False).ids, 2, 5]])
    best = []
    for layers in (4, 5):
        torch.manual_seed(0)
        settings = recipe(name.removeprefix("tiny-"), start=name, layers=layers)
        module = build(settings, tokenizer, []).eval()
        start.take_over(module, folder, settings.architecture)
        with torch.no_grad():
            best.append(int(module(ids).logits[0, -1].argmax()))
    assert best[0] == best[1] == tokenizer.token_to_id("red")


def test_new_heads_look_at_windows_a_few_tokens_back():
    torch.manual_seed(0)
    folder = tiny.folder("tiny-llama")
    module = build(recipe("llama", layers=5), start.tokenizer_of(folder), []).eval()
    start.take_over(module, folder, "llama")
    module.set_attn_implementation("eager")
    with torch.no_grad():
        seen = module(torch.randint(10, 2000, (1, 120)), output_attentions=True).attentions[1][0, :, -1].flip(-1)
    for head, (offset, _) in enumerate(start.WINDOWS):
        assert seen[head, max(0, offset - 7) : offset + 8].sum() > 0.9


def test_drilled_entries_come_again_in_another_order_with_their_values(material):
    made = _drilled(recipe("llama", batch_tokens=2048), np.arange(10, 600), np.random.default_rng(0))
    for ids, targets in zip(made.ids.tolist(), made.targets.tolist(), strict=True):
        learnt = [i for i, t in enumerate(targets) if t != IGNORED]
        assert min(learnt) > len(ids) // 2 - 1 and all(ids[i] == targets[i] for i in learnt)
        num = len(learnt)
        size = len(ids) // 2 // num
        entries = [tuple(ids[i : i + size]) for i in range(0, len(ids), size)]
        assert sorted(entries[:num]) == sorted(entries[num:]) and len(set(entries[:num])) == num


def test_an_encoder_with_a_layer_more_answers_nearly_as_before_and_looks_back():
    folder = tiny.folder("tiny-bert")
    tokenizer, labels = start.tokenizer_of(folder), closed_answers()
    ids = [_text_ids([e.prompt[-1].content], tokenizer) for e in generate("chinese", 24, 7, "exam")]
    best = []
    for layers in (4, 5):
        torch.manual_seed(0)
        module = build(recipe("bert", layers=layers), tokenizer, labels).eval()
        start.take_over(module, folder, "bert")
        with torch.no_grad():
            best.append([int(module(torch.tensor([row])).logits[0].argmax()) for row in ids])
    assert sum(a == b for a, b in zip(*best, strict=True)) >= 16
    module.set_attn_implementation("eager")
    long = torch.tensor([_text_ids(["The colour of Zanmir is red and that of Dorlum is blue."] * 8, tokenizer)])
    with torch.no_grad():
        seen = module(long, output_attentions=True).attentions[0][0]
    for head, offset in enumerate(start.ENCODER_WINDOWS):
        near = [seen[head, i, i - offset - 2 : i - offset + 3].sum() for i in range(40, 100)]
        ahead = [seen[head, i, i + offset - 2 : i + offset + 3].sum() for i in range(40, 100)]
        assert sum(near) > 10 * sum(ahead)
