"""Small random checkpoints, and what may happen to the files of one."""

import json
import shutil

import torch
from safetensors.torch import load_file, save_file

from clbench.core.errors import UserError
from clbench.core.spec import Machine
from clbench.core.types import Message
from clbench.models import source, tiny
from clbench.models.load import load_net

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


def write_base(folder):
    """Write a random LLaMA of two layers with the tokenizer of tiny-llama."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**SIZES)).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(tiny.folder("tiny-llama") / name, folder / name)
    return folder


def configured(**changes):
    return _stated("config.json", changes)


def configured_adapter(**changes):
    return _stated("adapter_config.json", changes)


def _stated(name, changes):
    def change(folder):
        path = folder / name
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


def said(attempt, spec):
    try:
        attempt(source.settled(spec))
    except UserError as error:
        return str(error)
    return ""


def loaded(spec):
    return load_net(spec, Machine(device="cpu"))
