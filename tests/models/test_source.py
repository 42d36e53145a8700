"""Checkpoints whose files, not whose knowledge, are at fault: said as what it is."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from clbench.core.baseline import UNKNOWN, differing
from clbench.core.errors import ModelError
from clbench.core.spec import Machine, ModelSpec
from clbench.engine.fingerprint import parts_of
from clbench.models.load import load_net
from clbench.models.source import identity, locate, weights_bytes


@pytest.fixture
def copied(tmp_path):
    folder = tmp_path / "copied"
    shutil.copytree(locate(ModelSpec(name="tiny-llama")), folder)
    return folder


def reconfigured(folder, **fields):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    return parts_of(ModelSpec(name=str(folder)))


@pytest.mark.parametrize(("value", "dtype"), [(float("nan"), "float32"), (float("inf"), "float32"), (1e6, "float16")])
def test_weights_that_are_no_numbers_are_named(copied, value, dtype):
    """The gate called a diverged model "lost: mathematics, ..., learn again with old examples"."""
    weights = load_file(copied / "model.safetensors")
    weights["model.norm.weight"] = torch.full_like(weights["model.norm.weight"], value)
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"NaN or infinit.*model\.norm\.weight"):
        load_net(ModelSpec(name=str(copied), dtype=dtype), Machine(device="cpu"))


def test_what_the_configuration_makes_of_the_same_weights_is_told(copied):
    before = parts_of(ModelSpec(name=str(copied)))
    after = reconfigured(copied, rope_parameters={"rope_theta": 5e5, "rope_type": "default"})
    assert [name for name, *_ in differing(before, after)] == ["rotary positions"]
    changed = reconfigured(copied, rms_norm_eps=0.1, hidden_act="gelu")
    assert [name for name, *_ in differing(after, changed)] == ["computing settings"]


def test_a_configuration_written_otherwise_does_not_count(copied):
    """Older names, defaults left out, dropout: nothing of this changes an answer."""
    before = parts_of(ModelSpec(name=str(copied)))
    path = copied / "config.json"
    fields = json.loads(path.read_text())
    fields |= {
        "rope_theta": fields.pop("rope_parameters")["rope_theta"],
        "rope_scaling": None,
        "attention_dropout": 0.1,
    }
    del fields["hidden_act"]
    path.write_text(json.dumps(fields))
    assert differing(before, parts_of(ModelSpec(name=str(copied)))) == []


def test_a_part_that_an_older_baseline_does_not_know_is_said_to_be_unknown():
    assert differing({"tokenizer": "a"}, {"tokenizer": "a", "rotary positions": "b"}) == [
        ("rotary positions", UNKNOWN, "b")
    ]


def split(folder, target, delta=0.0):
    """Write the weights in two files, the second one where `target` says."""
    weights = load_file(locate(ModelSpec(name="tiny-llama")) / "model.safetensors")
    (folder / "model.safetensors").unlink(missing_ok=True)
    first = sorted(weights)[: len(weights) // 2]
    (folder / target).parent.mkdir(exist_ok=True)
    parts = {"a.safetensors": {k: weights[k] for k in first}}
    parts[target] = {k: weights[k] + delta for k in weights if k not in first}
    for name, part in parts.items():
        save_file(part, folder / name, metadata={"format": "pt"})
    where = {key: name for name, part in parts.items() for key in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return ModelSpec(name=str(folder))


def test_weights_in_a_folder_below_are_part_of_who_it_is(copied):
    """Two models took each other's answers: only files at the top were looked at."""
    first = identity(split(copied, "shards/b.safetensors"))
    assert identity(split(copied, "shards/b.safetensors", 0.5)) != first
    assert identity(split(copied, "shards/b.safetensors")) == first
    assert weights_bytes(ModelSpec(name=str(copied))) > 4e6


@pytest.mark.parametrize("target", ["../b.safetensors", "{above}/b.safetensors"])
def test_an_index_that_leads_out_of_the_checkpoint_is_refused(copied, target):
    spec = split(copied, target.format(above=copied.parent))
    with pytest.raises(ModelError, match="leads out of the checkpoint"):
        identity(spec)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weight_map": {"a": 1}}', '{"weight_map": []}'])
def test_an_index_that_says_nothing_is_refused(copied, text):
    (copied / "model.safetensors.index.json").write_text(text)
    with pytest.raises(ModelError, match=r"model\.safetensors\.index\.json"):
        locate(ModelSpec(name=str(copied)))
        identity(ModelSpec(name=str(copied)))


def test_a_template_in_its_own_folder_is_part_of_who_it_is(copied):
    text = (copied / "chat_template.jinja").read_text()
    (copied / "chat_template.jinja").unlink()
    folder = copied / "additional_chat_templates"
    folder.mkdir()
    (folder / "default.jinja").write_text(text)
    first = identity(ModelSpec(name=str(copied)))
    (folder / "default.jinja").write_text("Now: " + text)
    assert identity(ModelSpec(name=str(copied))) != first
