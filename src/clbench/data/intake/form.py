"""The forms a user's rows may have, and how one row is read as question and answer."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from clbench.core.errors import SpecError, did_you_mean
from clbench.data.intake.text import Turns
from clbench.data.intake.turns import (
    CHOSEN,
    LISTED,
    RowError,
    answers_of,
    conversation,
    is_blank,
    named,
    unread_keys,
)
from clbench.data.tasks import template
from clbench.data.tasks.columns import as_text
from clbench.data.tasks.template import Template

SQUAD = "answers"  # SQuAD's column; its first text is the answer, the others are accepted
KNOWN = {
    "messages": ("messages",),
    "conversations": ("conversations",),
    "prompt and answer": ("prompt", "answer"),
    "text and label": ("text", "label"),
    "question and answers": ("question", SQUAD),
    "instruction and output": ("instruction", "output"),
    "prompt and chosen": ("prompt", CHOSEN),
}
SHOWN = (
    "{prompt, answer}, {messages}, {text, label}, {conversations}, {instruction, input, output}, "
    "{context, question, answers} and {prompt, chosen, rejected}"
)
BEFORE = {"question and answers": "context"}  # columns that a form may have besides, before and after its question
AFTER = {"instruction and output": "input"}
CONTEXT = ("system", "history", "context", "passage", "input", "choices", "options", "tools", "images", "image")
ESCAPES = (("\\\\", "\\"), ("\\n", "\n"), ("\\t", "\t"))


class Reading(NamedTuple):
    """One row as question and answer.

    Attributes:
        turns: The prompt, as (role, content) pairs.
        answer: The answer that is taught.
        identity: The row's id, or None.
        accepted: Further accepted answers.
        written: What kind of value the answer is in the file: "a text", "a whole number", ...
        blank: Columns of the prompt that are empty, while another one is not.
    """

    turns: Turns
    answer: str
    identity: str | None
    accepted: tuple[str, ...] = ()
    written: str = "a text"
    blank: tuple[str, ...] = ()


@dataclass(frozen=True)
class Form:
    """How rows are read.

    Attributes:
        name: A name of `KNOWN`, or "columns".
        prompt, target: Templates; unused for conversations, whose last assistant turn is the target.
        id: Column of the row's identity, or None.
        turns: Column of the conversation, or "".
        accept: Columns of further accepted answers.
        optional: Columns that a row may lack.
    """

    name: str
    prompt: Template
    target: Template
    id: str | None = None
    turns: str = ""
    accept: tuple[str, ...] = ()
    optional: frozenset[str] = frozenset()

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The columns that a template uses, each once."""
        return tuple(dict.fromkeys((*self.prompt.fields, *self.target.fields)))

    @property
    def derived_from(self) -> str:
        """The column from which the task's columns are made; "" if they are the file's own."""
        return self.turns or (SQUAD if self.name == "question and answers" and SQUAD in self.accept else "")

    def values(self, row: Mapping[str, Any]) -> dict[str, str]:
        """Return the texts of the columns that are used.

        Raises:
            RowError: A column is missing or not a text; the answer is empty, or the whole prompt.
        """
        columns = self._derived(row)
        values = {field: self._text(field, columns) for field in self.fields}
        blank = next((f for f in self.target.fields if is_blank(values[f])), "") or self.prompt.lacks(values)
        if blank:
            blank = SQUAD if columns is not row and blank == "answer" else blank
            raise RowError("empty", f"column {blank!r} is empty")
        return values

    def read(self, row: Mapping[str, Any]) -> Reading:
        """Return a row as question and answer; raises `RowError` if it cannot be used."""
        identity = self._text(self.id, row) if self.id is not None else None
        if identity is not None and is_blank(identity):
            raise RowError("empty", f"column {self.id!r} is empty")
        if self.turns:
            turns, answer = conversation(row, self.turns)
            return Reading(turns, answer, identity, self._accepted(row, answer))
        values = self.values(row)
        answer = self.target.render(values)
        written = kind_of(row.get(self.target.only_field or ""))
        blank = tuple(f for f in self.prompt.fields if is_blank(values[f]))
        turns = (("user", self.prompt.filled(values)),)
        return Reading(turns, answer, identity, self._accepted(row, answer), written, blank)

    def _accepted(self, row: Mapping[str, Any], answer: str) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for column in self.accept:
            if column not in row and column in self.optional:
                continue
            if column not in row:
                raise RowError("column", f"there is no column {column!r}", mend=did_you_mean(column, row))
            found |= dict.fromkeys(answers_of(row[column], column))
        return tuple(text for text in found if text != answer)

    def _derived(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a row with the column that a known form adds: the first of SQuAD's answers."""
        if self.derived_from != SQUAD or SQUAD not in row:
            return row
        texts = answers_of(row[SQUAD], SQUAD)
        return {**row, "answer": texts[0] if texts else ""}

    def _text(self, field: str, row: Mapping[str, Any]) -> str:
        if field not in row:
            if field in self.optional:
                return ""
            raise RowError("column", f"there is no column {field!r}", mend=did_you_mean(field, row))
        try:
            return as_text(row[field])
        except ValueError:
            what = f"column {field!r} holds {named(row[field])}, where a text must stand"
            raise RowError("type", what, mend=LISTED if isinstance(row[field], (list, dict)) else "") from None


def kind_of(value: Any) -> str:
    """Return the kind of a file's value, in words.

    Example:
        >>> kind_of(True), kind_of(1), kind_of(1.0)
        ('true or false', 'a whole number', 'a decimal number')
    """
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int):
        # A class with a name counts as a text.
        return "a whole number" if as_text(value).lstrip("-").isdigit() else "a text"
    return "a decimal number" if isinstance(value, float) else "a text"


def form_of(
    rows: Sequence[Mapping[str, Any]], prompt: str | None, target: str | None, accept: Sequence[str] = ()
) -> Form:
    """Return the form of rows, recognised by their columns; templates of the user come first.

    Args:
        rows: The first rows; the form that most of them have is chosen.
        prompt: The template that the user gave, if any.
        target: The same for the answer.
        accept: Columns of further accepted answers.

    Raises:
        RowError: The rows have no known form, and a template is not given.
        SpecError: A template of the user is not valid.
    """
    id_ = "id" if rows and all("id" in row for row in rows) else None
    lacking = frozenset(column for column in accept if any(column in row for row in rows))
    if prompt is not None and target is not None:
        asks, says = _given("--prompt", prompt), _given("--target", target)
        return Form("columns", asks, says, id_, accept=tuple(accept), optional=lacking)
    counts = {name: sum(set(columns) <= row.keys() for row in rows) for name, columns in KNOWN.items()}
    name = max(counts, key=lambda n: counts[n])
    if counts[name] == 0:
        raise _no_form(rows[0] if rows else {})
    turns = name if name in ("messages", "conversations") else ""
    if name == "prompt and chosen" and any(isinstance(row.get(CHOSEN), (list, tuple)) for row in rows):
        turns = CHOSEN
    if turns:
        if prompt is not None or target is not None:
            raise SpecError(
                f"rows of {turns} hold their own prompts",
                where="--prompt" if prompt is not None else "--target",
                mend="leave it out; or give both --prompt and --target, for other columns",
            )
        return Form(name, Template(()), Template(()), id_, turns, tuple(accept), lacking)
    found = _by_columns(rows, name, (prompt, target), id_, tuple(accept))
    return dataclasses.replace(found, optional=found.optional | lacking - set(found.fields))


def _by_columns(
    rows: Sequence[Mapping[str, Any]],
    name: str,
    given: tuple[str | None, str | None],
    id_: str | None,
    accept: tuple[str, ...],
) -> Form:
    """Return a known form whose question and answer are columns; the user may set the template of one of them."""
    asks, says = (f"{{{column}}}" for column in KNOWN[name])
    more = BEFORE.get(name) or AFTER.get(name) or ""
    if more and any(more in row for row in rows):
        asks = f"{{{more}}}\n\n{asks}" if name in BEFORE else f"{asks}\n\n{{{more}}}"
    if name == "question and answers" and given[1] is None:
        says, accept = "{answer}", tuple(dict.fromkeys((SQUAD, *accept)))
    prompt = template.parse(asks) if given[0] is None else _given("--prompt", given[0])
    target = template.parse(says) if given[1] is None else _given("--target", given[1])
    return Form(name, prompt, target, id_, accept=accept, optional=frozenset({more} if more else ()))


def unread(form: Form, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> list[tuple[str, str]]:
    """Return (where, what) of the first value of each column that usually belongs to a question, and is not read.

    The same for keys of a conversation's turns, for example `weight`, `reasoning_content` and `tool_calls`.
    """
    read = {*form.fields, *form.accept, form.turns, *(("system",) if form.turns else ())}
    found: dict[str, str] = {}
    for where, row in rows:
        found |= {
            c: where for c in CONTEXT if c not in read and c not in found and row.get(c) not in (None, "", [], {})
        }
    keys = {key: where for where, row in reversed(rows) for key in unread_keys(row, form.turns)} if form.turns else {}
    columns = [(where, f"column {column!r}") for column, where in found.items()]
    return columns + [(where, f"{key!r} of the turns in {form.turns!r}") for key, where in keys.items()]


def unescaped(text: str) -> str:
    r"""Return a template of the command line with `\n`, `\t` and `\\` replaced by the characters that they mean.

    Example:
        >>> unescaped(r"{a}\n{b}"), unescaped(r"\\nu")
        ('{a}\n{b}', '\\nu')
    """
    at, found = 0, ""
    while at < len(text):
        meant = next((c for written, c in ESCAPES if text.startswith(written, at)), None)
        found += text[at] if meant is None else meant
        at += 1 if meant is None else 2
    return found


def _given(option: str, text: str) -> Template:
    try:
        parsed = template.parse(unescaped(text))
    except ValueError as error:
        raise SpecError(str(error), where=option, mend='for example "{question}"') from None
    if not parsed.fields:
        raise SpecError(f"{text!r} names no column", where=option, mend='for example "{question}"')
    return parsed


def _no_form(row: Mapping[str, Any]) -> RowError:
    columns = [c for c in row if isinstance(row[c], str)]
    near = [
        f"there is no column {name!r}; did you mean {close[0]!r}?"
        for known in ("messages", "prompt and answer", "text and label")
        for name in KNOWN[known]
        if name not in row and (close := difflib.get_close_matches(name, map(str, row), n=1))
    ]
    given = f'--prompt "{{{columns[0]}}}" --target "{{{columns[-1]}}}"' if len(columns) > 1 else "--prompt and --target"
    what = near[0] if near else f"the columns {', '.join(map(repr, row)) or '(none)'} are not a known form"
    listed = f"; {LISTED}" if any(isinstance(v, list) for v in row.values()) else ""
    return RowError("form", what, mend=f"known are {SHOWN}; or name the columns, as in {given}{listed}")
