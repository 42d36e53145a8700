"""Damaged and odd checkpoints: each works, or is refused in one line, by a plan in the same words as by loading."""

import json
import re
import shutil
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from clbench.core.errors import UserError
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Message
from clbench.engine.resolve import check_model
from clbench.models import source, tiny
from clbench.models.custom_code import code_digest
from clbench.models.load import load_net
from clbench.models.skeleton import check_checkpoint

pytestmark = [pytest.mark.xdist_group("models"), pytest.mark.filterwarnings("ignore")]
KEY = "model.layers.1.self_attn.q_proj.weight"
PAIRS = [((Message(role="user", content="What is red?"),), "a colour")]
SIZES = {
    "vocab_size": 2560,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 128,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
CODE = """
from transformers import LlamaConfig, LlamaForCausalLM
class OwnConfig(LlamaConfig):
    model_type = "own"
class OwnForCausalLM(LlamaForCausalLM):
    config_class = OwnConfig
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Write a random LLaMA of two layers with the tokenizer of tiny-llama."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**SIZES)).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(tiny.folder("tiny-llama") / name, folder / name)
    return folder


@pytest.fixture
def folder(base, tmp_path):
    return Path(shutil.copytree(base, tmp_path / "m"))


# --- what is done to a checkpoint ----------------------------------------------------------------------------------


def configured(**changes):
    def change(folder):
        path = folder / "config.json"
        stated = json.loads(path.read_text()) | changes
        path.write_text(json.dumps({k: v for k, v in stated.items() if v is not ...}))

    return change


def weighed(change):
    def write(folder):
        weights = change(load_file(folder / "model.safetensors"))
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    return write


def prefixed(prefix):
    return weighed(lambda weights: {prefix + k: v for k, v in weights.items()})


def replaced(name, content):
    def write(folder):
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


def removed(*names):
    def remove(folder):
        for name in names:
            (folder / name).unlink()

    return remove


def cut(name, share):
    def write(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(len(content) * share)])

    return write


def sharded(*lost):
    def write(folder):
        weights = load_file(folder / "model.safetensors")
        (folder / "model.safetensors").unlink()
        names = sorted(weights)
        where = {name: f"model-0000{i % 2 + 1}-of-00002.safetensors" for i, name in enumerate(names)}
        for file in set(where.values()):
            part = {name: weights[name] for name in names if where[name] == file}
            save_file(part, folder / file, metadata={"format": "pt"})
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
        removed(*lost)(folder)

    return write


def pickled(content=None, **how):
    def write(folder):
        weights = load_file(folder / "model.safetensors")
        (folder / "model.safetensors").unlink()
        torch.save(weights if content is None else content(weights), folder / "pytorch_model.bin", **how)

    return write


def both(*changes):
    def apply(folder):
        for change in changes:
            change(folder)

    return apply


def alone(folder):
    """Leave a PEFT adapter alone, whose base is not here."""
    for path in folder.iterdir():
        path.unlink()
    (folder / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": "owner/base", "peft_type": "LORA"})
    )
    (folder / "adapter_model.safetensors").write_bytes(b"x")


def below(folder):
    (folder / "checkpoint-5").mkdir()
    for path in list(folder.iterdir()):
        if path.is_file():
            path.rename(folder / "checkpoint-5" / path.name)


def dangling(folder):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(folder / "nowhere")


def sentencepiece(folder):
    removed("tokenizer.json")(folder)
    (folder / "tokenizer.model").write_bytes(b"\x0a\x0e\x0a\x05<unk>")


def coded(folder):
    auto = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnForCausalLM"}
    configured(model_type="own", architectures=["OwnForCausalLM"], auto_map=auto)(folder)
    (folder / "own.py").write_text(CODE)


def quantised(**how):
    return configured(quantization_config=how)


class Payload:
    def __reduce__(self):
        return print, ("it ran",)


LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n"
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
    "an adapter whose base is not here": (alone, "adapter alone, and its base 'owner/base' is not a folder here"),
    "a folder of checkpoints": (below, "(?s)holds no config.json.*name the one that is meant: .*checkpoint-5"),
    "a broken template": (replaced("chat_template.jinja", "{% for m in messages %}"), "chat template cannot write"),
}


def said(attempt, spec):
    try:
        attempt(source.settled(spec))
    except UserError as error:
        return str(error)
    return ""


def loaded(spec):
    return load_net(spec, Machine(device="cpu"))


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


def test_weights_that_are_not_numbers_are_told_when_they_are_read(folder):
    weighed(lambda w: w | {KEY: w[KEY] * float("nan")})(folder)
    spec = ModelSpec(name=str(folder))
    assert said(check_model, spec) == ""
    assert f"NaN or infinite values in 1 weight ({KEY})" in said(loaded, spec)


def test_a_file_of_gguf_and_positions_that_are_not_there(folder):
    (folder / "q4.gguf").write_bytes(b"GGUF")
    assert "GGUF weights are those of llama.cpp" in said(check_model, ModelSpec(name=str(folder / "q4.gguf")))
    assert "has 128 positions" in said(check_model, ModelSpec(name=str(folder), max_tokens=129))


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


def test_what_a_template_is_told_is_checked():
    for arguments in ({"messages": []}, {"a-b": 1}):
        with pytest.raises(ValueError, match=r"template itself|name of an argument"):
            ModelSpec(template={"arguments": arguments})
    assert "an encoder reads no chat template" in said(
        check_model, ModelSpec(name="tiny-bert", template={"arguments": {"a": 1}})
    )


# --- size ----------------------------------------------------------------------------------------------------------


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


# --- the command line ----------------------------------------------------------------------------------------------

RECIPE = """
name: grid
stream: {stream}
learner: frozen
budget: {{items: 2}}
metrics: [average_performance]
"""


@pytest.fixture
def grid(base, tmp_path, monkeypatch):
    """Make a recipe in a folder of its own, with a whole model and one without a weight, and stand elsewhere."""
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    shutil.copytree(base, recipes / "whole")
    shutil.copytree(base, recipes / "broken")
    weighed(lambda w: {k: v for k, v in w.items() if k != KEY})(recipes / "broken")
    (recipes / "grid.yaml").write_text(RECIPE.format(stream="worlds-tiny") + "axes: {model.path: [broken, whole]}\n")
    (recipes / "one.yaml").write_text(RECIPE.format(stream="worlds-tiny") + "model: {path: broken}\n")
    monkeypatch.chdir(tmp_path)
    return recipes


@pytest.mark.slow
def test_a_broken_model_of_a_grid_ends_its_own_runs_alone(grid, capsys):
    from clbench.cli.main import main

    def ended(*arguments):
        code = main([*arguments, "--store", "store"])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err.splitlines()

    lacks = f"the checkpoint lacks 1 weight ({KEY})"
    code, out, err = ended("run", "recipes/grid.yaml", "--plan")
    assert code == 2
    assert "1 runs, 4 units" in out
    assert err[-2].startswith("clbench: ./recipes/broken cannot be used: ")
    assert lacks in err[-2]
    code, out, err = ended("run", "recipes/grid.yaml", "--workers", "1")
    assert code == 2
    assert err[-2].startswith("clbench: 1 of 2 runs could not be made: ./recipes/broken: ")
    assert lacks in err[-2]
    assert len(list(Path("store/runs").iterdir())) == 1
    assert Path("clbench-report/report.html").is_file() or list(Path("clbench-report").iterdir())
    words = set()
    for arguments in (["run", "recipes/one.yaml", "--plan"], ["run", "recipes/one.yaml", "--workers", "1"]):
        code, _, err = ended(*arguments)
        assert code == 2
        words.add(tuple(err[-2:]))
    code, _, err = ended("exam", "./recipes/broken", "--exam", "mini_arithmetic")
    assert code == 2
    words.add(tuple(err[-2:]))
    assert len(words) == 1, words


def test_paths_of_a_model_count_from_the_recipe(grid):
    from clbench.core.errors import ModelError
    from clbench.engine.recipe.recipe import load_recipe

    model = {"path": "whole", "template": {"file": "chat.jinja", "arguments": {"a": True}}, "adapter": "peft"}
    (grid / "a.yaml").write_text(RECIPE.format(stream="worlds-tiny") + f"model: {json.dumps(model)}\n")
    found = load_recipe(Path("recipes/a.yaml")).model
    assert (found.name, found.adapter) == ("./recipes/whole", "recipes/peft")
    assert found.template.file == "recipes/chat.jinja"
    with pytest.raises(ModelError, match=r"there is no file 'recipes/chat.jinja'|holds no adapter"):
        load_recipe(Path("recipes/a.yaml")).specs()
    (grid / "b.yaml").write_text(RECIPE.format(stream="worlds-tiny") + "axes: {model: [{path: whole}, tiny-llama]}\n")
    assert [s.model.name for s in load_recipe(Path("recipes/b.yaml")).specs()] == ["./recipes/whole", "tiny-llama"]
