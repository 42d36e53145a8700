"""Token lengths and cuts without weights equal those of the model itself."""

import pytest

from clbench.core.errors import ModelError
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Example, Message
from clbench.models.net import load_net
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
