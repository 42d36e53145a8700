"""The rows of an exam's forward pass are bounded in bytes: of keys and values, and of scores."""

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config

from clbench.core.spec import Machine, ModelSpec
from clbench.models import batching, continuations, prefix
from clbench.models.batching import MOST_CACHE, MOST_ROWS, MOST_TOKENS, by_length
from clbench.models.continuations import MOST_LOGITS, alike
from clbench.models.load import load_net
from clbench.models.plain import score
from clbench.models.probe import cache_bytes

pytestmark = pytest.mark.xdist_group("models")
PROMPTS = [[5 + (i * j) % 900 for j in range(3 + 7 * i % 40)] for i in range(12)]
CHOICES = [[[7 + c, *range(30 + i, 30 + i + c % 4)] for c in range(1 + 5 * i % 9)] for i in range(12)]


@pytest.fixture(scope="module")
def net():
    return load_net(ModelSpec(name="tiny-llama"), Machine(device="cpu"))


@pytest.fixture
def learned(net, monkeypatch):
    """The same net with a model of learned positions: each continuation has a copy of its prompt's cache."""
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=2560, n_embd=32, n_layer=2, n_head=4, n_positions=1024)
    monkeypatch.setattr(net, "module", AutoModelForCausalLM.from_config(config).eval())
    monkeypatch.setattr(net, "way", "spread")
    monkeypatch.setattr(net, "token_bytes", cache_bytes(net))
    return net


def watched(net, monkeypatch):
    """Note the bytes of keys and values, the rows, and the scores of every forward pass."""
    seen, inner = [], net.module.forward

    def forward(*args, **settings):
        out = inner(*args, **settings)
        cache = out.past_key_values
        held = [t for layer in cache.layers for t in (layer.keys, layer.values)] if cache is not None else []
        seen.append((sum(t.nbytes for t in held), out.logits.shape[0], out.logits.numel()))
        return out

    monkeypatch.setattr(net.module, "forward", forward)
    return seen


def bounded(monkeypatch, cache=MOST_CACHE, logits=MOST_LOGITS):
    for module in (batching, continuations):
        monkeypatch.setattr(module, "MOST_CACHE", cache)
    for module in (continuations, prefix):
        monkeypatch.setattr(module, "MOST_LOGITS", logits)


def nats(net, prompts, continuations, by=None):
    with torch.inference_mode():
        found = by(net, prompts, continuations) if by else net.score(prompts, continuations)
    return [each for own in found for each, _ in own]


def test_the_bytes_of_a_token_are_those_of_its_keys_and_values(net, learned):
    assert load_net(ModelSpec(name="tiny-llama"), Machine(device="cpu")).token_bytes == 4 * 2 * 4 * 32 * 4
    assert learned.token_bytes == 2 * 2 * 32 * 4


@pytest.mark.parametrize("way", ["packed", "spread"])
def test_no_pass_holds_more_keys_and_values_than_the_bound_and_scores_stay(way, net, monkeypatch):
    monkeypatch.setattr(net, "way", way)
    wanted = nats(net, PROMPTS, CHOICES)
    seen = watched(net, monkeypatch)
    nats(net, PROMPTS, CHOICES)
    most, num = 250 * net.token_bytes, len(seen)
    assert max(held for held, _, _ in seen) > most
    bounded(monkeypatch, cache=most)
    seen.clear()
    assert nats(net, PROMPTS, CHOICES) == pytest.approx(wanted, abs=1e-4)
    assert max(held for held, _, _ in seen) <= most
    assert len(seen) > num


def test_learned_positions_have_as_many_copies_as_fit(learned, monkeypatch):
    wanted = nats(learned, PROMPTS, CHOICES)
    seen = watched(learned, monkeypatch)
    bounded(monkeypatch, cache=120 * learned.token_bytes)
    assert nats(learned, PROMPTS, CHOICES) == pytest.approx(wanted, abs=1e-4)
    assert max(held for held, _, _ in seen) <= 120 * learned.token_bytes


def test_the_keys_and_values_of_a_prompt_stand_once_for_its_hundred_choices(net, monkeypatch):
    seen = watched(net, monkeypatch)
    prompt, choices = list(range(5, 405)), [[9, 10 + c, 11] for c in range(100)]
    nats(net, [prompt], [choices])
    assert {rows for _, rows, _ in seen} == {1}
    assert max(held for held, _, _ in seen) <= (400 + 2 * 100) * net.token_bytes


def test_scores_of_a_pass_are_bounded_in_every_way(net, monkeypatch):
    most = 40 * net.rows
    for way in ("whole", "packed", "spread"):
        monkeypatch.setattr(net, "way", way)
        wanted = nats(net, PROMPTS, CHOICES)
        with monkeypatch.context() as patched:
            seen = watched(net, patched)
            bounded(patched, logits=most)
            assert nats(net, PROMPTS, CHOICES) == pytest.approx(wanted, abs=1e-4)
            assert max(scores for _, _, scores in seen) <= (44 * net.rows if way == "whole" else most)


def test_questions_that_share_a_beginning_are_bounded_too(net, monkeypatch):
    shared = [list(range(5, 45)) + tail for tail in PROMPTS]
    wanted, seen = nats(net, shared, CHOICES, score), watched(net, monkeypatch)
    bounded(monkeypatch, logits=64 * net.rows)
    assert nats(net, shared, CHOICES, score) == pytest.approx(wanted, abs=1e-4)
    assert max(scores for _, _, scores in seen) <= 64 * net.rows


def test_of_the_models_that_come_along_the_older_bounds_hold():
    """So their exams are read in the passes in which recorded answers were read."""
    token, positions, words = 5 * 2 * 4 * 32 * 4, 1024, 2560
    assert MOST_ROWS * positions * token <= MOST_CACHE
    assert MOST_TOKENS * words <= MOST_LOGITS
    assert Machine().exam_batch * positions * words <= 2 * MOST_LOGITS


def test_prompts_of_a_pass_by_hand():
    """A model of 7B in bfloat16: 32 layers of 32 heads of 128, keys and values; a pass holds 8,192 tokens."""
    token = 32 * 2 * 32 * 128 * 2
    lengths = [512] * 40 + [5000, 9000]
    batches = list(by_length(lengths, [1] * 42, 64, [token * n for n in lengths]))
    assert [len(b) for b in batches] == [16, 16, 8, 1, 1]
    assert [len(b) for b in by_length(lengths, [1] * 42, 64)] == [40, 2]


def test_texts_of_one_length_by_hand():
    assert [len(b) for b in alike([1000] * 20, 64, 128_000)] == [1] * 20
    assert [len(b) for b in alike([1000] * 20, 64, 20_000)] == [6, 6, 6, 2]
    assert [len(b) for b in alike([1000] * 20, 64)] == [20]
