import io
import json
import time
from contextlib import redirect_stdout

import pytest

from clbench.core.types import Answer, Example, Message, Reply
from clbench.data.tasks.task import open_task
from clbench.engine.grade import combine_grades, open_scorer
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


PROMPT = (
    'from typing import List\n\n\ndef total(xs: List[int]) -> int:\n    """Add the numbers of a list.\n'
    "    >>> total([1, 2])\n    3\n" + '    """\n'
)
TOTAL = {
    "prompt": PROMPT,
    "entry_point": "total",
    "test": "def check(f):\n    assert f([1, 2]) == 3\n    assert f([]) == 0\n",
}
BODY = "    s = 0\n    for x in xs:\n        s += x\n    return s\n"
FULL = "def total(xs: List[int]) -> int:\n" + BODY
INDENTED = "".join(f"   {line}\n" for line in FULL.splitlines())
DOCTEST = 'def total(xs):\n    """Add.\n\n    ```\n    total([1])\n    ```\n    """\n    return sum(xs)\n'
FORMS = {
    "body": BODY,
    "body, first line stripped": BODY.strip(),
    "body, without any indentation": "s = 0\nfor x in xs:\n    s += x\nreturn s\n",
    "body, without any indentation, then prose": "s = 0\nfor x in xs:\n    s += x\nreturn s\n\nThis adds them.",
    "body that begins with a block, stripped": "if not xs:\n        return 0\n    s = sum(xs)\n    return s",
    "body of two blanks": "  s = 0\n  for x in xs:\n    s += x\n  return s\n",
    "body of tabs": BODY.replace("    ", "\t"),
    "body after blank lines": f"\n\n\n{BODY}",
    "body after prose": f"Here is the body:\n\n{BODY}",
    "body with a helper": (
        "    def add(a, b):\n        return a + b\n    s = 0\n    for x in xs:\n        s = add(s, x)\n    return s\n"
    ),
    "body, then another function": f"{BODY}\n\ndef other():\n    return 1\n",
    "body, then the function again, wrong": f"{BODY}\n\ndef total(xs):\n    return 7\n",
    "body, then a fence": f"{BODY}```\nThis adds.",
    "body, then an end mark": f"{BODY.strip()}<|im_end|>\n<|im_start|>user",
    "body with a string that has lines": '    doc = """\none\n"""\n    return sum(xs)\n',
    "function": FULL,
    "function after prose": f"Sure, this works:\n\n{FULL}",
    "function after one word": f"python\n{FULL}",
    "function before prose": f"{FULL}\nIt returns 3 for [1, 2].",
    "function between words": f"Solution\n\n{FULL}\nDone\n",
    "the whole prompt, repeated": PROMPT + BODY,
    "the prompt as a stub, then the body": f"```python\n{PROMPT}```\nThe body is\n```python\n{BODY}```",
    "fenced": f"Here it is:\n```python\n{FULL}```\nDone.",
    "fenced, no language": f"```\n{FULL}```",
    "fenced, py": f"```py\n{FULL}```",
    "fenced, Python3": f"```Python3\n{FULL}```",
    "fenced, attributes": f'``` {{.python title="total.py"}}\n{FULL}```',
    "fenced by four": f"````python\n{FULL}````",
    "fenced twice": f"````markdown\n```python\n{FULL}```\n````",
    "fenced by tildes": f"~~~python\n{FULL}~~~",
    "fence on the line of code": f"```python {FULL.rstrip()}```",
    "fence at the end of a line": f"```python\n{FULL.rstrip()}```\nThis adds.",
    "never closed": f"```python\n{FULL}",
    "closed alone": f"{FULL}```",
    "closed alone, then prose": f"{FULL}\n```\nThis adds.",
    "closed alone at the end of a line": f"{FULL.rstrip()}```",
    "fenced body": f"```python\n{BODY}```",
    "fenced body without indentation": "```python\nreturn sum(xs)\n```",
    "indented fence": f"1. Solution:\n   ```python\n{INDENTED}   ```",
    "quoted fence": "> ```python\n" + "".join(f"> {line}\n" for line in FULL.splitlines()) + "> ```\n",
    "fence in a docstring": f"```python\n{DOCTEST}```",
    "CRLF": f"```python\n{FULL}```".replace("\n", "\r\n"),
    "CR": f"```python\n{FULL}```".replace("\n", "\r"),
    "CRLF without a fence": FULL.replace("\n", "\r\n"),
    "byte order mark": f"\ufeff{FULL}",
    "no-break blanks": FULL.replace("    ", "\u00a0" * 4),
    "tabs": FULL.replace("    ", "\t"),
    "tabs and blanks": FULL.replace("        ", "\t"),
    "indented as a whole": INDENTED,
    "indented between prose": f"Here it is:\n\n{INDENTED}\nThat is all.",
    "indented between prose without blank lines": f"Here it is:\n{INDENTED}That is all.\n",
    "indented below a point of a list": f"- Step 1\n\n{INDENTED}\n- Step 2\n",
    "other fences first": f"```bash\npip install x\n```\n```python\nprint('hi')\n```\nthen\n```python\n{FULL}```",
    "usage in a fence after it": f"```python\n{FULL}```\n```python\nprint(total([1]))\n```",
    "usage in the fence": f"```python\n{FULL}\nprint(total([1, 2]))\n```",
    "usage at a prompt": f"```python\n{FULL}\n>>> total([1, 2])\n3\n```",
    "typed at a prompt": "```python\n>>> def total(xs):\n...     return sum(xs)\n...\n>>> total([1, 2])\n3\n```",
    "main block": f"{FULL}\nif __name__ == '__main__':\n    import sys\n    total(list(map(int, sys.argv[1:])))\n",
    "reasoning": f"<think>maybe\n```python\ndef total(xs): return 0\n```\n</think>\n```python\n{FULL}```",
    "reasoning opened by the template": f"maybe def total(xs): return 0\n</think>\n\n{FULL}",
    "[PYTHON]": f"[PYTHON]\n{FULL}[/PYTHON]",
    "[PYTHON], a fence within": f"[PYTHON]\n```python\n{FULL}```\n[/PYTHON]",
    "[DONE]": f"[BEGIN]\n{FULL}[DONE]\nprint(1",
    "<code>": f"<code>\n{FULL}</code>",
    "lambda": "total = lambda xs: sum(xs)",
    "inline": "Use `total = lambda xs: sum(xs)`.",
    "from the future": f"```python\nfrom __future__ import annotations\n{FULL}```",
    "imports outside": (
        "```python\nimport operator\nfrom functools import reduce\n```\n"
        "```python\ndef total(xs):\n    return reduce(operator.add, xs, 0)\n```"
    ),
    "helper outside": (
        "```python\ndef total(xs):\n    result = add_all(xs)\n    return result\n```\nwith\n"
        "```python\ndef add_all(xs):\n    return sum(xs)\n\nresult = total([1, 2])\n```"
    ),
    "a class beside it": f"class Adder:\n    def total(self, xs):\n        return 0\n\n\n{FULL}",
    "decorated": (
        "```python\nfrom functools import wraps\n\n"
        "def same(f):\n    return f\n\n@same\ndef total(xs):\n    return sum(xs)\n```"
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_program_is_found_whatever_its_form_and_a_wrong_one_stays_wrong(form):
    found = program_of(FORMS[form], TOTAL)
    assert passes(found, TOTAL), found
    wrong = FORMS[form].replace("return s", "return 1 + s").replace("return reduce(", "return 1 + reduce(")
    wrong = wrong.replace("sum(xs)", "sum(xs) + 1")
    assert wrong != FORMS[form]
    assert not passes(program_of(wrong, TOTAL), TOTAL)


def passes(program, check):
    """Run a program of our own against its tests right here: no sandbox, so that many forms take no time."""
    space = {"__name__": "program"}
    try:
        with redirect_stdout(io.StringIO()):
            exec(program, space)
            exec(check["test"], space)
            space["check"](space[check["entry_point"]])
    except (Exception, SystemExit):
        return False
    return True


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I do not know.",
        "Sure!",
        "```python\n```",
        f"```python\n{PROMPT}```",  # the question alone
        f"```python\n{PROMPT}    pass\n```",
        f"<think>\n```python\n{FULL}```\nor not",  # cut off while it was thinking
        "class Solution:\n    def total(self, xs):\n        return sum(xs)\n",  # no function was written
        f"```python\ndef total(xs):\n    return 1\n```\nBetter:\n```python\n{FULL}```",  # the first one counts
        "    s = 0\n    for x in xs:\n        s +=",
    ],
)
def test_what_is_no_answer_gets_nothing(text):
    assert not passes(program_of(text, TOTAL), TOTAL)


def test_programs_of_the_other_form_are_chosen_by_what_the_tests_call():
    check = {
        "test_list": ["assert add(one, Pair(2, 3).b) == 4", "assert isinstance(add(1, 2), int)"],
        "test_setup_code": "one = 1",
    }
    text = (
        "```python\nprint('no')\nx = 1\n```\n```python\nclass Pair:\n    pass\n\ndef add(a, b):\n    return a + b\n```"
    )
    assert "class Pair" in program_of(text, check)
    assert "print" not in program_of(text, check)
    assert program_of("def add(a, b):\n    return a\n[DONE]\nmore", check).rstrip() == "def add(a, b):\n    return a"


@pytest.mark.slow
@pytest.mark.parametrize("text", ["(" * 10_000, "-" * 9_000 + "1", "a" + "()" * 4_000, "if 1:\n" * 999, "x\n" * 4_000])
def test_texts_that_trouble_a_parser_are_no_programs(text):
    started = time.process_time()  # other processes do not count
    program_of(text, TOTAL)
    program_of(f"```\n{text}", MBPP)
    assert time.process_time() - started < 10


def test_the_program_cannot_bring_its_own_helpers_where_the_question_gives_them():
    cheat = "def double(x):\n    return 4\n\n\ndef area(r):\n    return math.pi\n"
    other = {**HUMAN, "test": "def check(candidate):\n    assert double(3) == 6\n"}
    assert score(other, cheat).score == 1.0  # the tests' own double is asked, which is right


@pytest.mark.slow
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
    assert combine_grades(right, plugin) == 1.0
    swapped = [scorer(e, Answer(example_id=e.id, text=asked[i - 1].targets[0])) for i, e in enumerate(asked[:20])]
    assert sum(g.score for g in swapped) <= 1  # another question's solution
    assert all(trial_of(json.loads(e.check)).tests for e in asked)
    assert all(program_of(e.targets[0], json.loads(e.check)).strip() for e in asked)


def test_an_odd_escape_in_a_string_is_no_error():
    text = "```python\nimport re\n```\n```python\ndef f(w):\n    return re.match('\\w', w)\n```"
    assert "import re" in program_of(text, {"prompt": "", "entry_point": "f", "test": ""})


AREA = "def area(r):\n    return math.pi * r * r\n"
OWN = {
    "dataclass": "from dataclasses import dataclass\n@dataclass\nclass P:\n    r: float\n",
    "text as a hint": "from dataclasses import dataclass\n@dataclass\nclass P:\n    r: 'float'\n",
    "hints are types": "def f(x: int): ...\nassert f.__annotations__ == {'x': int}\n",
    "chosen by hint": "from functools import singledispatch\n@singledispatch\ndef f(x): ...\n@f.register\n"
    "def _(x: list): return 1\nassert f([]) == 1\n",
}


@pytest.mark.parametrize("form", OWN)
def test_a_program_is_a_module_of_its_own(form):
    """Hints are what they are written as, whatever this package has imported from the future, and are looked up."""
    assert score(HUMAN, f"```python\n{OWN[form]}{AREA}```").score == 1.0


@pytest.mark.parametrize(
    "before",
    [
        "◁think▷def area(r): return 0◁/think▷",
        "<|START_THINKING|>def area(r): return 0<|END_THINKING|>",
        "<seed:think>def area(r): return 0</seed:think>",
        "<|channel|>analysis<|message|>def area(r): return 0<|end|><|start|>assistant<|channel|>final<|message|>",
    ],
)
def test_reasoning_of_every_known_mark_is_no_program(before):
    assert score(HUMAN, f"{before}```python\n{AREA}```").score == 1.0
    assert score(HUMAN, before.partition("def")[0] + AREA).score == 0.0


def test_a_notebook_session():
    typed = AREA.rstrip().split("\n")
    assert score(HUMAN, "\n".join([f"In [1]: {typed[0]}", f"   ...: {typed[1]}", "", "Out[1]: 3"])).score == 1.0
