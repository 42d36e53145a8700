"""`{field}` is the whole template language: no attributes, no indices, no formats, no code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

_FIELD = re.compile(r"[^\W\d][\w \-]*")
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


@dataclass(frozen=True)
class Template:
    """A parsed template.

    Attributes:
        parts: Pairs of literal text and the field after it; the last field is empty.
    """

    parts: tuple[tuple[str, str], ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns of the template, in order of use, each once."""
        return tuple(dict.fromkeys(field for _, field in self.parts if field))

    @property
    def only_field(self) -> str | None:
        """The column that the template consists of, or None if it has any other text."""
        return self.parts[0][1] if len(self.parts) == 2 and self.parts[0][0] == self.parts[1][0] == "" else None

    def render(self, values: Mapping[str, str]) -> str:
        """Return the text with values for the fields; values are not parsed again."""
        return "".join(text + (values[field] if field else "") for text, field in self.parts)

    def filled(self, values: Mapping[str, str]) -> str:
        """Return the text as `render` does, without blanks at its ends if a value is empty."""
        text = self.render(values)
        return text if all(values[f].strip() for f in self.fields) else text.strip()

    def lacks(self, values: Mapping[str, str]) -> str:
        """Return the first field if the values of all are empty, so that the text asks nothing; else ""."""
        return "" if not self.fields or any(values[f].strip() for f in self.fields) else self.fields[0]


@lru_cache(maxsize=1024)
def parse(text: str) -> Template:
    """Return a parsed template; `{{` and `}}` stand for the braces themselves.

    Raises:
        ValueError: A stray brace, or something other than a plain column name between braces.

    Example:
        >>> parse("Q: {question}").render({"question": "why {x}?"})
        'Q: why {x}?'
    """
    parts: list[tuple[str, str]] = []
    literal, at = "", 0
    for match in _TOKEN.finditer(text):
        literal += text[at : match.start()]
        at = match.end()
        token = match.group()
        if token in ("{{", "}}"):
            literal += token[0]
        elif len(token) == 1:
            raise ValueError(f"stray {token!r} in template {text!r}; write {token * 2!r} for the brace itself")
        elif not _FIELD.fullmatch(match.group(1)):
            raise ValueError(f"{token!r} is not a plain column name; a template knows {{column}} and nothing else")
        else:
            parts.append((literal, match.group(1)))
            literal = ""
    return Template((*parts, (literal + text[at:], "")))


def clip(text: str, most: int) -> str:
    """Return at most `most` characters of a text, cut at a blank if one is near (Chinese has none).

    Args:
        text: The text.
        most: Number of characters from its beginning, or from its end if negative.

    Example:
        >>> clip("the quick brown fox", 12), clip("the quick brown fox", -12)
        ('the quick', 'brown fox')
    """
    if most < 0:
        return clip(text[::-1], -most)[::-1]
    if len(text) <= most:
        return text
    if text[most].isspace():
        return text[:most].rstrip()
    blank = max(text.rfind(" ", 0, most), text.rfind("\n", 0, most))
    return text[: blank if blank > most // 2 else most].rstrip()
