"""Answers that try to be graded as right: how often they succeed, and what the defence costs on honest answers."""

import asyncio

import pytest

from clbench.context.attack_suite import DEFAULT, PUBLIC, attacked, honest_answers
from clbench.context.attacks import ATTACKS
from clbench.context.grade import grade
from clbench.context.public_prompts import prompt_template
from clbench.core.chat import Reply
from clbench.scoring.rubric.judge import JudgeSettings
from clbench.testing.stub import Behaviour, Script, Stub, running
from clbench.testing.stub.naive import naive
from clbench.testing.stub.script import by_rule
from tests.builders.asked import answered, clbench

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


# A script of a user that builds its prompt as the public one does: the marks are the public ones, the words are not.
SCRIPT = """
def build(rubrics_text, model_output):
    listed = f"Grade.\\n【Rubrics】:\\n{rubrics_text}\\n【Student Response】:\\n{model_output}\\n\\nPlease strictly."
    return listed
"""


@pytest.mark.parametrize("prompt", ["outline", "the user's script"])
def test_the_suite_measures_both_prompts(prompt, tmp_path):
    (tmp_path / "eval.py").write_text(SCRIPT, encoding="utf-8")
    template = None if prompt == "outline" else prompt_template(tmp_path / "eval.py")

    async def ask(body):
        return Reply(naive(body).content, finish_reason="stop")

    found = asyncio.run(attacked(ask, "m", template, 30))
    assert sum(right for _, right in honest_answers(30)) == 10
    assert found.success(DEFAULT) <= 0.05
    assert found.success(PUBLIC) >= 0.5
    assert abs(found.drift()) <= 0.005
    assert found.honest[DEFAULT] == found.honest[PUBLIC] == found.expected
    for name, by_prompt in found.attacks.items():
        alone = sum(score(make_wrong(name, text), naive, False) for text in WRONG) / len(WRONG)
        assert by_prompt[DEFAULT][0] / by_prompt[DEFAULT][1] == alone == 0


def make_wrong(name, text):
    return ATTACKS[name](text)


def test_the_verb(capsys):
    with running(Stub(Script(otherwise=naive))) as stub:
        code, lines, _ = clbench(capsys, "attack", "--base-url", stub.url, "--answers", 6, "--workers", 4)
    assert code == 0
    (all_,) = [line.split() for line in lines if line.split()[:1] == ["all"]]
    assert all_[1] == "0.0"
    assert float(all_[2]) > 50
    assert any("drift: +0.0 points" in line for line in lines)


def test_a_judge_that_says_nothing_is_not_taken_for_a_safe_one(capsys):
    with running(Stub(Script(otherwise=lambda _: Behaviour("hm")))) as stub:
        code, lines, err = clbench(capsys, "attack", "--base-url", stub.url, "--answers", 3, "--workers", 4)
    assert code == 3
    assert "23 of 27 rows have no verdict" in err
    shares = {words[0]: words[1:] for line in lines if len(words := line.split()) == 3}
    assert shares["encoded"] == ["–", "–"], "not 0"
    assert shares["all"] == ["0.0", "–"], "two attacks need no judge"
