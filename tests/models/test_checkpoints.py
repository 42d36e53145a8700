"""Damaged and odd checkpoints: each works, or is refused in one line, by a plan in the same words as by loading."""

import json
import re
import shutil
import time
from pathlib import Path

import pytest
import torch

from clbench.core.spec import ModelSpec
from clbench.engine.resolve import check_model
from clbench.models import source, tiny
from clbench.models.skeleton import check_checkpoint
from tests.builders.checkpoints import (
    KEY,
    LFS,
    PAIRS,
    Payload,
    alone,
    below,
    both,
    coded,
    configured,
    cut,
    dangling,
    loaded,
    pickled,
    prefixed,
    quantised,
    removed,
    replaced,
    said,
    sentencepiece,
    sharded,
    weighed,
)

pytestmark = [pytest.mark.xdist_group("models"), pytest.mark.filterwarnings("ignore")]


REFUSED = {
    "keys of DDP": (prefixed("module."), r"names of all weights begin with 'module\.', as DistributedDataParallel"),
    "keys of torch.compile": (prefixed("_orig_mod."), "as torch.compile writes them"),
    "keys of peft": (prefixed("base_model.model."), "as peft writes them"),
    "deeper configuration": (configured(num_hidden_layers=3), r"lacks 9 weights .*layers\.2"),
    "shallower configuration": (configured(num_hidden_layers=1), r"holds 9 weights .*layers\.1.*no place for"),
    "wider configuration": (configured(hidden_size=32), r"weights do not fit config\.json: .*\(2560, 16\) where"),
    "other heads": (configured(num_key_value_heads=2), r"k_proj.weight \(8, 16\) where \(16, 16\) is expected"),
    "other class": (
        configured(model_type="gpt2", architectures=["GPT2LMHeadModel"], n_positions=128, n_embd=16, n_head=2),
        "lacks .*weights",
    ),
    "a weight missing": (weighed(lambda w: {k: v for k, v in w.items() if k != KEY}), f"lacks 1 weight .{KEY}"),
    "a weight too many": (weighed(lambda w: w | {"model.more.weight": torch.ones(2)}), "model.more.weight. that this"),
    "a weight of another shape": (
        weighed(lambda w: w | {KEY: torch.ones(3, 16)}),
        r"q_proj.weight \(3, 16\) where \(16, 16\)",
    ),
    "ids beyond the embedding": (
        both(
            configured(vocab_size=100),
            weighed(lambda w: {k: v[:100].clone() if len(v) == 2560 else v for k, v in w.items()}),
        ),
        "words beyond the 100 rows of the model",
    ),
    "AWQ": (quantised(quant_method="awq", bits=4), r"quantised \(awq\)"),
    "GPTQ": (quantised(quant_method="gptq", bits=4), r"quantised \(gptq\)"),
    "bitsandbytes": (quantised(load_in_4bit=True), r"quantised \(bitsandbytes, load_in_4bit\)"),
    "FP8": (quantised(quant_method="fp8"), r"quantised \(fp8\)"),
    "MLX": (configured(quantization={"group_size": 64, "bits": 4}), r"quantised \(quantization\)"),
    "a folder of GGUF": (
        both(removed("config.json", "model.safetensors"), replaced("q4.gguf", b"GGUF")),
        "(?s)no config.json.*GGUF weights are those of llama.cpp",
    ),
    "weights of TensorFlow": (
        both(removed("model.safetensors"), replaced("tf_model.h5", b"x")),
        "(?s)holds no weights.*weights of TensorFlow",
    ),
    "T5": (configured(model_type="t5", architectures=["T5ForConditionalGeneration"]), "encoder and writes with a dec"),
    "an encoder and a decoder": (configured(is_encoder_decoder=True), "with an encoder and writes with a decoder"),
    "code of its own": (coded, "needs code of its own .auto_map., .*with the digest [0-9a-f]{32}"),
    "code that is not there": (both(coded, removed("own.py")), "needs code of its own .*, which is not in its folder"),
    "words of sentencepiece alone": (sentencepiece, "tokenizer.model alone, needs sentencepiece, which is not inst"),
    "no tokenizer": (removed("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"), "holds no tokenizer"),
    "a tokenizer without words": (
        both(removed("tokenizer.json"), replaced("tokenizer_config.json", '{"tokenizer_class": "LlamaTokenizer"}')),
        "the tokenizer knows no words",
    ),
    "a tokenizer cut off": (cut("tokenizer.json", 0.5), "tokenizer.json cannot be read"),
    "weights cut off": (cut("model.safetensors", 0.7), "model.safetensors is cut off: it says that it has"),
    "weights cut off at once": (cut("model.safetensors", 0.002), "model.safetensors is cut off"),
    "weights that are something else": (replaced("model.safetensors", b"x" * 500), "is not a safetensors file"),
    "weights that are empty": (replaced("model.safetensors", b""), "model.safetensors is empty"),
    "a part is missing": (
        sharded("model-00002-of-00002.safetensors"),
        "names 1 of 2 files that are not there: model-00002-of",
    ),
    "no index": (sharded("model.safetensors.index.json"), "lie in parts .*index.json, which names them, is not there"),
    "another name": (
        lambda folder: (folder / "model.safetensors").rename(folder / "llama.safetensors"),
        "no weights under a name that is looked for: llama.safetensors",
    ),
    "weights of Meta's form": (
        lambda folder: (folder / "model.safetensors").rename(folder / "consolidated.safetensors"),
        "(?s)consolidated.safetensors.*in Meta's or Mistral's own form",
    ),
    "a trainer's files alone": (
        lambda folder: (folder / "model.safetensors").rename(folder / "training_args.bin"),
        "(?s)holds no weights .*finish the download",
    ),
    "generation settings that are none": (replaced("generation_config.json", "[]"), "generation_config.json is not a"),
    "a link to nowhere": (dangling, "model.safetensors is a link that leads nowhere"),
    "LFS weights": (replaced("model.safetensors", LFS), "model.safetensors is a pointer of git LFS"),
    "LFS tokenizer": (replaced("tokenizer.json", LFS), "tokenizer.json is a pointer of git LFS"),
    "LFS configuration": (replaced("config.json", LFS), "config.json is a pointer of git LFS"),
    "a web page": (replaced("model.safetensors", "<!DOCTYPE html><html>"), "model.safetensors is a web page"),
    "a pickle with code": (pickled(lambda w: w | {"x": Payload()}), "holds more than tensors .nothing of it was run."),
    "a pickle of an optimiser": (pickled(lambda w: {"model": w, "step": 1}), "is not a mapping of names to weights"),
    "a pickle cut off": (both(pickled(), cut("pytorch_model.bin", 0.5)), "pytorch_model.bin cannot be read"),
    "a configuration that is no JSON": (replaced("config.json", "{'a': 1}"), "config.json cannot be read"),
    "an unknown type": (configured(model_type="nobody"), r"(?s)`nobody`.*does not recognize.*newer transformers"),
    "no type": (configured(model_type=...), "does not say what the model is .model_type."),
    "no type that says a family": (configured(model_type="clip", architectures=...), "cannot tell the family"),
    "a head that does not divide": (configured(num_attention_heads=3), "does not load|not fit"),
    "an adapter whose base is not here": (alone, "adapter alone, and its base 'owner/base' is not a checkpoint here"),
    "a folder of checkpoints": (below, "(?s)holds no config.json.*name the one that is meant: .*checkpoint-5"),
    "a broken template": (replaced("chat_template.jinja", "{% for m in messages %}"), "chat template cannot write"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_damaged_checkpoint_is_one_line_in_a_plan_and_in_a_run(folder, name, capfd):
    damage, says = REFUSED[name]
    damage(folder)
    spec = ModelSpec(name=str(folder))
    planned = said(check_model, spec)
    assert re.search(says, planned), planned
    assert "to mend: " in planned
    assert len(planned.splitlines()) == 2
    assert said(loaded, spec) == planned
    assert "it ran" not in "".join(capfd.readouterr())


def links(folder):
    """Make the folder a snapshot as the Hub's cache keeps it: links to files that are named by their content."""
    for i, path in enumerate(sorted(folder.iterdir())):
        blob = folder.parent / "blobs" / str(i)
        blob.parent.mkdir(exist_ok=True)
        shutil.move(path, blob)
        path.symlink_to(Path("..") / "blobs" / str(i))


RIGHT = {
    "shards": sharded(),
    "a pickle": pickled(),
    "a pickle of the old form": pickled(_use_new_zipfile_serialization=False),
    "no architecture": configured(architectures=...),
    "links of the Hub's cache": links,
    "a folder that cannot be written": lambda folder: folder.chmod(0o500),
    "a buffer of older versions": weighed(lambda w: w | {"model.rotary_emb.inv_freq": torch.ones(4)}),
    "code beside a type that is known": configured(auto_map={"AutoModelForCausalLM": "own.Own"}),
}


@pytest.mark.parametrize("name", RIGHT)
def test_an_odd_checkpoint_says_what_it_says_otherwise(base, folder, name):
    RIGHT[name](folder)
    spec = ModelSpec(name=str(folder))
    assert said(check_model, spec) == ""
    wanted = loaded(source.settled(ModelSpec(name=str(base)))).loglik(PAIRS)
    assert loaded(source.settled(spec)).loglik(PAIRS) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("name", ["with blanks", "模型", "~nobody-of-this-name", "a@b", "[x]*"])
def test_folders_of_any_name(base, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path(name).symlink_to(base)
    assert said(check_model, ModelSpec(name=name)) == ""
    assert said(check_model, ModelSpec(path=name)) == ""
    assert loaded(source.settled(ModelSpec(path=name))).identity == source.identity(ModelSpec(name=str(base)))


def test_a_home_folder_is_found(base, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "models").symlink_to(base.parent)
    assert source.locate(ModelSpec(path=f"~/models/{base.name}")) == tmp_path / "models" / base.name


def test_an_encoder_without_an_architecture_is_one(tmp_path):
    folder = Path(shutil.copytree(tiny.folder("tiny-bert"), tmp_path / "m"))
    configured(architectures=...)(folder)
    assert said(check_model, ModelSpec(name=str(folder))) == ""
    assert loaded(source.settled(ModelSpec(name=str(folder)))).can == {"label"}


@pytest.fixture
def bert(tmp_path):
    """Return a copy of tiny-bert, whose label head has rows with names, and the number of them."""
    folder = Path(shutil.copytree(tiny.folder("tiny-bert"), tmp_path / "bert"))
    return folder, len(json.loads((folder / "config.json").read_text())["id2label"])


def test_a_label_head_without_names_is_told(bert, heard):
    folder, num = bert
    configured(id2label={i: f"LABEL_{i}" for i in range(num)})(folder)
    spec = source.settled(ModelSpec(name=str(folder)))
    told = f"{folder}: its label head has {num} rows without names"
    assert loaded(spec).labels == ()
    assert [text.startswith(told) for text in heard].count(True) == 1
    check_checkpoint(spec, tell=True)
    assert [text.startswith(told) for text in heard].count(True) == 2


def test_a_label_of_two_rows_is_one_line(bert):
    folder, num = bert
    configured(id2label={i: f"word {i // 2}" for i in range(num)})(folder)
    planned = said(check_model, ModelSpec(name=str(folder)))
    assert "gives the label 'word 0' to several rows of the label head" in planned
    assert said(loaded, ModelSpec(name=str(folder))) == planned


def test_weights_that_are_not_numbers_are_told_when_they_are_read(folder):
    weighed(lambda w: w | {KEY: w[KEY] * float("nan")})(folder)
    spec = ModelSpec(name=str(folder))
    assert said(check_model, spec) == ""
    assert f"NaN or infinite values in 1 weight ({KEY})" in said(loaded, spec)


def test_a_file_of_gguf_and_positions_that_are_not_there(folder):
    (folder / "q4.gguf").write_bytes(b"GGUF")
    assert "GGUF weights are those of llama.cpp" in said(check_model, ModelSpec(name=str(folder / "q4.gguf")))
    assert "has 128 positions" in said(check_model, ModelSpec(name=str(folder), max_tokens=129))


def test_seven_billion_weights_are_checked_without_being_read(tmp_path, base):
    """Sparse files: the disk holds the headers alone."""
    shapes = {"model.embed_tokens.weight": (32000, 4096), "lm_head.weight": (32000, 4096), "model.norm.weight": (4096,)}
    for layer in range(32):
        head = f"model.layers.{layer}"
        shapes |= {f"{head}.self_attn.{p}_proj.weight": (4096, 4096) for p in "qkvo"}
        shapes |= {f"{head}.mlp.{p}_proj.weight": (11008, 4096) for p in ("gate", "up")}
        shapes |= {f"{head}.mlp.down_proj.weight": (4096, 11008)}
        shapes |= {f"{head}.{p}_layernorm.weight": (4096,) for p in ("input", "post_attention")}
    place, stated = 0, {}
    for name, shape in shapes.items():
        size = 2 * torch.Size(shape).numel()
        stated[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [place, place + size]}
        place += size
    assert place == 2 * 6_738_415_616
    folder = Path(shutil.copytree(base, tmp_path / "m"))
    sizes = {"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32}
    configured(**sizes, num_attention_heads=32, num_key_value_heads=32, head_dim=128)(folder)
    text = json.dumps(stated).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + place)
    check_checkpoint(ModelSpec(name=str(base)))  # imports
    started = time.process_time()
    check_checkpoint(ModelSpec(name=str(folder)))
    assert time.process_time() - started < 2
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(8 + len(text) + place - 1)
    assert "is cut off: it says that it has 13,4" in said(check_model, ModelSpec(name=str(folder)))
