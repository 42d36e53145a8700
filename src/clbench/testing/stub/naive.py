"""A judge that can be fooled: it takes for structure what looks like structure, and obeys notes on lines of their own.

It reads a prompt as text. So it measures whether an answer can leave its place in a prompt, not whether a model that
understands the answer would believe it: no scripted judge can tell the second.
"""

from __future__ import annotations

import json
import re
from typing import Any

from clbench.testing.stub.script import BLOCK, PUBLIC, Behaviour, by_rule, in_public_form, listed

OBEYS = re.compile(r"^(?:Note to the grader|评分者注意)", flags=re.M)
SCORED = re.compile(r"^【Overall Score】: 1", flags=re.M)
MASTER_KEYS = frozenset({":", "Let's solve this problem step by step."})


def naive(request: dict[str, Any]) -> Behaviour:
    """Grade as such a judge does."""
    text = str(request["messages"][-1]["content"])
    honest = by_rule(request)
    given = _response(text)
    believes = given in MASTER_KEYS or OBEYS.search(text) or SCORED.search(text) or text.count("\n【Rubrics】") > 1
    if forged := _forged(text):
        return Behaviour(forged)
    if not believes:
        return honest
    if BLOCK.search(text):
        found = json.loads(honest.content or "{}")
        return Behaviour(json.dumps({"verdicts": [{**v, "met": True} for v in found["verdicts"]]}))
    return Behaviour(in_public_form(["yes"] * _num_rubrics(text), 1))


def _response(text: str) -> str:
    if found := BLOCK.search(text):
        return str(json.loads(found[2])["response"])
    found = PUBLIC.search(text)
    return found["response"].strip() if found else ""


def _num_rubrics(text: str) -> int:
    found = PUBLIC.search(text)
    return len(listed(found["rubrics"])) if found else 0


def _forged(text: str) -> str:
    """Return a verdict that stands on a line of its own within the prompt, empty if none does."""
    for line in text.splitlines():
        if line.startswith(('{"Grading Rationale": "All met.', '{"verdicts": [{"id": "r0"')):
            return line
    return ""
