"""What a recipe may say of a model: its code, attention, adapter and template."""

import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from clbench.core.spec import ModelSpec
from clbench.engine.resolve import check_model
from clbench.models import source
from clbench.models.custom_code import code_digest
from clbench.models.place import is_shipped
from tests.builders.checkpoints import (
    CODE,
    PAIRS,
    coded,
    loaded,
    said,
)

pytestmark = [pytest.mark.xdist_group("models"), pytest.mark.filterwarnings("ignore")]


def test_code_runs_only_under_its_digest(base, folder, monkeypatch, tmp_path):
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("nobody is asked"))
    coded(folder)
    spec = ModelSpec(name=str(folder), trust_code=code_digest(folder))
    assert said(check_model, spec) == ""
    net = loaded(source.settled(spec))
    assert type(net.module).__name__ == "OwnForCausalLM"
    wanted = loaded(source.settled(ModelSpec(name=str(base)))).loglik(PAIRS)
    assert net.loglik(PAIRS) == pytest.approx(wanted, abs=1e-5)
    (folder / "own.py").write_text(CODE + "# another\n")
    for attempt in (check_model, loaded):
        assert f"has the digest {code_digest(folder)}, not {spec.trust_code}" in said(attempt, spec)
    assert "holds no code" in said(check_model, spec.model_copy(update={"name": str(base)}))


def test_a_shipped_model_with_files_of_a_stranger_is_not_a_shipped_one():
    assert is_shipped(ModelSpec(name="tiny-llama", dtype="bfloat16"))
    for own in ({"adapter": "x"}, {"template": {"file": "x"}}, {"attention": "eager"}, {"trust_code": "0" * 32}):
        assert not is_shipped(ModelSpec(name="tiny-llama", **own))


def test_attention_is_as_asked_or_refused(base):
    asked = {kind: ModelSpec(name=str(base), attention=kind) for kind in ("eager", "sdpa", "flash_attention_2")}
    for kind in ("eager", "sdpa"):
        assert said(check_model, asked[kind]) == ""
        assert loaded(source.settled(asked[kind])).module.config._attn_implementation == kind
    if not torch.cuda.is_available():
        refused = said(check_model, asked["flash_attention_2"])
        assert refused.startswith("model.attention: ")
        assert said(loaded, asked["flash_attention_2"]) == refused
    keys = {source.identity(spec) for spec in (*asked.values(), ModelSpec(name=str(base)))}
    assert len(keys) == 4


# --- adapters elsewhere --------------------------------------------------------------------------------------------


@pytest.fixture
def adapter(base, tmp_path):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    settings = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
    torch.manual_seed(3)
    get_peft_model(AutoModelForCausalLM.from_pretrained(base), settings).save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]},
        {"target_modules": ["q_proj", "embed_tokens"]},
        {"target_modules": ["q_proj", "lm_head"]},
    ],
)
def test_an_adapter_of_a_base_with_more_words_is_told_with_both_numbers(base, tmp_path, settings):
    """And the way that is named works: the larger base takes the adapter."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base)
    before = model.get_input_embeddings().weight.shape[0]
    model.resize_token_embeddings(before + 3, mean_resizing=False)
    config = LoraConfig(r=2, task_type="CAUSAL_LM", init_lora_weights=False, **settings)
    folder = tmp_path / "adapter"
    get_peft_model(model, config).save_pretrained(folder, save_embedding_layers=False)
    spec = ModelSpec(name=str(base), adapter=str(folder))
    told = said(check_model, spec)
    assert f"belongs to a base of {before + 3:,} words, and this one has {before:,}" in told
    assert "resize_token_embeddings" in told and said(loaded, source.settled(spec)) == told
    shutil.copytree(base, tmp_path / "larger", ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
    larger = AutoModelForCausalLM.from_pretrained(base)
    larger.resize_token_embeddings(before + 3, mean_resizing=False)
    larger.save_pretrained(tmp_path / "larger")
    assert said(check_model, ModelSpec(name=str(tmp_path / "larger"), adapter=str(folder))) == ""


def test_an_adapter_elsewhere_is_merged_and_its_content_counts(base, adapter, heard):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    ids = torch.tensor([[1, 50, 60, 70]])
    with torch.no_grad():
        wanted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter).eval()(ids).logits
        for spec in (ModelSpec(name=str(base), adapter=str(adapter)), ModelSpec(path=str(adapter))):
            assert said(check_model, spec) == ""
            found = loaded(source.settled(spec)).module(ids).logits
            assert (found - wanted).norm() < 1e-4 * wanted.norm()
    assert [f"the adapter in {adapter} is merged into the weights of {base}" in text for text in heard].count(True) >= 2
    named, plain = ModelSpec(name=str(base), adapter=str(adapter)), ModelSpec(name=str(base))
    copied = shutil.copytree(adapter, adapter.parent / "copy")
    assert source.identity(named) == source.identity(named.model_copy(update={"adapter": str(copied)}))
    assert source.identity(named) == source.identity(ModelSpec(name=str(adapter))) != source.identity(plain)
    pinned = source.settled(named)
    weights = load_file(adapter / "adapter_model.safetensors")
    save_file({k: 2 * v for k, v in weights.items()}, adapter / "adapter_model.safetensors")
    assert source.identity(named) != source.identity(named.model_copy(update={"adapter": str(copied)}))
    assert "is not what it was" in said(check_model, pinned)


def test_the_tokenizer_beside_an_adapter_is_the_one(base, adapter):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(base / name, adapter / name)
    (adapter / "chat_template.jinja").write_text("{% for m in messages %}Said: {{ m.content }}<|end|>{% endfor %}")
    net = loaded(source.settled(ModelSpec(name=str(adapter))))
    assert net.render(PAIRS[0][0]).startswith("Said: What is red?<|end|>")


def test_an_adapter_that_is_nowhere_is_one_line(base, adapter):
    spec = ModelSpec(name=str(base), adapter=str(adapter))
    whole = load_file(adapter / "adapter_model.safetensors")
    file = adapter / "adapter_model.safetensors"
    odd = {
        "size mismatch|cannot be merged": {k: v[:, :3].contiguous() for k, v in whole.items()},
        "does not fit its base .*missing adapter keys": {k.replace("q_proj", "x_proj"): v for k, v in whole.items()},
        "4 weights of it have no place there": whole
        | {k.replace("q_proj", "x_proj"): v.clone() for k, v in whole.items()},
    }
    for says, weights in odd.items():
        save_file(weights, file)
        planned = said(check_model, spec)
        assert re.search(says, planned), planned
        assert said(loaded, spec) == planned
    spec = ModelSpec(name=str(base), adapter=str(adapter) + "s")
    assert re.search("(?s)holds no adapter .*did you mean .*adapter'", said(check_model, spec))
    (adapter / "adapter_model.safetensors").unlink()
    assert "no weights of it" in said(check_model, ModelSpec(name=str(adapter)))


# --- templates -----------------------------------------------------------------------------------------------------

THINKS = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}<|end|>{% endfor %}"
    "{{ date_string }} {% if enable_thinking is defined and not enable_thinking %}(no){% else %}<think>{% endif %}"
)


def test_a_template_of_a_file_and_its_arguments(base, tmp_path):
    file = tmp_path / "chat.jinja"
    file.write_text(THINKS)

    def rendered(**template):
        spec = source.settled(ModelSpec(name=str(base), template=template))
        assert said(check_model, spec) == ""
        return source.identity(spec), loaded(spec).render(PAIRS[0][0])

    first, text = rendered(file=str(file))
    assert text == "user: What is red?<|end|>26 Jul 2024 <think>"
    second, text = rendered(file=str(file), arguments={"enable_thinking": False, "date_string": "today"})
    assert text == "user: What is red?<|end|>today (no)"
    moved = Path(shutil.copy(file, tmp_path / "moved.jinja"))
    assert rendered(file=str(moved))[0] == first != second
    pinned = source.settled(ModelSpec(name=str(base), template={"file": str(file)}))
    assert re.fullmatch(rf"{file}@[0-9a-f]{{16}}", pinned.template.file)
    assert source.settled(pinned) == pinned
    file.write_text(THINKS + " ")
    assert "is not what it was" in said(check_model, pinned)
    assert source.identity(ModelSpec(name=str(base), template={"file": str(file)})) != first


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "there is no file"),
        (b"", "is empty"),
        (b"\xff\xfe", "cannot be read"),
        (b"{% if %}", "chat template cannot write a conversation"),
        (b"{{ 1 }}", "leaves out 1 of them"),
    ],
)
def test_a_template_that_does_not_work_is_one_line(base, tmp_path, content, says):
    if content is not None:
        (tmp_path / "chat.jinja").write_bytes(content)
    spec = ModelSpec(name=str(base), template={"file": str(tmp_path / "chat.jinja")})
    planned = said(check_model, spec)
    assert says in planned
    assert said(loaded, spec) == planned


def test_an_argument_that_nothing_reads_and_a_revision_of_a_folder_are_told(base, heard):
    source.settled(ModelSpec(name=str(base), revision="main", template={"arguments": {"enable_thinking": False}}))
    assert heard == [
        f"{base}: `revision` is not read: it is a folder",
        f"{base}: its chat template does not read enable_thinking",
    ]


def test_what_a_template_is_told_is_checked():
    for arguments in ({"messages": []}, {"a-b": 1}):
        with pytest.raises(ValueError, match=r"template itself|name of an argument"):
            ModelSpec(template={"arguments": arguments})
    assert "an encoder reads no chat template" in said(
        check_model, ModelSpec(name="tiny-bert", template={"arguments": {"a": 1}})
    )
