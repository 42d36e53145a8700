"""Columns that a card makes from those of its data, so that templates can show lists; data only, no code."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, field_validator

from clbench.core.errors import did_you_mean
from clbench.core.keys import canonical
from clbench.core.value import Value
from clbench.data.readers.numbers import Real, Whole
from clbench.data.tasks import template


def as_text(value: Any) -> str:
    """Return a plain value as templates show it: numbers as their file writes them, true and false in lower case.

    A class is shown by its name, null and NaN as "".

    Raises:
        ValueError: It is a list or a mapping.

    Example:
        >>> as_text(True), as_text(3), as_text(None)
        ('true', '3', '')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (Whole, Real)):
        return value.text
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, (int, float)):
        return str(value)
    if not isinstance(value, str):
        raise ValueError(f"holds {type(value).__name__}, a template takes text")
    return value


class _Listing(Value):
    """How the items of a list are shown.

    Attributes:
        item: The template of one item.
        separator: The text between two items.
        replace: Text in an item -> its replacement, for example a comma for a separator within an item.
        empty: The text for a list without items; if absent, such a row is refused.
    """

    item: str = "{item}"
    separator: str = " "
    replace: Mapping[Annotated[str, Field(min_length=1)], str] = {}
    empty: str | None = Field(default=None, min_length=1)

    @field_validator("item")
    @classmethod
    def _parses(cls, value: str) -> str:
        template.parse(value)
        return value

    def show(self, items: Sequence[Mapping[str, str]]) -> str:
        """Return the items as one text; each is a mapping of template fields to texts.

        Raises:
            ValueError: There are no items and no `empty`, or the template names a field that an item lacks.
        """
        if not items:
            if self.empty is None:
                raise ValueError("is an empty list; say what stands for it with `empty`")
            return self.empty
        parsed = template.parse(self.item)
        for fields in items:
            for field in parsed.fields:
                if field not in fields:
                    raise ValueError(f"has an item without {field!r}; {did_you_mean(field, fields)}")
        return self.separator.join(self._replaced(parsed.render(fields)) for fields in items)

    def _replaced(self, text: str) -> str:
        for old, new in self.replace.items():
            text = text.replace(old, new)
        return text


class Join(_Listing):
    """A list as one text.

    Attributes:
        join: The column with the list. An item that is a text or number is `{item}` of the template, one that is
            a mapping gives its keys; `{letter}` is A for the first item, B for the second, ...

    Example:
        >>> Join(join="options", item="{letter}. {item}").make({"options": ["yes", "no"]})
        'A. yes B. no'
    """

    join: str

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns of the data that are needed."""
        return (self.join,)

    def make(self, row: Mapping[str, Any]) -> str:
        """Return the column's text; raises ValueError as `_Listing.show` does, or if the column is not a list."""
        found: list[Any] = _list(row, self.join)
        items: list[dict[str, str]] = []
        for place, item in enumerate(found):
            values: Mapping[str, Any] = item if isinstance(item, Mapping) else {"item": item}
            fields = {str(key): as_text(value) for key, value in values.items()}
            items.append(fields if place >= len(ascii_uppercase) else {"letter": ascii_uppercase[place], **fields})
        return self.show(items)


class Spans(_Listing):
    """The spans that BIO tags mark in a list of tokens.

    `B-x` begins a span of type x, `I-x` goes on with it (or begins one, as in conlleval), `O` is outside.

    Attributes:
        spans: The column with the tags, one per token.
        tokens: The column with the tokens.
        glue: The text between two tokens of a span: a blank, or "" in Chinese.

    Example:
        >>> row = {"tokens": ["Ann", "Lee", "sang"], "tags": ["B-PER", "I-PER", "O"]}
        >>> Spans(spans="tags", tokens="tokens").make(row)
        'PER: Ann Lee'
    """

    spans: str
    tokens: str
    glue: str = " "
    item: str = "{type}: {text}"
    separator: str = "; "

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns of the data that are needed."""
        return (self.spans, self.tokens)

    def make(self, row: Mapping[str, Any]) -> str:
        """Return the column's text; raises ValueError for lists of unequal length and for what is not a BIO tag."""
        tags, tokens = _list(row, self.spans), _list(row, self.tokens)
        if len(tags) != len(tokens):
            raise ValueError(f"has {len(tags)} tags for {len(tokens)} tokens")
        found: list[tuple[str, list[str]]] = []
        before: str | None = None  # type of the token before
        for tag, token in zip(tags, tokens, strict=True):
            position, dash, kind = as_text(tag).partition("-")
            if tag != "O" and (position not in ("B", "I") or not dash or not kind):
                raise ValueError(f"has the tag {tag!r}, which is not O, B-type or I-type")
            if position == "B" or (position == "I" and before != kind):
                found.append((kind, [as_text(token)]))
            elif position == "I":
                found[-1][1].append(as_text(token))
            before = kind or None
        return self.show([{"type": kind, "text": self.glue.join(words)} for kind, words in found])


class Part(Value):
    """A part of a text.

    Attributes:
        part: The column with the text.
        after: It begins after the first of these; a text without it is refused.
        before: It ends before the next of these, or at the end of the text.

    Example:
        >>> Part(part="prompt", after="Text: ", before=" Answer:").make({"prompt": "Read. Text: so it is. Answer:"})
        'so it is.'
    """

    part: str
    after: str = ""
    before: str = ""

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns of the data that are needed."""
        return (self.part,)

    def make(self, row: Mapping[str, Any]) -> str:
        """Return the column's text without blanks at its ends; raises ValueError if `after` does not occur."""
        text = as_text(row[self.part])
        if self.after not in text:
            raise ValueError(f"does not hold {self.after!r}")
        text = text.partition(self.after)[2] if self.after else text
        return (text.partition(self.before)[0] if self.before else text).strip()


class Packed(Value):
    """Columns as one JSON text, for a scorer to read.

    Attributes:
        json_of: The columns; their names are the keys.
        also: Columns that a row may lack.

    Example:
        >>> Packed(json_of=("n", "tests")).make({"n": 2, "tests": ["assert f()"], "other": 0})
        '{"n":2,"tests":["assert f()"]}'
    """

    json_of: tuple[str, ...] = Field(min_length=1)
    also: tuple[str, ...] = ()

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns of the data that are needed."""
        return self.json_of

    def make(self, row: Mapping[str, Any]) -> str:
        """Return the column's text; raises ValueError for what JSON cannot hold."""
        try:
            return canonical({name: row[name] for name in (*self.json_of, *self.also) if name in row})
        except TypeError as error:
            raise ValueError(f"holds what JSON cannot: {error}") from None


def _list(row: Mapping[str, Any], column: str) -> list[Any]:
    value: Any = row[column]
    if not isinstance(value, list):
        raise ValueError(f"must be a list, not {type(value).__name__}")
    return value


def _tag(value: Any) -> str | None:
    keys: set[str] = set(value) if isinstance(value, dict) else set(type(value).model_fields)
    tags = keys & {"join", "spans", "part", "json_of"}
    return tags.pop() if len(tags) == 1 else None


NewColumn = Annotated[
    Annotated[Join, Tag("join")]
    | Annotated[Spans, Tag("spans")]
    | Annotated[Part, Tag("part")]
    | Annotated[Packed, Tag("json_of")],
    Discriminator(
        _tag,
        custom_error_type="column",
        custom_error_message="a made column is one of {join, item, separator, replace, empty}, "
        "{spans, tokens, glue, item, separator, replace, empty}, {part, after, before} or {json_of, also}",
    ),
]
