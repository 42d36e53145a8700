"""Adapters beside base weights: half of one, a damaged one, one that does not fit, and words on one side alone."""

import json
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from clbench.core.errors import ModelError
from clbench.core.spec import Machine, ModelSpec
from clbench.models import source, tiny
from clbench.models.load import load_net

pytestmark = pytest.mark.xdist_group("models")
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


@torch.no_grad()
@pytest.mark.filterwarnings("ignore")  # of libraries among themselves, on tied words too
@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": ["embed_tokens", "q_proj"]},
        {"target_modules": ["lm_head", "q_proj"]},
        {"modules_to_save": ["embed_tokens"]},
        {"use_dora": True},
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
    said, wanted = used(folder)(IDS).logits, reference()(IDS).logits
    assert (said - wanted).norm() < 1e-3 * wanted.norm()


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
    (folder / WEIGHTS).write_bytes(b"\x00" * 100)
    with pytest.raises(ModelError, match="cannot be merged into its base"):
        used(folder)


def test_an_adapter_without_weights_to_merge_says_so(adapted):
    from peft import PromptTuningConfig

    folder, _ = adapted(PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4))
    with pytest.raises(ModelError, match="PROMPT_TUNING changes what the model reads, and no weights"):
        used(folder)
