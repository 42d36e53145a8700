"""Plain questions: the tokens, the sharing, and the texts, against one plain forward pass and a hand-written loop."""

import random

import pytest
import torch

from clbench.core.errors import ModelError
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Decode, Example, Message, Request
from clbench.models.load import load_net
from clbench.models.plain import windows
from clbench.models.prefix import shared_beginnings

RAW = Decode(kind="raw")
SHOTS = "".join(f"Question: what is {i} and {i}?\nAnswer: it is {2 * i}\n\n" for i in range(9))


@pytest.fixture(scope="module", params=["tiny-llama", "tiny-hunyuan"])
def net(request):
    return load_net(ModelSpec(name=request.param), Machine(device="cpu"))


def asked(*requests, name="e"):
    return Example(id=name, prompt=(Message(role="user", content="shown"),), requests=requests)


def plain(net, context, continuation):
    """Log-likelihood from one forward pass over all tokens, and whether each token is the likeliest."""
    whole = net.tokenizer.encode(context + continuation)
    start = len(net.tokenizer.encode(context.rstrip()))
    with torch.inference_mode():
        logp = net.module(input_ids=torch.tensor([whole])).logits[0].float().log_softmax(-1)
    places = range(start - 1, len(whole) - 1)
    own = whole[start:]
    return sum(float(logp[p, t]) for p, t in zip(places, own, strict=True)), all(
        int(logp[p].argmax()) == t for p, t in zip(places, own, strict=True)
    )


def questions():
    choices = [" red", " blue and green", " 7", " a very long answer of many words indeed"]
    return [
        asked(
            *(Request(kind="loglik", context=f"{SHOTS}Question: item {i}?\nAnswer:", continuation=c) for c in choices)
        )
        for i in range(7)
    ]


def test_choices_after_a_shared_beginning_score_as_alone(net):
    found = net.respond(questions(), RAW)
    for example, answer in zip(questions(), found, strict=True):
        for request, reply in zip(example.requests, answer.replies, strict=True):
            nats, greedy = plain(net, request.context, request.continuation)
            assert reply.loglik == pytest.approx(nats, abs=2e-3)
            assert reply.greedy == greedy


def test_sharing_changes_nothing(net, monkeypatch):
    shared = net.respond(questions(), RAW)
    monkeypatch.setattr("clbench.models.plain.shared_beginnings", lambda contexts: [(0, [*range(len(contexts))])])
    alone = net.respond(questions(), RAW)
    for a, b in zip(shared, alone, strict=True):
        assert [r.loglik for r in a.replies] == pytest.approx([r.loglik for r in b.replies], abs=2e-3)


def test_a_model_that_cannot_share_rows_gives_the_same(net, monkeypatch):
    shared = net.respond(questions()[:3], RAW)
    monkeypatch.setattr(type(net), "packs", False)
    alone = net.respond(questions()[:3], RAW)
    for a, b in zip(shared, alone, strict=True):
        assert [r.loglik for r in a.replies] == pytest.approx([r.loglik for r in b.replies], abs=2e-3)


def test_blanks_at_the_end_of_a_context_belong_to_the_answer(net):
    a, b = (
        net.respond([asked(Request(kind="loglik", context=c, continuation=t))], RAW)[0].replies[0].loglik
        for c, t in (("Answer: ", "red"), ("Answer:", " red"))
    )
    assert a == b


def test_a_context_that_is_too_long_loses_its_beginning(net):
    long = "far away " * 600
    (answer,) = net.respond([asked(Request(kind="loglik", context=long + "the end", continuation=" is near"))], RAW)
    ids = net.tokenizer.encode(long + "the end is near")
    own = len(ids) - len(net.tokenizer.encode(long + "the end"))
    kept = ids[-(net.spec.max_tokens + 1) :]
    with torch.inference_mode():
        logp = net.module(input_ids=torch.tensor([kept[:-1]])).logits[0].float().log_softmax(-1)
    expected = sum(float(logp[len(kept) - 1 - own + k, t]) for k, t in enumerate(kept[-own:]))
    assert answer.replies[0].loglik == pytest.approx(expected, abs=2e-3)


def test_rolling_scores_every_token_once(net):
    text = "one two three four " * 200
    (answer,) = net.respond([asked(Request(kind="rolling", continuation=text))], RAW)
    ids = net.tokenizer.encode(text)
    prefix = net.tokenizer.bos_token_id
    pairs = list(windows(ids, net.tokenizer.eos_token_id if prefix is None else prefix, net.spec.max_tokens))
    assert [t for p in pairs for t in p.continuation] == ids
    total = 0.0
    for pair in pairs:
        whole = pair.context + pair.continuation
        with torch.inference_mode():
            logp = net.module(input_ids=torch.tensor([whole[:-1]])).logits[0].float().log_softmax(-1)
        total += sum(float(logp[len(pair.context) - 1 + k, t]) for k, t in enumerate(pair.continuation))
    assert answer.replies[0].loglik == pytest.approx(total, rel=1e-4)


def test_writing_stops_at_the_stops_and_equals_a_plain_loop(net):
    request = Request(
        kind="text", context=f"{SHOTS}Question: what is 3 and 3?\nAnswer:", stop=("\n\n", "Q"), max_tokens=24
    )
    (answer,) = net.respond([asked(request)], RAW)
    ids = net.tokenizer.encode(request.context)
    written = []
    with torch.inference_mode():
        for _ in range(24):
            token = int(net.module(input_ids=torch.tensor([ids + written])).logits[0, -1].argmax())
            if token == net.tokenizer.eos_token_id:
                break
            written.append(token)
    text = net.tokenizer.decode(written, skip_special_tokens=True)
    for stop in request.stop:
        text = text.split(stop)[0]
    assert answer.replies[0].text == text


def test_order_of_questions_and_global_state_do_not_matter(net):
    examples = [*questions(), asked(Request(kind="text", context="Once", max_tokens=5), name="t")]
    net.module.eval()
    before = (random.getstate(), torch.get_rng_state().tolist(), net.tokenizer.padding_side, net.module.training)
    first = net.respond(examples, RAW)
    assert (
        random.getstate(),
        torch.get_rng_state().tolist(),
        net.tokenizer.padding_side,
        net.module.training,
    ) == before
    again = net.respond(examples[::-1], RAW)[::-1]
    assert [a.example_id for a in first] == [e.id for e in examples]
    for a, b in zip(first, again, strict=True):
        assert [r.loglik for r in a.replies] == pytest.approx([r.loglik for r in b.replies], abs=2e-3)
        assert [r.text for r in a.replies] == [r.text for r in b.replies]


def test_samples_are_seeded_by_example_and_an_example_may_ask_nothing(net):
    request = Request(kind="text", context="Say:", max_tokens=12, temperature=1.0)
    a, b, none = net.respond([asked(request), asked(request, name="other"), asked(name="none")], RAW)
    assert a.replies[0].text != b.replies[0].text
    assert net.respond([asked(request)], RAW)[0].replies == a.replies
    assert none.replies == ()


def test_an_encoder_refuses_plain_questions():
    with pytest.raises(ModelError):
        load_net(ModelSpec(name="tiny-bert"), Machine(device="cpu")).respond(questions(), RAW)


def test_beginnings_that_save_too_little_are_not_read_apart():
    assert list(shared_beginnings([[1, 2, 3], [1, 2, 4]])) == [(0, [0]), (0, [1])]
    same = [[*range(30), i] for i in range(3)]
    assert list(shared_beginnings(same)) == [(30, [0, 1, 2])]
    assert list(shared_beginnings([[*range(40)]] * 3)) == [(39, [0, 1, 2])]
