"""Numbers that remember how to show them: as the file writes them, or by the name of a class."""

from __future__ import annotations

import math


class Whole(int):
    """A whole number with a text of its own: `-0`, or the name of class 3. It hashes and compares as the number.

    Attributes:
        text: The text to show.
    """

    text: str


class Real(float):
    """A decimal number with the text that the file has for it: `1.10`, `1e5`. It hashes and compares as the number.

    Attributes:
        text: The text to show.
    """

    text: str


def named(number: int, text: str) -> Whole:
    """Return a number with the text to show for it; an empty text is a missing value."""
    found = Whole(number)
    found.text = text
    return found


def whole_number(text: str) -> int | str:
    """Return a whole number of JSON; one of more digits than Python reads stays a text.

    Example:
        >>> whole_number("12"), whole_number("-0").text
        (12, '-0')
    """
    if text == "-0":
        return named(0, text)
    try:
        return int(text)
    except ValueError:  # over 4,300 digits
        return text


def real(text: str) -> float | str:
    """Return a decimal number of JSON; one that is too large for a float stays a text.

    Example:
        >>> real("1.10").text, real("1E400"), real("0.5")
        ('1.10', '1E400', 0.5)
    """
    value = float(text)
    if math.isinf(value):
        return text
    if repr(value) == text:
        return value
    found = Real(value)
    found.text = text
    return found
