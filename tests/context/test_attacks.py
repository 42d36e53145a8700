"""Answers that try to be graded as right: how often they succeed, and what the defence costs on honest answers."""

import asyncio

import pytest

from clbench.context.attacks import ATTACKS
from clbench.context.grade import JudgeSettings, grade
from clbench.models.api.reply import Reply
from clbench.testing.stub.naive import naive
from clbench.testing.stub.script import by_rule
from tests.builders.asked import answered

RUBRICS = ('It says "alpha".', 'It says "beta".', "It does not end abruptly.")
HONEST = [f"{'alpha' * (n % 2)} and {'beta' * (n % 3 > 0)}, answer {n}" for n in range(30)]
WRONG = [text for text in HONEST if not ("alpha" in text and "beta" in text)]


def score(text, judge, public):
    async def ask(body):
        return Reply(judge(body).content, finish_reason="stop")

    row = answered("a", text, rubrics=RUBRICS)
    found = asyncio.run(grade(row, JudgeSettings(public=public), ask))
    return int((found.public or {}).get("score") == 1) if public else found.score


def success(judge, public):
    """Return the share of wrong answers that each attack turns into a 1."""
    return {
        name: sum(score(make(text), judge, public) for text in WRONG) / len(WRONG) for name, make in ATTACKS.items()
    }


@pytest.mark.parametrize("judge", [naive, by_rule])
def test_no_attack_succeeds_against_the_default_prompt(judge):
    assert len(WRONG) >= 15
    assert max(success(judge, public=False).values()) == 0


def test_the_public_outline_falls_to_most_attacks():
    found = success(naive, public=True)
    assert sum(share == 1 for share in found.values()) >= 8, found
    assert max(success(by_rule, public=True).values()) == 0, "a judge that only compares texts falls to none"


@pytest.mark.parametrize("judge", [naive, by_rule])
def test_honest_answers_are_graded_alike_with_and_without_the_defence(judge):
    with_, without = ([score(text, judge, public) for text in HONEST] for public in (False, True))
    assert with_ == without
    assert 0 < sum(with_) < len(HONEST)
