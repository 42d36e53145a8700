"""Generated exams of mixed length: answers that leave the batch when they end, against batches that wait for the last.

    .venv/bin/python bench/decode.py

64 generated questions side by side, tiny-llama, one thread, at most 96 tokens an answer; an answer ends at the first
"a" or "e", so that most are short and a few are long. The other side is what clbench did before: `generate` of
transformers on the whole batch, and one sample at a time. Both give the same answers (checked). Times are processor
seconds.
"""

from __future__ import annotations

import random
import statistics
import time

import torch

from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Decode, Example, Message
from clbench.data.worlds.lexicon import COMMON_EN
from clbench.models import writing
from clbench.models.load import load_net

REPEATS = 5
GREEDY = Decode(max_tokens=96, stop=("a", "e"))
SAMPLED = Decode(max_tokens=96, stop=("a", "e"), temperature=1.0)


def questions():
    """Give 64 questions of 2 to 30 words."""
    draw = random.Random(0)
    texts = [" ".join(draw.choice(COMMON_EN) for _ in range(draw.randint(2, 30))) for _ in range(64)]
    return [Example(id=str(i), prompt=(Message(role="user", content=text),)) for i, text in enumerate(texts)]


QUESTIONS = questions()
NET = load_net(ModelSpec(name="tiny-llama"), Machine(device="cpu"))


def before(decode):
    """Answer as it was done before."""
    now, batch = writing._narrowing, NET.exam_batch
    writing._narrowing = writing._by_generate
    NET.exam_batch = 1 if decode.temperature else batch
    try:
        return NET.respond(QUESTIONS, decode)
    finally:
        writing._narrowing, NET.exam_batch = now, batch


def after(decode):
    """Answer as it is done now."""
    return NET.respond(QUESTIONS, decode)


def rate(answer, decode):
    """Give answers per processor second."""
    started = time.process_time()
    answer(decode)
    return len(QUESTIONS) / (time.process_time() - started)


def alone(decode):
    """Answer one question at a time: every slot is needed."""
    NET.exam_batch, batch = 1, NET.exam_batch
    try:
        return NET.respond(QUESTIONS, decode)
    finally:
        NET.exam_batch = batch


def slots(answer):
    """Give the decoded slots of a way to answer: rows of the forward passes that read one token each."""
    read = []
    hook = NET.module.register_forward_pre_hook(lambda _, __, given: read.append(given["input_ids"]), with_kwargs=True)
    answer(GREEDY)
    hook.remove()
    return sum(len(ids) for ids in read if ids.shape[1] == 1)


def ours():
    """Give answers per second, greedy."""
    return rate(after, GREEDY)


def theirs():
    """Give answers per second of whole batches, greedy."""
    return rate(before, GREEDY)


def ours_sampled():
    """Give answers per second, sampled."""
    return rate(after, SAMPLED)


def theirs_sampled():
    """Give answers per second of samples one at a time."""
    return rate(before, SAMPLED)


def shares():
    """Give a line of the shares before and after."""
    real, was, is_now = (slots(answer) for answer in (alone, before, after))
    return f"Real share of decoded slots, answers of mixed length: {real / was:.0%} before, {real / is_now:.0%} now."


if __name__ == "__main__":
    torch.set_num_threads(1)
    assert all(before(decode) == after(decode) for decode in (GREEDY, SAMPLED))
    print(shares())
    for name, one, other in (("greedy", ours, theirs), ("sampled", ours_sampled, theirs_sampled)):
        pairs = [(one(), other()) for _ in range(REPEATS)]
        figures = [statistics.median(values) for values in (*zip(*pairs, strict=True), [a / b for a, b in pairs])]
        print(f"{name}: {figures[0]:.0f} and {figures[1]:.0f} answers/s, ratio {figures[2]:.2f}")
