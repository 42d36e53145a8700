"""Few-shot multiple choice: clbench against lm-evaluation-harness's own `hf` model, on the same questions in turn.

    .venv/bin/python bench/harness.py

64 generated questions with four choices after eight examples in common (about 300 tokens), tiny-llama, one thread,
batches of 64 on both sides; medians of the ratios of five repeats. Both give the same log-likelihoods (checked).
"""

from __future__ import annotations

import random
import statistics
import time

from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Decode, Example, Message, Request
from clbench.models.load import load_net

WORDS = "river stone cloud garden window paper silver winter bridge market harbour lantern".split()
REPEATS = 5


def question(rng):
    """Give a question and its four choices."""
    choices = rng.sample(WORDS, 4)
    return f"Question: Which of these words stands near the {rng.choice(WORDS)} of the {rng.choice(WORDS)}?", choices


def asked():
    """Give 64 (context, choices) after eight examples in common."""
    rng = random.Random(0)
    shots = "".join(f"{text}\nAnswer: {choices[0]}\n\n" for text, choices in (question(rng) for _ in range(8)))
    return [(f"{shots}{text}\nAnswer:", choices) for text, choices in (question(rng) for _ in range(64))]


QUESTIONS = asked()
NET = load_net(ModelSpec(), Machine(device="cpu"))


def mine():
    """Give the log-likelihoods by clbench."""
    examples = [
        Example(
            id=str(i),
            prompt=(Message(role="user", content="?"),),
            requests=tuple(Request(kind="loglik", context=context, continuation=f" {c}") for c in choices),
        )
        for i, (context, choices) in enumerate(QUESTIONS)
    ]
    return [r.loglik for a in NET.respond(examples, Decode(kind="raw")) for r in a.replies]


def hf():
    """Give the log-likelihoods by the harness's own model class."""
    model = HFLM(pretrained=NET.module, tokenizer=NET.tokenizer, max_length=NET.spec.max_tokens, batch_size=64)
    instances = [
        Instance("loglikelihood", {}, (context, f" {c}"), i)
        for context, choices in QUESTIONS
        for i, c in enumerate(choices)
    ]
    return [nats for nats, _ in model.loglikelihood(instances, disable_tqdm=True)]


def ours():
    """Give questions per second of clbench."""
    started = time.perf_counter()
    mine()
    return len(QUESTIONS) / (time.perf_counter() - started)


def theirs():
    """Give questions per second of the harness."""
    started = time.perf_counter()
    hf()
    return len(QUESTIONS) / (time.perf_counter() - started)


if __name__ == "__main__":
    assert max(abs(a - b) for a, b in zip(mine(), hf(), strict=True)) < 1e-3
    print("hf / clbench", round(statistics.median(ours() / theirs() for _ in range(REPEATS)), 1))
