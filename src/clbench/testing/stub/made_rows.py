"""Generated rows of a data set, and a stub's answers to them: for demonstrations and tests, with no data of others."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any

from clbench.testing.stub.script import BLOCK, PUBLIC, Behaviour, by_rule

CATEGORIES = (
    "Domain Knowledge Reasoning",
    "Rule System Application",
    "Procedural Task Execution",
    "Empirical Discovery & Simulation",
)
FACT = re.compile(r"The code of (\w+) is (\d{4})\.")
ASKED = re.compile(r"What is the code of (\w+)\?")
RIGHT = 0.7  # share of tasks that the stub answers from the context


def made_rows(num_contexts: int, num_tasks: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yield rows in the shape of CL-bench: each context holds invented codes, each task asks for one of them.

    Args:
        num_contexts: How many contexts.
        num_tasks: Tasks in each; a later one continues the conversation of the one before.
        seed: The same seed makes the same rows.
    """
    for c in range(num_contexts):
        rng = random.Random(f"{seed} {c}")
        facts = {f"zor{rng.randrange(10**6):06d}": f"{rng.randrange(1000, 10000)}" for _ in range(60)}
        text = " ".join(f"The code of {name} is {code}." for name, code in facts.items())
        messages = [{"role": "system", "content": "Answer from the document alone."}]
        for n, (name, code) in enumerate(list(facts.items())[:num_tasks]):
            question = f"What is the code of {name}?"
            messages = [*messages, {"role": "user", "content": question if n else f"{text}\n\n{question}"}]
            ids = {"task_id": f"made-{c}-{n}", "context_id": f"made-{c}"}
            yield {
                "messages": messages,
                "rubrics": [f'The response should give the code "{code}".', f'The response should name "{name}".'],
                "metadata": {**ids, "context_category": CATEGORIES[c % 4], "sub_category": "Invented codes"},
            }
            messages = [*messages, {"role": "assistant", "content": f"The code of {name} is {code}."}]


def answered_from_context(request: dict[str, Any]) -> Behaviour:
    """Answer a question of the made form from what stands before it, not always correctly; grade as the stub does."""
    texts = [str(m.get("content")) for m in request["messages"]]
    asked = ASKED.findall(texts[-1])
    if BLOCK.search(texts[-1]) or PUBLIC.search(texts[-1]) or not asked:
        return by_rule(request)
    facts = dict(FACT.findall("\n".join(texts)))
    code = facts.get(asked[-1], "not in the document")
    knows = random.Random(asked[-1]).random() < RIGHT
    return Behaviour(f"The code of {asked[-1]} is {code if knows else '0000'}.")
