"""Checkpoints of other families than the shipped ones, small and random: they learn and answer, or say one line."""

import json
import shutil
import warnings
from pathlib import Path

import pytest
import torch

from clbench.core import plugins
from clbench.core.errors import ModelError, SpecError
from clbench.core.spec import Machine, ModelSpec, RunSpec
from clbench.core.types import Decode, Example, Lesson, Message
from clbench.engine.resolve import resolve
from clbench.models import source, tiny
from clbench.models.load import load_net

pytestmark = pytest.mark.xdist_group("models")
SMALL = {"vocab_size": 2560, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
WIDE = {**SMALL, "intermediate_size": 64}
GPT2 = {"vocab_size": 2560, "n_embd": 32, "n_layer": 2, "n_head": 2, "bos_token_id": 1, "eos_token_id": 2}
ENDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
# Beside those of test_zoo.py.
CAUSAL = {
    "GPT2LMHeadModel": GPT2,
    "GPTNeoForCausalLM": {
        "vocab_size": 2560,
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 2,
        **ENDS,
        "attention_types": [[["global", "local"], 1]],
    },
    "PhiForCausalLM": {**WIDE, **ENDS},
    "OpenAIGPTLMHeadModel": {"vocab_size": 2560, "n_embd": 32, "n_layer": 2, "n_head": 2},
    "Qwen2MoeForCausalLM": {
        **WIDE,
        **ENDS,
        "num_key_value_heads": 1,
        "moe_intermediate_size": 32,
        "shared_expert_intermediate_size": 32,
        "num_experts": 2,
        "num_experts_per_tok": 1,
    },
}
ENCODERS = {
    "BertForMaskedLM": {**WIDE, "pad_token_id": 0},
    "ModernBertForMaskedLM": {**WIDE, **ENDS, "cls_token_id": 1, "sep_token_id": 2, "local_attention": 16},
    "LlamaForSequenceClassification": {**WIDE, "num_labels": 3, "pad_token_id": 0},
    "GPT2ForSequenceClassification": {**GPT2, "num_labels": 3},  # it names no padding token
}
LORA = ["lora", "lora_plus", "replay_lora", "olora", "osf", "lora_per_task", "adapters", "progressive", "combine"]
OTHERS = ["sft", "ewc", "derpp", "progressive_prompts", "separate"]


def save(folder, architecture, settings, **tokenizer):
    """Write a random checkpoint with the tokenizer of the shipped model of its kind."""
    import transformers
    from transformers.utils import logging

    logging.disable_progress_bar()
    causal = architecture.endswith(("ForCausalLM", "LMHeadModel")) or "Llama" in architecture or "GPT2" in architecture
    kept = transformers.AutoTokenizer.from_pretrained(tiny.folder("tiny-llama" if causal else "tiny-bert"))
    if tokenizer:
        kept.add_special_tokens(tokenizer)
    kind = getattr(transformers, architecture)
    torch.manual_seed(0)
    kind(kind.config_class(**settings)).save_pretrained(folder)
    kept.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    root, made = tmp_path_factory.mktemp("zoo"), {}

    def checkpoint(architecture):
        if architecture not in made:
            made[architecture] = save(root / architecture, architecture, {**CAUSAL, **ENCODERS}[architecture])
        return made[architecture]

    return checkpoint


def lesson(step, labels):
    examples = tuple(
        Example(
            id=f"{step}-{i}",
            prompt=(Message(role="user", content=f"thing {step} {i} " * (1 + i % 3)),),
            targets=(labels[i % len(labels)],),
            choices=labels,
        )
        for i in range(6)
    )
    return Lesson(number=step, examples=examples, digest=f"lesson {step}", task_name=f"task {step}")


LESSONS = (lesson(1, ("red", "blue")), lesson(2, ("green", "yellow", "pink")))
ASKED = tuple(
    Example(id=str(i), prompt=e.prompt, targets=e.targets, choices=("red", "green", "never heard of"))
    for i, e in enumerate(LESSONS[0].examples[:3])
)


def made(name, folder, **model):
    plugin = plugins.load("learner", name, "PLUGIN")
    config = plugin.config(lr=1e-3, epochs=1, batch_size=3, warmup=0.0)
    return plugin.build(config, ModelSpec(name=str(folder), **model), 0, Machine(device="cpu"))


def lives(name, folder, tmp_path, **model):
    """Learn two lessons with new labels, and answer after a sleep as before it."""
    awake = made(name, folder, **model)
    before = {n: p.detach().clone() for n, p in awake.net.module.named_parameters()}
    for each in LESSONS:
        awake.learn(each)
    now = dict(awake.net.module.named_parameters())
    assert any(n not in before or before[n].shape != p.shape or not torch.equal(before[n], p) for n, p in now.items())
    awake.save(tmp_path)
    woken = made(name, folder, **model)
    woken.load(tmp_path)
    decode = Decode(kind="label", task_id="task 1")
    said = awake.respond(ASKED, decode)
    assert [a.example_id for a in said] == [e.id for e in ASKED]
    assert woken.respond(ASKED, decode) == said


@pytest.mark.parametrize("name", [*LORA, *OTHERS])
def test_gpt2_whose_linear_layers_are_turned_over_learns_with_every_method(name, zoo, tmp_path):
    lives(name, zoo("GPT2LMHeadModel"), tmp_path)


@pytest.mark.parametrize("name", ["lora", "osf", "adapters", "progressive_prompts"])
@pytest.mark.parametrize("architecture", sorted(CAUSAL.keys() - {"GPT2LMHeadModel"}))
def test_causal_families(architecture, name, zoo, tmp_path):
    lives(name, zoo(architecture), tmp_path)


@pytest.mark.parametrize("name", ["sft", "ewc", "lora", "osf", "progressive", "progressive_prompts"])
@pytest.mark.parametrize("architecture", sorted(ENCODERS))
def test_label_heads_that_grow(architecture, name, zoo, tmp_path):
    lives(name, zoo(architecture), tmp_path)


def test_lora_on_gpt2_moves_what_its_equation_says(zoo):
    """W' = W + (alpha / rank) B A, with W turned over."""
    learner = made("lora", zoo("GPT2LMHeadModel"))
    learner.learn(LESSONS[0])
    layer = learner.net.module.get_submodule("transformer.h.0.attn.c_attn")
    x = torch.randn(4, 32)
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    expected = x @ layer.base_layer.weight + layer.base_layer.bias + 32 / 16 * x @ a.T @ b.T
    assert torch.allclose(layer(x), expected, atol=1e-6)
    assert float(b.detach().abs().max()) > 0


def test_osf_puts_turned_layers_back_and_keeps_the_strong_directions(zoo):
    learner = made("osf", zoo("GPT2LMHeadModel"))
    name = "transformer.h.0.attn.c_attn"
    before = learner.net.module.get_submodule(name).weight.detach().clone()
    learner.learn(LESSONS[0])
    layer = learner.net.module.get_submodule(name)
    assert type(layer).__name__ == "Conv1D"
    assert not torch.equal(layer.weight, before)
    strong = torch.linalg.svd(before.T, full_matrices=False)
    change = (layer.weight.detach() - before).T
    assert float((strong.U[:, :16].T @ change).abs().max()) < 1e-5
    assert float((change @ strong.Vh[:16].T).abs().max()) < 1e-5


@pytest.mark.parametrize("architecture", ["LlamaForSequenceClassification", "GPT2ForSequenceClassification"])
def test_a_decoders_label_is_read_at_the_last_token_whatever_the_batch(architecture, zoo):
    net = load_net(ModelSpec(name=str(zoo(architecture))), Machine(device="cpu"))
    net.grow(["red", "green"])
    batch = net.batch([e.model_copy(update={"targets": ("red",)}) for e in ASKED])
    with torch.no_grad():
        together = net.forward(net.module, batch).logits_NV
        alone = [net.module(input_ids=torch.tensor([net.prompt_ids(e.prompt)])).logits[0] for e in ASKED]
        hidden = [
            net.module.base_model(input_ids=torch.tensor([net.prompt_ids(e.prompt)])).last_hidden_state[0, -1]
            for e in ASKED
        ]
    assert torch.allclose(together, torch.stack(alone), atol=1e-5)
    unseen = net._logits(ASKED, ["never heard of"])[:, -1]
    assert torch.allclose(unseen, torch.stack([h @ net._new_row("never heard of") for h in hidden]), atol=1e-5)


@pytest.mark.parametrize("pooling", ["bos", "mean", "late"])
def test_a_label_never_seen_is_read_where_the_model_reads_its_labels(pooling, tmp_path):
    settings = {**WIDE, **ENDS, "num_key_value_heads": 2, "mask_token_id": 3, "classifier_pooling": pooling}
    folder = save(tmp_path / "a", "EuroBertForSequenceClassification", settings)
    net = load_net(ModelSpec(name=str(folder), family="encoder"), Machine(device="cpu"))
    asked = examples_of_lengths()
    before = net._logits(asked, ["x", "y"])
    net.grow(["x", "y"])
    assert torch.allclose(before, net._logits(asked, []), atol=1e-5)


def test_a_model_that_mixes_padding_in_reads_texts_of_one_length_together(tmp_path):
    folder = save(tmp_path / "a", "FNetForSequenceClassification", {**WIDE, "pad_token_id": 0})
    net = load_net(ModelSpec(name=str(folder)), Machine(device="cpu", exam_batch=8))
    assert not net.pads
    net.grow(["x", "y"])
    asked = examples_of_lengths()
    alone = torch.cat([net._logits([e], []) for e in asked])
    assert torch.allclose(net.forward(net.module, net.batch(asked)).logits_NV, alone, atol=1e-5)
    assert net.respond(asked, Decode(kind="label")) == [net.respond([e], Decode(kind="label"))[0] for e in asked]


def examples_of_lengths():
    return [
        Example(
            id=str(i), prompt=(Message(role="user", content="word " * (1 + 3 * i)),), targets=("x",), choices=("x", "y")
        )
        for i in range(4)
    ]


def test_padding_that_has_no_embedding_is_another_token(tmp_path):
    folder = save(tmp_path / "m", "BertForMaskedLM", ENCODERS["BertForMaskedLM"], pad_token="<beyond>")
    net = load_net(ModelSpec(name=str(folder)), Machine(device="cpu"))
    assert net.tokenizer.pad_token_id >= 2560 > net.padding
    lives("sft", folder, tmp_path / "state")


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["t5", "xlnet"])
def test_what_cannot_be_asked_rightly_is_refused_before_it_is_loaded(kind, tmp_path):
    about = {"t5": {"is_encoder_decoder": True, "architectures": ["T5ForConditionalGeneration"]}, "xlnet": {}}[kind]
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, **about}))
    (tmp_path / "model.safetensors").touch()
    for family in ("auto", "encoder"):
        with pytest.raises(ModelError, match="is not supported") as error:
            source.abilities(ModelSpec(name=str(tmp_path), family=family))
        assert kind in str(error.value)


def test_a_model_that_this_transformers_cannot_let_write_is_one_line(tmp_path):
    settings = {**WIDE, **ENDS, "num_key_value_heads": 1, "lru_width": 32, "attention_window_size": 8}
    folder = save(tmp_path / "a", "RecurrentGemmaForCausalLM", settings)
    with pytest.raises(ModelError, match="reads, and cannot write two tokens: `get_seq_length`"):
        load_net(ModelSpec(name=str(folder)), Machine(device="cpu"))


def test_a_model_without_linear_layers_has_nothing_to_adapt():
    from clbench.learners._shared.adapters import targets_in

    class Plain:
        module = torch.nn.Embedding(4, 4)
        head_name = ""
        micro_batch = None

    with pytest.raises(SpecError, match="nothing to adapt"):
        targets_in(Plain(), "all-linear")


@pytest.fixture(scope="module")
def adapted(tmp_path_factory):
    """Make a folder with base and adapter, one with the adapter alone, and the merged reference."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    root = tmp_path_factory.mktemp("adapted")
    base = Path(tiny.folder("tiny-llama"))
    torch.manual_seed(1)
    settings = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
    for name in ("both", "merged"):
        shutil.copytree(base, root / name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries among themselves
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), settings)
        for name in ("alone", "both"):
            model.save_pretrained(root / name)
        model.merge_and_unload().save_pretrained(root / "merged")
    return root


PAIRS = [((Message(role="user", content="What is red?"),), "a colour")]


def test_a_folder_with_base_and_adapter_asks_which_is_meant(adapted):
    machine, base = Machine(device="cpu"), ModelSpec()
    with pytest.raises(ModelError, match="whether the adapter counts") as error:
        source.identity(ModelSpec(name=str(adapted / "both")))
    assert "adapter: use" in error.value.mend
    with pytest.raises(ModelError, match="whether the adapter counts"):
        resolve(RunSpec(name="x", model=ModelSpec(name=str(adapted / "both")), learner={"name": "sft"}, stream="x"))
    used, left = (ModelSpec(name=str(adapted / "both"), adapter=a) for a in ("use", "ignore"))
    said = {s.adapter: load_net(s, machine).loglik(PAIRS)[0] for s in (used, left, base)}
    merged = load_net(ModelSpec(name=str(adapted / "merged")), machine).loglik(PAIRS)[0]
    assert said["use"] == pytest.approx(merged, abs=1e-4)
    assert said["ignore"] == said[None] != pytest.approx(merged, abs=1e-2)
    assert source.identity(left) == source.identity(base) != source.identity(used)


@pytest.mark.parametrize("name", ["sft", "lora"])
def test_a_used_adapter_is_part_of_the_weights_that_learn(name, adapted, tmp_path):
    learner = made(name, adapted / "both", adapter="use")
    assert not any("lora" in n for n, _ in learner.net.module.named_parameters())
    lives(name, adapted / "both", tmp_path, adapter="use")


def test_an_adapter_alone_says_what_it_says_beside_its_base(adapted):
    machine = Machine(device="cpu")
    alone, beside = ModelSpec(name=str(adapted / "alone")), ModelSpec(name=str(adapted / "both"), adapter="use")
    assert load_net(alone, machine).loglik(PAIRS) == load_net(beside, machine).loglik(PAIRS)


def test_an_adapter_that_is_not_there_cannot_be_used(adapted):
    with pytest.raises(ModelError, match="holds no adapter"):
        source.locate(ModelSpec(name=str(adapted / "merged"), adapter="use"))


def test_a_spec_without_adapter_keeps_its_key():
    from clbench.core.keys import canonical

    assert "adapter" not in canonical(ModelSpec())
    assert '"adapter":"use"' in canonical(ModelSpec(adapter="use"))
