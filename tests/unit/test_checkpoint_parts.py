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
from clbench.models.net import load_net
from clbench.models.source import locate


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
