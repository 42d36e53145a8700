"""Answers that have ended leave the batch; what is written is what plain decoding writes."""

import random

import pytest
import torch

from clbench.core.keys import seed_of
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Decode, Example, Message, Request
from clbench.data.worlds.lexicon import COMMON_EN
from clbench.models.load import load_net

pytestmark = [pytest.mark.models, pytest.mark.xdist_group("models")]
GREEDY = Decode(max_tokens=24)
STOPPED = Decode(max_tokens=24, stop=("a", "."))


def asked(num=24):
    draw = random.Random(0)
    texts = [" ".join(draw.choice(COMMON_EN) for _ in range(draw.randint(2, 30))) for _ in range(num)]
    return [Example(id=str(i), prompt=(Message(role="user", content=t),)) for i, t in enumerate(texts)]


@pytest.fixture(scope="module", params=["tiny-llama", "tiny-hunyuan"])
def net(request):
    return load_net(ModelSpec(name=request.param), Machine(device="cpu"))


@pytest.fixture
def slots(net):
    """Rows of every forward pass that reads one token a row: what decoding costs."""
    rows = []
    hook = net.module.register_forward_pre_hook(lambda _, __, given: rows.append(given["input_ids"]), with_kwargs=True)
    yield lambda: sum(len(ids) for ids in rows if ids.shape[1] == 1)
    hook.remove()


def generated(net, prompts, decode):
    """What transformers writes for a whole batch."""
    ids, mask = net.left_pad(prompts)
    end = net.reader.ends
    options = {"max_new_tokens": decode.max_tokens, "pad_token_id": end[0], "eos_token_id": list(end)}
    options |= {"stop_strings": list(decode.stop), "tokenizer": net.tokenizer} if decode.stop else {}
    with torch.inference_mode():
        return net.module.generate(input_ids=ids, attention_mask=mask, **options)[:, ids.shape[1] :].tolist()


@pytest.mark.parametrize("decode", [GREEDY, STOPPED], ids=["greedy", "stopped"])
def test_the_tokens_are_those_of_transformers(net, decode):
    prompts = [net.prompt_ids(e.prompt) for e in asked()]
    with torch.inference_mode():
        written = net.write(prompts, decode.max_tokens, decode.stop, 0.0, net.reader.ends)
    assert written == generated(net, prompts, decode)
    assert len({len([t for t in row if t not in net.reader.ends]) for row in written}) > 2, "of mixed length"


def test_seven_of_ten_decoded_slots_are_real(net, slots, monkeypatch):
    answers = net.respond(asked(), STOPPED)
    ours = slots()
    generated(net, [net.prompt_ids(e.prompt) for e in asked()], STOPPED)
    whole = slots() - ours
    monkeypatch.setattr(net, "exam_batch", 1)  # alone, every slot is needed
    assert net.respond(asked(), STOPPED) == answers
    real = slots() - ours - whole
    assert real / ours >= 0.7 > real / whole


def test_samples_side_by_side_are_those_drawn_one_by_one(net):
    decode = Decode(max_tokens=10, temperature=1.2, seed=5, stop=("e",))
    examples = asked(9)
    together = net.respond(examples, decode)
    assert together == [net.respond([e], decode)[0] for e in examples]
    for example, answer in zip(examples[:3], together, strict=False):
        assert answer.text == drawn(net, example, decode)


def drawn(net, example, decode):
    """A sample by a plain loop without a cache, from the generator that all of torch shares."""
    ids, said = net.prompt_ids(example.prompt), []
    with torch.random.fork_rng():
        torch.manual_seed(seed_of(decode.seed, 0, f"sample {example.id}"))
        while len(said) < decode.max_tokens:
            with torch.no_grad():
                shares = (net.module(torch.tensor([ids + said])).logits[:, -1] / decode.temperature).softmax(-1)
            said.append(int(torch.multinomial(shares, 1)))
            if said[-1] in net.reader.ends or decode.stop[0] in net.tokenizer.decode(said, skip_special_tokens=True):
                break
    text = net.tokenizer.decode([t for t in said if t not in net.reader.ends], skip_special_tokens=True)
    return text.partition(decode.stop[0])[0].strip()


def test_asking_leaves_the_global_generator_alone(net):
    before = torch.get_rng_state()
    net.respond(asked(3), Decode(max_tokens=4, temperature=1.0))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_without_a_cache_to_narrow_answers_as_before(net, monkeypatch):
    decodes = [GREEDY, STOPPED, Decode(max_tokens=6, temperature=1.0, seed=2)]
    expected = [net.respond(asked(8), decode) for decode in decodes]
    monkeypatch.setattr(net, "way", "whole")
    assert [net.respond(asked(8), decode) for decode in decodes] == expected


def test_plain_questions_of_several_limits_come_back_in_order(net):
    examples = [
        e.model_copy(
            update={
                "requests": tuple(
                    Request(
                        kind="text", context=f"{e.prompt[0].content} {k}", max_tokens=3 + 4 * (k % 2), temperature=t
                    )
                    for k in range(3)
                    for t in (0.0, 1.0)
                )
            }
        )
        for e in asked(4)
    ]
    together = net.respond(examples, Decode(kind="raw", seed=1))
    assert together == [net.respond([e], Decode(kind="raw", seed=1))[0] for e in examples]
