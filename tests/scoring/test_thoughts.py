"""Reasoning is taken out of an answer mark by mark, as two expressions would, and without their quadratic time."""

import random
import re
import time

import pytest

from clbench.scoring.rubric.thoughts import without_thoughts

PAIR = re.compile(r"<think>(.*?)</think>", flags=re.S | re.I)
HEAD = re.compile(r"\A\s*(?:<think>)?(.*?)</think>", flags=re.S | re.I)
PIECES = ["<think>", "</think>", "a", " ", "\n", "<THINK>", "<thi", "nk>", "b </Think>"]


def by_expressions(text):
    thoughts, rest = PAIR.findall(text), PAIR.sub("", text)
    if found := HEAD.match(rest):
        thoughts.append(found[1])
        rest = rest[found.end() :]
    return (rest.strip(), "\n".join(t.strip() for t in thoughts)) if thoughts else (text, "")


def test_it_is_what_the_expressions_say():
    randomness = random.Random(0)
    for _ in range(20_000):
        text = "".join(randomness.choice(PIECES) for _ in range(randomness.randint(0, 9)))
        assert without_thoughts(text) == by_expressions(text), text


@pytest.mark.parametrize(
    "text", [" " * 200_000 + "x", "<think>" * 50_000, "</think" * 50_000], ids=["blanks", "open", "cut"]
)
def test_hostile_answers_take_no_time(text):
    began = time.process_time()
    without_thoughts(text)
    assert time.process_time() - began < 1.0
