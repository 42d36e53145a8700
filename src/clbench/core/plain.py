"""Texts of unknown origin in a form that a terminal can show safely."""

from __future__ import annotations

import re

# Marks that change the direction of writing (Unicode Standard Annex 9), with which a text can mislead a reader.
DIRECTION = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
HIDDEN = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff{DIRECTION}]")


def plain(text: str) -> str:
    r"""Return a text with control characters and direction marks made visible; line ends and tabs stay.

    A terminal would obey escape sequences, and a reader would be misled by text that runs backwards.

    Example:
        >>> plain("a\x1b[31mred\u202e")
        'a\\x1b[31mred\\u202e'
    """
    return HIDDEN.sub(lambda found: _named(found[0]), text)


def plain_json(text: str) -> str:
    r"""Return JSON with such characters as its own escapes, so that it reads as the same values.

    Example:
        >>> plain_json('"a\x7f\u202e"')
        '"a\\u007f\\u202e"'
    """
    return HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _named(c: str) -> str:
    return f"\\x{ord(c):02x}" if ord(c) < 256 else f"\\u{ord(c):04x}"
