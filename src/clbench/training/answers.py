"""What answers must be, whoever gives them: one to each question, in their order, of the right types. No torch here."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from clbench.core.keys import canonical
from clbench.core.types import Answer, Example

FITTING = "give a list of one Answer per example, in their order, each with its example's id"


def unfit_answers(found: object, examples: Sequence[Example]) -> str:
    """Say why answers do not fit their questions: they would be graded as answers to others; "" if nothing."""
    if not isinstance(found, list | tuple):
        return f"it gives {type(found).__name__}, where a list of answers is wanted"
    answers: Sequence[object] = found  # pyright: ignore[reportUnknownVariableType]  # a bare list has no item types
    if len(answers) != len(examples):
        return f"{len(answers)} answers to {len(examples)} questions"
    for place, (example, answer) in enumerate(zip(examples, answers, strict=True)):
        if not isinstance(answer, Answer):
            return f"answer {place} is a {type(answer).__name__}, not an Answer"
        if answer.example_id != example.id:
            return f"answer {place} is to {answer.example_id!r}, the question is {example.id!r}"
        if why := _unlike_answer(answer):
            return f"answer {place}, to {example.id!r}: {why}"
    return ""


def _unlike_answer(answer: Answer) -> str:
    """Say which field of an answer is of another type: copying with `model_copy` does not look."""
    try:
        Answer.model_validate(dict(answer), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        if first["type"] == "missing":
            return f"{name} is missing"
        return f"{name} is {type(first['input']).__name__} {str(first['input'])[:40]!r}: {first['msg']}"
    try:
        canonical(answer).encode()
    except ValueError as error:  # NaN, half a character
        return f"it cannot be written: {error}"
    return ""
