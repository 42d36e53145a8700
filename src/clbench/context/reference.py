"""The texts of a data set that a submission is held against, and the reference answers that later turns give away."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from clbench.context.graded import Raw, TaskSet, facts_of, read_tasks, rubric_texts
from clbench.core.keys import normal_text

SHORTEST = 24  # characters of a rubric or reference; shorter ones stand in an answer by accident


@dataclass(frozen=True)
class Reference:
    """What a row of a submission must agree with.

    Attributes:
        task: Its id.
        messages, rubrics, metadata: Digests of the JSON values.
        num_rubrics: How many rubrics, blank ones left out.
        rubric_texts: Folded for comparison, long ones only.
        answer: The reference answer as a later turn of the context holds it, folded; empty if unknown or short.
    """

    task: str
    messages: str
    rubrics: str
    metadata: str
    num_rubrics: int
    rubric_texts: tuple[str, ...]
    answer: str


def value_digest(value: Any) -> str:
    """Return a digest of a JSON value: equal values have equal ones, whatever the spacing of their text."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


def read_references(path: Path) -> tuple[TaskSet, dict[str, Reference]]:
    """Read a data set: its tasks, and what rows of a submission must agree with, by task id.

    Raises:
        DataError: A row is wrong; names the line.
    """
    known = read_tasks(path)
    answers: dict[str, str] = {}
    found: dict[str, Reference] = {}
    for line, task, row in known.rows():
        answers |= _answers_within(row)
        texts = [normal_text(text) for text in rubric_texts(row, f"{path}:{line}")]
        found[task] = Reference(
            task=task,
            messages=value_digest(row.get("messages")),
            rubrics=value_digest(row.get("rubrics")),
            metadata=value_digest(row.get("metadata")),
            num_rubrics=len(facts_of(row, f"{path}:{line}").rubrics),
            rubric_texts=tuple(text for text in texts if len(text) >= SHORTEST),
            answer=_folded(row.get("ref_answer")),
        )
    return known, {task: _with_answer(each, answers) for task, each in found.items()}


def _answers_within(row: Raw) -> dict[str, str]:
    """Return the assistant's messages of a row by the digest of the messages before each."""
    messages = cast(list[Any], row.get("messages") or [])
    return {
        value_digest(messages[:place]): _folded(message.get("content"))
        for place, message in enumerate(messages)
        if place and isinstance(message, dict) and cast(Raw, message).get("role") == "assistant"
    }


def _folded(text: Any) -> str:
    folded = normal_text(text) if isinstance(text, str) else ""
    return folded if len(folded) >= SHORTEST else ""


def _with_answer(each: Reference, answers: dict[str, str]) -> Reference:
    answer = each.answer or answers.get(each.messages, "")
    return Reference(each.task, each.messages, each.rubrics, each.metadata, each.num_rubrics, each.rubric_texts, answer)
