"""Token lengths and cuts without weights equal those of the model itself."""

import json

import pytest

from clbench.core.errors import ModelError
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Example, Message
from clbench.models import tiny
from clbench.models.load import load_net
from clbench.models.tokens import load_tokens

TURNS = [
    (("user", "What is two and three?"),),
    (("system", "Be brief."), ("user", "Hello"), ("assistant", "Hi"), ("user", "两个字 and more words")),
    (("user", " ".join(f"w{i}" for i in range(200))),),
]
ANSWERS = ["5", "a somewhat longer answer", "no"]


def examples():
    return [
        Example(id=str(i), prompt=tuple(Message(role=r, content=c) for r, c in turns), targets=(answer,))
        for i, (turns, answer) in enumerate(zip(TURNS, ANSWERS, strict=True))
    ]


@pytest.mark.parametrize("name", ["tiny-llama", "tiny-bert"])
def test_lengths_are_the_model_s_own(name, tmp_path):
    spec = ModelSpec(name=name)
    tokens, net = load_tokens(spec), load_net(spec, Machine(store=tmp_path))
    found = tokens.lengths(TURNS, ANSWERS)
    causal = "text" in net.can
    assert [min(p + a * causal, tokens.most) for p, a in found] == [net.length(e) for e in examples()]
    assert all(tokens.fits(p, a) for p, a in found[:2])
    assert tokens.lengths([], []) == []
    assert tokens.unit == f"tokens of {name}"


@pytest.mark.parametrize("name", ["tiny-llama", "tiny-bert"])
def test_what_is_cut_is_what_the_model_does_not_read(name, tmp_path):
    spec = ModelSpec(name=name, max_tokens=64)
    tokens, net = load_tokens(spec), load_net(spec, Machine(store=tmp_path))
    long = examples()[2]
    ((prompt, answer),) = tokens.lengths(TURNS[2:], ANSWERS[2:])
    assert not tokens.fits(prompt, answer)
    assert net.length(long) == 64
    lost, end = tokens.cut(TURNS[2], ANSWERS[2])
    assert end == ""
    kept = net.encode(long)[0] if "text" in net.can else net.prompt_ids(long.prompt)
    (whole,) = tokens._asked([TURNS[2]])
    head = len(kept) // 2
    gone = whole[head : len(whole) - (len(kept) - head)]
    assert kept == whole[:head] + whole[head + len(gone) :]
    assert lost == tokens.tokenizer.decode(gone)


def test_a_long_answer_loses_its_end():
    tokens = load_tokens(ModelSpec(name="tiny-llama", max_tokens=16))
    text = " ".join(f"w{i}" for i in range(50))
    lost, end = tokens.cut(TURNS[0], text)
    assert end
    assert text.endswith(end.strip())
    assert lost


def test_no_such_model():
    with pytest.raises(ModelError, match="did you mean 'tiny-llama'"):
        load_tokens(ModelSpec(name="tiny-lama"))


def copied(folder, **changes):
    """Write the shipped model's configuration and tokenizer with changes to either; nothing here needs weights."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny.folder("tiny-llama"))
    for name in ("bos_token", "unk_token"):
        if name in changes:
            tokenizer.add_special_tokens({name: changes.pop(name)})
    tokenizer.chat_template = None
    tokenizer.save_pretrained(folder)
    config = json.loads((tiny.folder("tiny-llama") / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, **changes}), encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"")
    return load_tokens(ModelSpec(name=str(folder)))


def test_a_beginning_that_is_called_unknown_too_is_no_unknown_word(tmp_path):
    end = load_tokens(ModelSpec(name="tiny-llama")).tokenizer.eos_token
    tokens = copied(tmp_path, bos_token=end, unk_token=end)
    tokens.lengths(TURNS[:2], ANSWERS[:2])
    assert tokens.tokenizer.unk_token_id == tokens.tokenizer.bos_token_id
    assert tokens.closing([]) == []


def test_a_model_that_is_not_supported_is_told_as_such(tmp_path):
    with pytest.raises(ModelError, match="reads with an encoder and writes with a decoder"):
        copied(tmp_path, is_encoder_decoder=True, architectures=["T5ForConditionalGeneration"])
