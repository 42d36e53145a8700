"""Forms of conversations: OpenAI's `messages`, ShareGPT's `conversations`, the chosen ones of preference pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clbench.core.errors import DataError, did_you_mean
from clbench.core.keys import plain_label
from clbench.data.intake.text import Turns
from clbench.data.tasks.columns import as_text

ROLES = ("system", "user", "assistant")
SPEAKERS = {
    **{role: role for role in ROLES},
    **dict.fromkeys(("human", "prompter"), "user"),
    **dict.fromkeys(("gpt", "chatgpt", "bing", "bard", "model", "bot"), "assistant"),
    "developer": "system",
}
FORMS = (("role", "content"), ("from", "value"))
CHOSEN = "chosen"  # the column of a preference's better answer
ASKS = frozenset(name for name, role in SPEAKERS.items() if role == "user")
NAMES = frozenset({"id", "name", "index", "type"})  # keys of a turn that do not concern its text
LISTED = "a card's `columns:` makes a text of a list and `choices:` ranks its items, see docs/cards.md"


class RowError(DataError):
    """A row that cannot be used.

    Attributes:
        kind: The kind of finding.
    """

    def __init__(self, kind: str, what: str, *, where: str = "", mend: str = "") -> None:
        super().__init__(what, where=where, mend=mend)
        self.kind = kind


def named(value: object) -> str:
    """Return the type of a value, in words."""
    known = {"str": "a text", "list": "a list", "dict": "an object", "bytes": "bytes", "NoneType": "nothing"}
    return known.get(type(value).__name__, f"a value of type {type(value).__name__}")


def is_blank(text: str) -> bool:
    r"""Return whether there is nothing to see in a text.

    Example:
        >>> is_blank("\u200b \n"), is_blank(".")
        (True, False)
    """
    seen = text.strip()
    return not seen or (not seen[0].isascii() and not plain_label(seen[:50]) and not plain_label(seen))


def conversation(row: Mapping[str, Any], column: str) -> tuple[Turns, str]:
    """Return the turns before the answer, and the answer: the last turn, which must be the assistant's.

    A text column `system` beside the turns goes before them, unless they begin with a system turn of their own; so does
    a column `prompt`, a text or turns, where the turns are `chosen` ones that begin with the answer.

    Raises:
        RowError: There is no such conversation.
    """
    if column not in row:
        raise RowError("column", f"there is no column {column!r}", mend=did_you_mean(column, row))
    found: Any = row[column]
    if not isinstance(found, (list, tuple)):
        mend = "write the list itself, as json.loads gives it" if isinstance(found, str) else ""
        raise RowError("type", f"column {column!r} holds {named(found)}, where a list of turns must stand", mend=mend)
    written: Sequence[Any] = [*_asked(row, found), *found] if column == CHOSEN else found
    turns = tuple(_turn(number, turn) for number, turn in enumerate(written, start=1))
    if not turns:
        raise RowError("empty", f"column {column!r} is empty")
    if turns[-1][0] != "assistant":
        raise RowError(
            "turns", f"the last of {len(turns)} turns is the {turns[-1][0]}'s, so there is no answer to learn"
        )
    if not any(role == "user" for role, _ in turns[:-1]):
        raise RowError("turns", "no user speaks before the answer")
    system: Any = row.get("system")
    if isinstance(system, str) and not is_blank(system) and turns[0][0] != "system":
        turns = (("system", system), *turns)
    return turns[:-1], turns[-1][1]


def _asked(row: Mapping[str, Any], chosen: Sequence[Any]) -> Sequence[Any]:
    """Return the turns of a column `prompt`, if the chosen ones do not hold the question themselves."""
    prompt: Any = row.get("prompt")
    if any(isinstance(turn, Mapping) and turn.get("role", turn.get("from")) in ASKS for turn in chosen):
        return ()
    if isinstance(prompt, str):
        return () if is_blank(prompt) else ({"role": "user", "content": prompt},)
    return prompt if isinstance(prompt, (list, tuple)) else ()  # pyright: ignore[reportUnknownVariableType]  # JSON has no types


def unread_keys(row: Mapping[str, Any], column: str) -> list[str]:
    """Return the keys of a conversation's turns that hold something and are not read, each once."""
    found: Any = row.get(column)
    turns: Sequence[Any] = found if isinstance(found, (list, tuple)) else ()
    read = {key for form in FORMS for key in form} | NAMES
    keys = [key for turn in turns if isinstance(turn, Mapping) for key in turn if turn[key] not in (None, "", [], {})]
    return list(dict.fromkeys(str(key) for key in keys if key not in read))


def _turn(number: int, turn: Any) -> tuple[str, str]:
    if not isinstance(turn, Mapping):
        raise RowError("type", f"turn {number} is {named(turn)}, where an object with role and content must stand")
    fields: Mapping[str, Any] = turn
    who, what = next((f for f in FORMS if f[0] in fields), FORMS[0])
    for field in (who, what):
        if field not in fields:
            raise RowError("turns", f"turn {number} has no {field!r}", mend=did_you_mean(field, map(str, fields)))
    role: Any = fields[who]
    speaker = SPEAKERS.get(role.lower()) if isinstance(role, str) else None
    if speaker is None:
        raise RowError("turns", f"turn {number} has the role {role!r}", mend=did_you_mean(str(role), SPEAKERS))
    content = _content(number, fields[what])
    if is_blank(content):
        raise RowError("empty", f"turn {number} ({role}) is empty")
    return speaker, content


def _content(number: int, content: Any) -> str:
    """Return the text of a turn; a list of text parts is one text."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, (list, tuple)):
        parts: Sequence[Any] = content
        if other := next((p for p in parts if not _is_text(p)), None):
            kind = (
                f"a part of type {other['type']!r}" if isinstance(other, Mapping) and "type" in other else named(other)
            )
            raise RowError("type", f"turn {number} holds {kind}, where a text must stand")
        return "\n".join(part["text"] for part in parts)
    raise RowError("type", f"turn {number} holds {named(content)}, where a text must stand")


def _is_text(part: Any) -> bool:
    return isinstance(part, Mapping) and isinstance(part.get("text"), str)  # pyright: ignore[reportUnknownMemberType]  # JSON has no types


def answers_of(value: Any, column: str) -> list[str]:
    """Return the texts of a column of accepted answers, each once: a text, a list of texts, or SQuAD's `{text: [...]}`.

    Raises:
        RowError: It holds something else.

    Example:
        >>> answers_of({"text": ["Ann", "Ann Lee", "Ann"], "answer_start": [0, 0, 0]}, "answers")
        ['Ann', 'Ann Lee']
    """
    found: Any = value
    if isinstance(found, Mapping) and "text" in found:
        found = found["text"]  # pyright: ignore[reportUnknownVariableType]  # JSON has no types
    items: Sequence[Any] = found if isinstance(found, (list, tuple)) else [found]
    texts: list[str] = []
    for item in items:
        text: Any = item["text"] if isinstance(item, Mapping) and "text" in item else item
        try:
            texts.append(as_text(text))
        except ValueError:
            raise RowError("type", f"column {column!r} holds {named(text)}, where texts must stand") from None
    return list(dict.fromkeys(t for t in texts if not is_blank(t)))
