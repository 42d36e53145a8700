"""First weights that look a fixed number of tokens back, which is what recall from a prompt is built on.

Recall needs a layer that tells each token which token stood before it, and one that finds the place where the current
token stood before and copies what followed (Olsson et al. 2022, "In-context Learning and Induction Heads"). In a model
of hidden size 128 both are very slow to appear. So some heads of the first layer start as "look 1, 2, 3 tokens back",
and one of the second as an induction head in outline (the idea of Trockman & Kolter 2023, "Mimetic Initialization of
Self-Attention Layers", arXiv:2305.09828); everything is trained from there. The losses lie in each model's
pretraining.json.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from clbench.core.errors import ModelError

ROTARY_REACH = 6.0  # length of a rotary bias: the neighbours of the wanted token get about a tenth of its attention
ROTARY_PAIRS = 4  # fastest rotations, which tell neighbours apart
NORMED_PAIRS = 3  # where queries and keys are normalised, fewer pairs leave each more length
NORMED_GAIN = 1.8
QUIET = 0.1  # factor by which content moves these heads at the start
WRITES = 0.12  # factor on the layers that write into the residual stream
SLOWEST_FROM = 6  # of the rotations, counted from the fastest
CARRY, MATCH, COPY = 0.15, 1.2, 0.3
CAUSAL_OFFSETS = (1, 2, 3)
ENCODER_OFFSETS = (1, -1, 2)
ENCODER_SHARPNESS = 1.7
WINDOWS = ((4, 2), (7, 2), (11, 3), (17, 3))  # offset in tokens of each window's middle, and its fastest rotation
WINDOW_PAIRS = 6
WINDOW_REACH = 4.0
ENCODER_WINDOWS = (3, 5, 8, 12)
ENCODER_REACH = 3.0
SLOW = 1.0  # turns a token below which a sine tells a window, not a place
LAYER = re.compile(r"(model\.layers|bert\.encoder\.layer)\.(\d+)")
GOLDEN = 0.6180339887498949


def tokenizer_of(folder: Path) -> Any:
    """Return the tokenizer of a checkpoint, without what it puts around a text."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(folder / "tokenizer.json"))


@torch.no_grad()
def take_over(module: nn.Module, folder: Path, architecture: str) -> None:
    """Load the weights of a checkpoint into a model.

    Labels that the head did not know keep their new rows. The model may have more layers: the new ones stand behind
    the first, in an encoder before it, where positions are still plain; they write little at the start, and their
    heads look at what stands a few tokens back.

    Raises:
        ModelError: The checkpoint's weights have other names or shapes.
    """
    old, new, model = load_file(folder / "model.safetensors"), module.state_dict(), cast("Any", module)
    config: Any = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    more = int(model.config.num_hidden_layers) - int(config["num_hidden_layers"])
    labels: dict[str, int] = model.config.label2id
    encoder = architecture == "bert"
    for name, weight in new.items():
        place = _place(name, more, 0 if encoder else 1)
        if place is None or (name == "lm_head.weight" and name not in old):  # a new layer; tied to the embeddings
            continue
        if name.startswith("classifier."):
            for label in set(labels) & set(config["label2id"]):
                weight[labels[label]] = old[name][config["label2id"][label]]
        elif place in old and old[place].shape == weight.shape:
            weight.copy_(old[place])
        else:
            mend = "architecture, vocab, hidden, inner and positions must be those of the checkpoint, layers no fewer"
            raise ModelError(f"the checkpoint has no {place} of shape {tuple(weight.shape)}", where="start", mend=mend)
    for number in range(more):
        if encoder:
            _encoder_windows(model.bert.encoder.layer[number])
        else:
            _windows(model, 1 + number, normed=architecture == "hunyuan")


def _place(name: str, more: int, before: int) -> str | None:
    """Return the name in a checkpoint of a weight of a model with more layers; None where it has none.

    Args:
        name: The name in the model.
        more: New layers.
        before: Layers of the checkpoint that stand before the new ones.
    """
    found = LAYER.match(name)
    if not found or int(found[2]) < before:
        return name
    number = int(found[2]) - more
    return None if number < before else f"{found[1]}.{number}{name[found.end() :]}"


def _encoder_windows(layer: Any) -> None:
    """Set the heads of an encoder's new first layer to windows back, by the slow sines of its positions."""
    attention, size = layer.attention.self, layer.attention.self.attention_head_size
    turns = _sines(size // 2)
    slow = torch.cat([turns < SLOW, turns < SLOW]).float()
    layer.attention.output.dense.weight *= WRITES
    layer.output.dense.weight *= WRITES
    for head, offset in enumerate(ENCODER_WINDOWS):
        rows = slice(head * size, (head + 1) * size)
        attention.key.weight[rows] *= QUIET
        attention.query.weight[rows] *= QUIET
        attention.key.weight[rows, :size] = ENCODER_REACH * torch.diag(slow)
        attention.query.weight[rows, :size] = ENCODER_REACH * _turn(-offset * turns) * slow


def _windows(model: Any, number: int, normed: bool) -> None:
    """Set the heads of a layer to gather what stands in a window of tokens, whatever it is.

    A value and a question then know the name that stands a few tokens before them, in any wording.
    """
    layer, turns = model.model.layers[number], model.model.rotary_emb.inv_freq
    layer.self_attn.o_proj.weight *= WRITES
    layer.mlp.down_proj.weight *= WRITES
    for head, (offset, first) in enumerate(WINDOWS):
        _aim(layer.self_attn, turns, head, offset, range(first, first + WINDOW_PAIRS), WINDOW_REACH)
    if normed:
        _raise_gain(layer.self_attn)


def _aim(attention: Any, turns: Tensor, head: int, offset: int, pairs: range, reach: float) -> None:
    """Set a head to look `offset` tokens back; slower rotations make the window wider."""
    size = attention.head_dim
    rows = slice(head * size, (head + 1) * size)
    key, query = torch.zeros(size), torch.zeros(size)
    for i in pairs:  # query and key point the same way when they are `offset` positions apart
        angle = -offset * float(turns[i])
        key[i] = reach
        query[i], query[i + size // 2] = reach * math.cos(angle), reach * math.sin(angle)
    attention.q_proj.bias[rows], attention.k_proj.bias[rows] = query, key
    attention.q_proj.weight[rows] *= QUIET
    attention.k_proj.weight[rows] *= QUIET


def _raise_gain(attention: Any) -> None:
    attention.query_layernorm.weight.fill_(NORMED_GAIN)
    attention.key_layernorm.weight.fill_(NORMED_GAIN)


@torch.no_grad()
def look_back(module: nn.Module, architecture: str) -> None:
    """Set some heads of the first layer to look a fixed number of tokens back.

    Args:
        module: The untrained model; causal ones must have attention biases.
        architecture: "llama", "hunyuan" or "bert".
    """
    model: Any = module
    if architecture == "bert":
        _absolute(model)
    else:
        _rotary(model, normed=architecture == "hunyuan")


def _match(model: Any) -> None:
    """Set a head of the second layer to find what followed the current token before, and to copy it.

    The first layer's "look 1 back" head carries the token before into a part of the stream of its own, where the
    second layer finds it: an induction head in outline.
    """
    first, second = model.model.layers[0].self_attn, model.model.layers[1].self_attn
    size, width = first.head_dim, model.config.hidden_size
    # Content is compared in rotations so slow that the distance within a prompt hardly turns them.
    slow = [d for d in range(size) if d % (size // 2) >= SLOWEST_FROM]
    basis = torch.linalg.qr(torch.randn(width, width)).Q.T
    seen, carried, copied = basis[: len(slow)], basis[len(slow) : 2 * len(slow)], basis[-size:]
    first.v_proj.weight[: len(slow)], first.o_proj.weight[:, : len(slow)] = seen, CARRY * carried.T
    query, key = torch.zeros(size, width), torch.zeros(size, width)
    query[slow], key[slow] = MATCH * seen, MATCH * carried
    second.q_proj.weight[:size], second.k_proj.weight[:size] = query, key
    second.v_proj.weight[:size], second.o_proj.weight[:, :size] = copied, COPY * copied.T


def _rotary(model: Any, normed: bool) -> None:
    for layer in model.model.layers:  # what layers write is to be of the size of what they read
        layer.self_attn.o_proj.weight *= WRITES
        layer.mlp.down_proj.weight *= WRITES
    attention, turns = model.model.layers[0].self_attn, model.model.rotary_emb.inv_freq
    pairs = range(NORMED_PAIRS if normed else ROTARY_PAIRS)
    for head, offset in enumerate(CAUSAL_OFFSETS):
        _aim(attention, turns, head, offset, pairs, ROTARY_REACH)
    if normed:
        _raise_gain(attention)
    _match(model)


def _absolute(model: Any) -> None:
    words, places = model.bert.embeddings.word_embeddings.weight, model.bert.embeddings.position_embeddings.weight
    attention = model.bert.encoder.layer[0].attention.self
    size = attention.attention_head_size
    half = size // 2
    turns = _sines(half)
    angles = torch.arange(places.shape[0])[:, None] * turns[None, :]
    spread = float(words.std())
    words[:, :size] = 0.0
    places.zero_()
    places[:, :half], places[:, half:size] = math.sqrt(2) * spread * angles.cos(), math.sqrt(2) * spread * angles.sin()
    for head, offset in enumerate(ENCODER_OFFSETS):
        rows = slice(head * size, (head + 1) * size)
        attention.key.weight[rows] *= QUIET
        attention.query.weight[rows] *= QUIET
        attention.key.weight[rows, :size] = ENCODER_SHARPNESS * torch.eye(size)
        attention.query.weight[rows, :size] = ENCODER_SHARPNESS * _turn(-offset * turns)


def _sines(num: int) -> Tensor:
    """Return the turns a token of the sines that positions get for themselves: spread out, so that none repeat."""
    return math.pi * ((torch.arange(num) * GOLDEN + 0.5) % 1.0)


def _turn(angles: Tensor) -> Tensor:
    cos, sin = torch.diag(angles.cos()), torch.diag(angles.sin())
    return torch.cat([torch.cat([cos, -sin], dim=1), torch.cat([sin, cos], dim=1)])
