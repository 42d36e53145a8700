"""The forms a user's rows may have, and how one row is read as question and answer."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from clbench.core.errors import DataError, SpecError, did_you_mean
from clbench.data import template
from clbench.data.audit_text import Turns
from clbench.data.template import Template

ROLES = ("system", "user", "assistant")
KNOWN = {
    "messages": ("messages",),
    "prompt and answer": ("prompt", "answer"),
    "text and label": ("text", "label"),
}


class RowError(DataError):
    """A row that cannot be used.

    Attributes:
        kind: Which kind of finding it is.
    """

    def __init__(self, kind: str, what: str, *, where: str = "", mend: str = "") -> None:
        super().__init__(what, where=where, mend=mend)
        self.kind = kind


class Reading(NamedTuple):
    """One row as question and answer."""

    turns: Turns
    answer: str
    identity: str | None


@dataclass(frozen=True)
class Form:
    """How rows are read.

    Attributes:
        name: "messages", "prompt and answer", "text and label", or "columns".
        prompt, target: Templates; unused for messages, whose last assistant turn is the target.
        id: Column of the row's identity, or None.
    """

    name: str
    prompt: Template
    target: Template
    id: str | None = None

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The columns that a template uses, each once."""
        return tuple(dict.fromkeys((*self.prompt.fields, *self.target.fields)))

    def values(self, row: Mapping[str, Any]) -> dict[str, str]:
        """Give the texts of the columns that are used.

        Raises:
            RowError: One is missing, empty, or no text.
        """
        return {field: _text(field, row) for field in self.fields}

    def read(self, row: Mapping[str, Any]) -> Reading:
        """Read a row; raises `RowError` if it cannot be used."""
        identity = _text(self.id, row) if self.id is not None else None
        if self.name == "messages":
            turns, answer = _conversation(row)
            return Reading(turns, answer, identity)
        values = self.values(row)
        return Reading((("user", self.prompt.render(values)),), self.target.render(values), identity)


def _text(field: str, row: Mapping[str, Any]) -> str:
    if field not in row:
        raise RowError("column", f"there is no column {field!r}", mend=did_you_mean(field, row))
    value = row[field]
    if isinstance(value, str):
        text = value
    elif isinstance(value, bool):
        text = str(value).lower()
    elif value is None or (isinstance(value, float) and math.isnan(value)):
        text = ""
    elif isinstance(value, (int, float)):
        text = str(value)
    else:
        raise RowError("type", f"column {field!r} holds {_named(value)}, where a text must stand")
    if not text or text.isspace():
        raise RowError("empty", f"column {field!r} is empty")
    return text


def _named(value: object) -> str:
    known = {"list": "a list", "dict": "an object", "bytes": "bytes", "NoneType": "nothing"}
    return known.get(type(value).__name__, f"a value of type {type(value).__name__}")


def _conversation(row: Mapping[str, Any]) -> tuple[Turns, str]:
    if "messages" not in row:
        raise RowError("column", "there is no column 'messages'", mend=did_you_mean("messages", row))
    messages: Any = row["messages"]
    if not isinstance(messages, (list, tuple)):
        raise RowError("type", f"column 'messages' holds {_named(messages)}, where a list of turns must stand")
    turns = tuple(_turn(number, turn) for number, turn in enumerate(messages, start=1))
    if not turns:
        raise RowError("empty", "column 'messages' is empty")
    if turns[-1][0] != "assistant":
        raise RowError(
            "turns", f"the last of {len(turns)} turns is the {turns[-1][0]}'s, so there is no answer to learn"
        )
    if not any(role == "user" for role, _ in turns[:-1]):
        raise RowError("turns", "no user speaks before the answer")
    return turns[:-1], turns[-1][1]


def _turn(number: int, turn: Any) -> tuple[str, str]:
    if not isinstance(turn, Mapping):
        raise RowError("type", f"turn {number} is {_named(turn)}, where an object with role and content must stand")
    for field in ("role", "content"):
        if field not in turn:
            raise RowError("turns", f"turn {number} has no {field!r}", mend=did_you_mean(field, map(str, turn)))
    role, content = turn["role"], turn["content"]
    if role not in ROLES:
        raise RowError("turns", f"turn {number} has the role {role!r}", mend=did_you_mean(str(role), ROLES))
    if content is None or (isinstance(content, str) and not content.strip()):
        raise RowError("empty", f"turn {number} ({role}) is empty")
    if not isinstance(content, str):
        raise RowError("type", f"turn {number} holds {_named(content)}, where a text must stand")
    return role, content


def form_of(rows: Sequence[Mapping[str, Any]], prompt: str | None, target: str | None) -> Form:
    """Recognise the form of rows by their columns; given templates go before what is recognised.

    Args:
        rows: The first rows; the form that most of them have is taken.
        prompt: The template that the user gave, if any.
        target: The same for the answer.

    Raises:
        RowError: The rows have no known form, and a template is not given.
        SpecError: A given template is none.
    """
    counts = {name: sum(set(columns) <= row.keys() for row in rows) for name, columns in KNOWN.items()}
    name = max(counts, key=lambda n: counts[n])
    id_ = "id" if rows and all("id" in row for row in rows) else None
    if prompt is not None and target is not None:
        return Form("columns", _given("--prompt", prompt), _given("--target", target), id_)
    if counts[name] == 0:
        raise _no_form(rows[0] if rows else {})
    if name == "messages":
        if prompt is not None or target is not None:
            raise SpecError(
                "rows of messages hold their own prompts",
                where="--prompt" if prompt is not None else "--target",
                mend="leave it out; or give both --prompt and --target, for other columns",
            )
        return Form(name, Template(()), Template(()), id_)
    asks, says = (f"{{{column}}}" for column in KNOWN[name])
    return Form(name, _given("--prompt", prompt or asks), _given("--target", target or says), id_)


def _given(option: str, text: str) -> Template:
    try:
        parsed = template.parse(text)
    except ValueError as error:
        raise SpecError(str(error), where=option, mend='for example "{question}"') from None
    if not parsed.fields:
        raise SpecError(f"{text!r} names no column", where=option, mend='for example "{question}"')
    return parsed


def _no_form(row: Mapping[str, Any]) -> RowError:
    columns = [c for c in row if isinstance(row[c], str)]
    near = [
        f"there is no column {name!r}; did you mean {close[0]!r}?"
        for known in KNOWN.values()
        for name in known
        if name not in row and (close := difflib.get_close_matches(name, map(str, row), n=1))
    ]
    given = f'--prompt "{{{columns[0]}}}" --target "{{{columns[-1]}}}"' if len(columns) > 1 else "--prompt and --target"
    what = near[0] if near else f"the columns {', '.join(map(repr, row)) or '(none)'} are no known form"
    mend = f"known are {{prompt, answer}}, {{messages}} and {{text, label}}; or name the columns, as in {given}"
    return RowError("form", what, mend=mend)
