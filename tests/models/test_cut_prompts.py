"""Prompts that do not fit lose their middle, and the answer says how much."""

import pytest

from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Decode, Example, Message
from clbench.data.worlds.abilities import generate
from clbench.models.load import load_net


@pytest.fixture(scope="module")
def tiny():
    return load_net(ModelSpec(name="tiny-llama", max_tokens=64), Machine())


@pytest.mark.parametrize("kind", ["label", "text"])
def test_what_did_not_fit_loses_its_middle_and_the_answer_says_how_much(tiny, kind):
    (short,) = generate("recall", 1, 0, "exam", 4)
    (long,) = generate("recall", 1, 0, "exam", 60)
    answers = tiny.respond([short, long], Decode(kind=kind, max_tokens=8))
    assert answers[0].tokens_cut == 0
    whole = len(tiny.tokenizer.encode(tiny.render(long.prompt), add_special_tokens=False))
    assert answers[1].tokens_in + answers[1].tokens_cut == whole
    assert answers[1].tokens_in <= 64 < whole


def test_an_encoder_says_how_much_it_cut():
    net = load_net(ModelSpec(name="tiny-bert", max_tokens=16), Machine())
    texts = ["red " * 40, "red"]
    asked = [
        Example(id=str(i), prompt=(Message(role="user", content=t),), choices=("red", "blue"))
        for i, t in enumerate(texts)
    ]
    long, short = net.respond(asked, Decode(kind="label"))
    assert (long.tokens_in, short.tokens_cut) == (16, 0)
    assert long.tokens_cut >= 26
