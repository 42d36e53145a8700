"""A user's row as it is written: the columns that the card uses, as text, and all others as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clbench.core.keys import canonical
from clbench.data.intake.form import Form, Reading
from clbench.data.readers.numbers import Real, Whole

ACCEPTED = "accepted"


def accept_column(form: Form) -> str:
    """Return the column of accepted answers in the written rows: the user's if there is one, else `accepted`."""
    alone = len(form.accept) == 1 and form.accept[0] not in form.fields
    return form.accept[0] if alone else ACCEPTED


def columns_of(
    form: Form, row: Mapping[str, object], reading: Reading, roles: tuple[tuple[str, ...], ...]
) -> dict[str, Any]:
    """Return the columns that the card uses: texts, and a list of texts of the accepted answers.

    Args:
        form: How rows are read.
        row: As its file has it.
        reading: The row as question and answer.
        roles: The different orders of roles before the answer, of all rows; conversations of several are one text.

    Raises:
        RowError: A column is missing or not a text.
    """
    found: dict[str, Any] = {} if reading.identity is None else {"id": reading.identity}
    if form.accept:
        found[accept_column(form)] = list(reading.accepted)
    if not form.turns:
        return found | form.values(row)
    if len(roles) == 1:
        return found | {f"turn{i}": text for i, (_, text) in enumerate(reading.turns, 1)} | {"answer": reading.answer}
    return found | {"prompt": flattened(reading), "answer": reading.answer}


def flattened(reading: Reading) -> str:
    """Return the turns before the answer as one text, each after its role; a single turn without it."""
    if len(reading.turns) == 1:
        return reading.turns[0][1]
    return "\n".join(f"{role}: {text}" for role, text in reading.turns)


def others_of(form: Form, row: Mapping[str, object], used: Mapping[str, Any], lost: dict[str, int]) -> dict[str, Any]:
    """Return the columns that the card does not use, so that a later card can use them.

    Args:
        form: How rows are read.
        row: As its file has it.
        used: The columns that the card uses.
        lost: Collects column -> number of rows in which it holds what JSON cannot, and is left out.
    """
    found: dict[str, Any] = {}
    for name, value in row.items():
        if name in used or name in form.accept or name == form.turns:
            continue
        kept = _as_json(value)
        try:
            canonical({name: kept}).encode()
        except (TypeError, ValueError):
            lost[name] = lost.get(name, 0) + 1
        else:
            found[name] = kept
    return found


def replaced_of(form: Form, row: Mapping[str, object], used: Mapping[str, Any]) -> list[str]:
    """Return the columns of a row that a derived one replaces: `answer` beside `answers`, or beside turns."""
    replaced = used.keys() if form.turns else {"answer"} if form.derived_from else set[str]()
    return [name for name in replaced if name in row and name not in (form.id, form.turns, *form.accept)]


def _as_json(value: Any) -> Any:
    """Return a value as JSON holds it: numbers with a text of their own become that text."""
    if isinstance(value, (Whole, Real)):
        return value.text
    if isinstance(value, (list, tuple)):
        items: Sequence[Any] = value
        return [_as_json(v) for v in items]
    if isinstance(value, dict):
        parts: Mapping[Any, Any] = value
        return {str(k): _as_json(v) for k, v in parts.items()}
    return value
