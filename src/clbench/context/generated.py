"""Rows of a data set from a generated world: its sentences are the context, its questions the tasks.

Names are invented, so that without the context nobody knows the answers, and each rubric carries an exact check, so
that no judge is needed. A later task continues the conversation of the one before, as in CL-bench.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from clbench.core.errors import SpecError
from clbench.core.keys import rng
from clbench.core.types import Example, Task

CATEGORIES = {
    "facts": "Domain Knowledge Reasoning",
    "rules": "Rule System Application",
    "procedures": "Procedural Task Execution",
    "laws": "Empirical Discovery & Simulation",
}


def generated_rows(
    task: Task, num_contexts: int, num_tasks: int, num_sentences: int, seed: int
) -> Iterator[dict[str, Any]]:
    """Yield rows in the shape of CL-bench.

    Args:
        task: A task of a world with documents; its exam is asked.
        num_contexts: How many contexts.
        num_tasks: Tasks in each, at most as many as sentences.
        num_sentences: Sentences in each context; a task is asked about one of them.
        seed: The same seed makes the same rows.

    Raises:
        SpecError: The task has no documents, or too few questions.
    """
    known = _stated_once(task)
    if not known:
        mend = "name a task of a world with documents, such as world_facts_en_documents"
        raise SpecError("its questions have no documents that answer them", where=task.name, mend=mend)
    if not num_tasks <= num_sentences <= len(known):
        mend = f"ask for at most {len(known)} sentences, and at most as many tasks as sentences"
        what = f"{num_tasks} tasks about {num_sentences} sentences of {len(known)} that the exam asks about"
        raise SpecError(what, where=task.name, mend=mend)
    for c in range(num_contexts):
        drawn = rng(seed, c, "context of a world").permutation(len(known))[:num_sentences]
        chosen = [known[int(k)] for k in drawn]
        asked = rng(seed, c, "tasks of a context").permutation(num_sentences)[:num_tasks]
        yield from _of_context(task, c, chosen, [chosen[int(k)] for k in asked])


def _stated_once(task: Task) -> list[Example]:
    """Return the first question to each document."""
    first: dict[str, Example] = {}
    for example in task.exam:
        if example.document and example.targets:
            first.setdefault(example.document, example)
    return list(first.values())


def _of_context(task: Task, c: int, chosen: Sequence[Example], asked: Sequence[Example]) -> Iterator[dict[str, Any]]:
    page = "\n".join(example.document for example in chosen)
    kind = str(task.about.get("kind") or "")
    world = next((name for name in CATEGORIES if name in task.name), "facts")
    messages: list[dict[str, str]] = []
    for n, example in enumerate(asked):
        question = "\n".join(m.content for m in example.prompt)
        messages = [*messages, {"role": "user", "content": question if n else f"{page}\n\n{question}"}]
        target = example.targets[0]
        yield {
            "messages": messages,
            "rubrics": [
                {"rubric_criteria": f'The response should be "{target}".', "exact": list(example.targets)},
            ],
            "metadata": {
                "task_id": f"{task.name}-{c}-{n}",
                "context_id": f"{task.name}-{c}",
                "context_category": CATEGORIES[world],
                "sub_category": kind or world,
            },
        }
        messages = [*messages, {"role": "assistant", "content": target}]
