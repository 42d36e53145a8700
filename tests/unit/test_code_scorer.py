import json

import pytest

from clbench.core.types import Answer, Example, Message, Reply
from clbench.data.task import open_task
from clbench.engine.mark import combined, open_scorer
from clbench.scoring._sandbox import strongest
from clbench.scoring.code import program_of, trial_of

pytestmark = pytest.mark.skipif(strongest() != "namespaces", reason="this host makes no namespaces")
HUMAN = {
    "prompt": "import math\n\n\ndef double(x):\n    'Twice.'\n    return 2 * x\n\n\ndef area(r):\n    'Area.'\n",
    "entry_point": "area",
    "test": "def check(candidate):\n    assert abs(candidate(1) - math.pi) < 1e-9\n    assert double(2) == 4\n",
}
MBPP = {
    "test_list": ["assert add(1, 2) == 3"],
    "test_setup_code": "one = 1",
    "challenge_test_list": ["assert add(one, one) == 2"],
}


def example(check):
    return Example(id="e", prompt=(Message(role="user", content="?"),), targets=("x",), check=json.dumps(check))


def score(check, text, **answer):
    return open_scorer("code").build({"seconds": 3.0})(example(check), Answer(example_id="e", text=text, **answer))


@pytest.mark.parametrize(
    "text",
    [
        "    return math.pi * r * r\n",
        "return math.pi * r * r",
        "return math.pi * r * r\n\nprint(area(3))",
        "def area(r):\n    return math.pi * r * r\n",
        "Here it is:\n```python\ndef area(r):\n    return math.pi * r ** 2\n```\nHope it helps.",
        "```\nprint('no')\n```\n```py\ndef area(r):\n    return math.pi * r ** 2\n```",
        "\n\n    s = r * r\n    return math.pi * s",
    ],
)
def test_programs_are_found_in_answers_of_every_form(text):
    assert score(HUMAN, text).score == 1.0


@pytest.mark.parametrize("text", ["return 3 * r * r", "", "I do not know.", "```python\n```", "    return"])
def test_what_is_wrong_fails(text):
    assert score(HUMAN, text).score == 0.0


def test_the_program_cannot_bring_its_own_helpers_where_the_question_gives_them():
    cheat = "def double(x):\n    return 4\n\n\ndef area(r):\n    return math.pi\n"
    other = {**HUMAN, "test": "def check(candidate):\n    assert double(3) == 6\n"}
    assert score(other, cheat).score == 1.0  # the tests' own double is asked, which is right


def test_mbpp_form():
    assert score(MBPP, "def add(a, b):\n    return a + b").score == 1.0
    assert score(MBPP, "def add(a, b):\n    return 3").score == 0.0  # the challenge tests count
    grade = score(MBPP, "def add(a, b):\n    while True: pass")
    assert grade.score == 0.0
    assert "not done after" in grade.note
    assert "sandbox: namespaces" in grade.note


def test_plain_replies_are_read_and_what_cannot_be_marked_is_said():
    assert score(MBPP, "", replies=(Reply(text="def add(a, b):\n    return a + b"),)).score == 1.0
    assert score(MBPP, "out of memory", finish="error").score is None
    bare = Example(id="e", prompt=(Message(role="user", content="?"),))
    assert open_scorer("code").build({})(bare, Answer(example_id="e", text="x")).score is None


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(("name", "every"), [("humaneval", 1), ("mbpp", 8)])
def test_reference_solutions_pass_and_others_fail(name, every, data_root):
    task = open_task(name, data_root)
    plugin = open_scorer(task.scorer.name)
    scorer = plugin.build(task.scorer.settings)
    asked = task.exam[::every]
    right = [scorer(e, Answer(example_id=e.id, text=e.targets[0])) for e in asked]
    assert [(g.example_id, g.note) for g in right if g.score != 1.0] == []
    assert combined(right, plugin).score == 1.0
    swapped = [scorer(e, Answer(example_id=e.id, text=asked[i - 1].targets[0])) for i, e in enumerate(asked[:20])]
    assert sum(g.score for g in swapped) <= 1  # another question's solution
    assert all(trial_of(json.loads(e.check)).tests for e in asked)
    assert all(program_of(e.targets[0], json.loads(e.check)).strip() for e in asked)
