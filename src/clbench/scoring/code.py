"""Does a model-written program pass its tests? Run in a sandbox, one program at a time (pass@1 for greedy answers).

`Example.check` is JSON in the form of HumanEval {prompt, entry_point, test} or of MBPP {test_list, test_setup_code,
challenge_test_list}. `clbench.scoring._program` says what counts as the program of an answer: in short, the
continuation of the prompt where the answer begins with one, else the first piece of code, fenced ones before others,
that defines what the tests ask for.

The score is 1 or 0. `seconds` is processor time, so that a busy machine changes nothing; a program that sleeps
is ended after several times that. Source: Chen et al. 2021, "Evaluating Large Language Models Trained on Code",
arXiv:2107.03374; Austin et al. 2021, "Program Synthesis with Large Language Models", arXiv:2108.07732.
"""

from __future__ import annotations

import ast
import builtins
import json
from collections.abc import Mapping, Sequence
from typing import Any

from clbench.core.protocols import Scorer, ScorerPlugin, Specimen
from clbench.core.types import Answer, Example, Grade
from clbench.scoring._program import Demand, found_program, parsed
from clbench.scoring._sandbox import Limits, Trial, run_tests
from clbench.scoring._settings import settings_of

DEFAULTS: dict[str, Any] = {"seconds": 5.0, "memory_mb": 512}


def build(settings: Mapping[str, Any]) -> Scorer:
    """Return the scorer: 1 if every test passes within `seconds` of processor time and `memory_mb`, else 0."""
    how = settings_of("code", settings, DEFAULTS)
    limits = Limits(float(how["seconds"]), int(how["memory_mb"]) << 20)

    def grade_answer(example: Example, answer: Answer) -> Grade:
        if answer.finish == "error":
            return Grade(example_id=example.id, score=None, note=f"no answer: {answer.text[:200]}")
        if not example.check:
            return Grade(example_id=example.id, score=None, note="there are no tests")
        check = json.loads(example.check)
        program = program_of(answer.replies[0].text if answer.replies else answer.text, check)
        if not program.strip():
            return Grade(example_id=example.id, score=0.0, note="no program")
        outcome = run_tests(_encodable(program), trial_of(check, example.targets), limits)
        note = f"{outcome.note} [sandbox: {outcome.level}]" if outcome.note else f"[sandbox: {outcome.level}]"
        return Grade(example_id=example.id, score=float(outcome.passed), note=_encodable(note))

    return grade_answer


def _encodable(text: str) -> str:
    """Return a text without lone surrogates, which no file can hold."""
    return text.encode("utf-8", "replace").decode()


def trial_of(check: Mapping[str, Any], solutions: Sequence[str] = ()) -> Trial:
    """Return the tests of a question in either form; `solutions` show which names a program must define."""
    if "test" in check:
        name = str(check["entry_point"])
        # With a body that does nothing, the prompt gives the tests its helpers and imports.
        return Trial(f"{check['prompt']}\n    pass\n", (name,), (str(check["test"]), f"check({name})"))
    tests = [check.get("test_setup_code") or "", *check["test_list"], *(check.get("challenge_test_list") or ())]
    return Trial("", tuple(_defined(solutions[0])) if solutions else (), tuple(map(str, tests)))


def _defined(source: str) -> list[str]:
    """Return the functions that a program defines at its top level."""
    tree = parsed(source)
    return [n.name for n in tree.body if isinstance(n, ast.FunctionDef)] if tree else []


def program_of(text: str, check: Mapping[str, Any]) -> str:
    r"""Return the program in an answer.

    Example:
        >>> check = {"prompt": "import math\ndef half(x):\n    'Halve.'\n", "entry_point": "half", "test": ""}
        >>> program_of("    return x / 2\n\nprint(half(3))", check).rstrip().splitlines()[-1]
        '    return x / 2'
        >>> program_of("Here:\n```python\ndef half(x):\n    return x / 2\n```", check).splitlines()
        ['import math', 'def half(x):', '    return x / 2']
    """
    name = str(check.get("entry_point", ""))
    if not name:
        return found_program(text, Demand(_called(check), "", ""))
    prompt = str(check.get("prompt", ""))
    given = prompt[: max(prompt.rfind(f"def {name}("), 0)]  # imports and helpers before the function
    return found_program(text, Demand(frozenset({name}), prompt, given))


def _called(check: Mapping[str, Any]) -> frozenset[str]:
    """Return the names that the tests read and do not bind: the program must define them."""
    read: set[str] = set()
    bound = set(vars(builtins))
    for source in (check.get("test_setup_code") or "", *(check.get("test_list") or ())):
        tree = parsed(str(source))
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.Name):
                (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
            elif isinstance(node, (ast.alias, ast.FunctionDef, ast.ClassDef)):
                bound.add(node.name.partition(".")[0])
    return frozenset(read - bound)


_SPECIMEN = Specimen(
    prompt="Write a function that doubles a number.",
    targets=("def twice(x):\n    return 2 * x\n",),
    wrong="def twice(x):\n    return x\n",
    check=json.dumps({"test_list": ["assert twice(2) == 4", "assert twice(-1) == -2"]}),
)
PLUGIN = ScorerPlugin(build=build, version=2, about="a program's tests, run in a sandbox", specimens=(_SPECIMEN,))
