"""Adapters beside base weights: half of one, a damaged one, one that does not fit, and words on one side alone."""

import json
import re
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from clbench.core.errors import ModelError
from clbench.core.spec import Machine, ModelSpec
from clbench.engine.resolve import check_model
from clbench.models import adapter as adapters
from clbench.models import source, tiny
from clbench.models.load import load_net
from tests.builders.checkpoints import (
    LFS,
    Payload,
    both,
    configured_adapter,
    cut,
    loaded,
    removed,
    replaced,
    said,
)

# Warnings of libraries among themselves, of tied words and of a bias without a place.
pytestmark = [pytest.mark.xdist_group("models"), pytest.mark.filterwarnings("ignore")]
IDS = torch.tensor([[1, 50, 60, 70, 80]])
WEIGHTS = "adapter_model.safetensors"


@pytest.fixture(scope="module")
def base():
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    return lambda: AutoModelForCausalLM.from_pretrained(tiny.folder("tiny-llama"))


@pytest.fixture
def adapted(base, tmp_path):
    """Make a folder with base weights and an adapter of the given settings."""
    from peft import LoraConfig, PeftModel, get_peft_model

    def make(config=None, **settings):
        torch.manual_seed(1)
        known = {"r": 4, "target_modules": ["q_proj", "v_proj"], "init_lora_weights": False, **settings}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tied words, which is what is tried here
            model = get_peft_model(base(), config or LoraConfig(task_type="CAUSAL_LM", **known))
            shutil.copytree(Path(tiny.folder("tiny-llama")), tmp_path / "both")
            model.save_pretrained(tmp_path / "both")
            return tmp_path / "both", lambda: PeftModel.from_pretrained(base(), tmp_path / "both").eval()

    return make


def used(folder):
    return load_net(ModelSpec(name=str(folder), adapter="use"), Machine(device="cpu")).module


def planned(folder, how=None):
    return said(check_model, ModelSpec(name=str(folder), adapter=how or "use"))


def tried(folder):
    return said(loaded, ModelSpec(name=str(folder), adapter="use"))


@torch.no_grad()
@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": ["embed_tokens", "q_proj"]},
        {"target_modules": ["lm_head", "q_proj"]},
        {"modules_to_save": ["embed_tokens"]},
        {"use_dora": True},
        {"init_lora_weights": "pissa"},
    ],
    ids=str,
)
def test_a_merged_adapter_says_what_it_said_beside_its_base(adapted, settings):
    """A base that reads and writes with one table of words: what was learnt for reading was written with as well."""
    folder, reference = adapted(**settings)
    weights = load_file(folder / WEIGHTS)
    torch.manual_seed(2)
    moved = {k: v + 0.1 * torch.randn_like(v) if "embed_tokens" in k else v for k, v in weights.items()}
    save_file(moved, folder / WEIGHTS)
    assert planned(folder) == ""
    found, wanted = used(folder)(IDS).logits, reference()(IDS).logits
    assert (found - wanted).norm() < 1e-3 * wanted.norm()


def test_a_base_of_one_table_keeps_it_where_the_adapter_leaves_words_alone(adapted):
    folder, _ = adapted()
    module = used(folder)
    assert module.get_input_embeddings().weight is module.get_output_embeddings().weight


def test_half_an_adapter_is_said_before_anything_is_loaded(adapted):
    """peft looked for the weights on the Hub, under the folder's name; without its settings nobody saw the weights."""
    folder, _ = adapted()
    kept = (folder / "adapter_config.json").read_bytes()
    (folder / "adapter_config.json").unlink()
    for adapter in (None, "use"):
        with pytest.raises(ModelError, match=r"those of an adapter \(adapter_model.safetensors\)"):
            source.locate(ModelSpec(name=str(folder), adapter=adapter))
    assert source.locate(ModelSpec(name=str(folder), adapter="ignore")) == folder
    (folder / "adapter_config.json").write_bytes(kept)
    (folder / WEIGHTS).unlink()
    with pytest.raises(ModelError, match="no weights of it"):
        source.locate(ModelSpec(name=str(folder), adapter="use"))


def test_an_adapter_that_is_damaged_or_of_another_model_is_one_line(adapted):
    folder, _ = adapted()
    config, weights = folder / "adapter_config.json", load_file(folder / WEIGHTS)
    fields = json.loads(config.read_text())
    config.write_text(json.dumps({**fields, "target_modules": ["q_proj"]}))
    with pytest.raises(ModelError, match=r"8 weights of it have no place there, for example .*v_proj"):
        used(folder)
    config.write_text(json.dumps(fields))
    broken = dict(weights)
    first = next(iter(broken))
    broken[first] = torch.full_like(broken[first], float("nan"))
    save_file(broken, folder / WEIGHTS)
    with pytest.raises(ModelError, match="brings NaN or infinite values into 1 weights"):
        used(folder)


DAMAGED = {
    "cut off": (cut(WEIGHTS, 0.9), f"{WEIGHTS} is cut off: it says that it has"),
    "zeros": (replaced(WEIGHTS, b"\x00" * 100), f"{WEIGHTS} is not a safetensors file"),
    "empty": (replaced(WEIGHTS, b""), f"{WEIGHTS} is empty"),
    "of git LFS": (replaced(WEIGHTS, LFS), f"{WEIGHTS} is a pointer of git LFS"),
    "a pickle with code": (
        both(removed(WEIGHTS), lambda folder: torch.save({"x": Payload()}, folder / "adapter_model.bin")),
        "adapter_model.bin holds more than tensors .nothing of it was run.",
    ),
    "of another rank": (configured_adapter(r=8), "size mismatch for .*lora_A"),
    "of a kind to come": (
        configured_adapter(peft_type="FUTURE"),
        "peft does not know 'FUTURE', or adapter_config.json",
    ),
}


@pytest.mark.slow
def test_a_damaged_adapter_is_one_line_in_a_plan_and_in_a_run(adapted, tmp_path, capfd):
    folder, _ = adapted()
    for name, (damage, says) in DAMAGED.items():
        copy = Path(shutil.copytree(folder, tmp_path / name))
        damage(copy)
        assert re.search(says, planned(copy)), planned(copy)
        assert tried(copy) == planned(copy)
    assert "it ran" not in "".join(capfd.readouterr())


def kinds():
    from peft import AdaptionPromptConfig, LoraConfig, PromptTuningConfig

    of = {"task_type": "CAUSAL_LM"}
    lora = {**of, "r": 2, "target_modules": ["q_proj"]}
    return {
        "PROMPT_TUNING changes what the model reads": PromptTuningConfig(**of, num_virtual_tokens=4),
        "ADAPTION_PROMPT changes what": AdaptionPromptConfig(**of, adapter_len=4, adapter_layers=1),
        "layer_replication makes layers that share": LoraConfig(**lora, layer_replication=[[0, 2], [1, 2]]),
        "aLoRA changes weights for": LoraConfig(**lora, alora_invocation_tokens=[5]),
        "lora_bias gives a bias to layers": LoraConfig(**{**lora, "target_modules": ["gate_proj"]}, lora_bias=True),
    }


@pytest.mark.slow
def test_an_adapter_that_is_more_than_a_change_of_weights_says_so(base, tmp_path):
    from peft import get_peft_model

    for number, (says, config) in enumerate(kinds().items()):
        folder = Path(shutil.copytree(tiny.folder("tiny-llama"), tmp_path / str(number)))
        get_peft_model(base(), config).save_pretrained(folder)
        assert says in planned(folder)
        assert tried(folder) == planned(folder)


def test_a_merge_after_which_a_model_answers_otherwise_is_refused(base, tmp_path, monkeypatch):
    """Layers that share their weights are each merged into all of them."""
    from peft import LoraConfig, get_peft_model

    folder = Path(shutil.copytree(tiny.folder("tiny-llama"), tmp_path / "m"))
    own = {"r": 4, "target_modules": ["q_proj"], "init_lora_weights": False, "layer_replication": [[0, 2], [0, 2]]}
    get_peft_model(base(), LoraConfig(task_type="CAUSAL_LM", **own)).save_pretrained(folder)
    monkeypatch.setattr(adapters, "_check_kind", lambda kind: None)
    assert "merged, it answers otherwise than beside it" in tried(folder)


def test_an_adapter_beside_a_copy_of_its_base_s_configuration_is_one_alone(adapted):
    folder, _ = adapted()
    with_base = used(folder)(IDS).logits
    removed("model.safetensors")(folder)
    stated = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**stated, "base_model_name_or_path": "tiny-llama"}))
    assert torch.equal(used(folder)(IDS).logits, with_base)
    assert planned(folder) == ""
    assert "holds a PEFT adapter alone, without its base" in planned(folder, "ignore")
