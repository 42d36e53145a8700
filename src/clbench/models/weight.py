"""Lengths of a template's values as text, and the greatest lengths of the results of its methods."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from jinja2.utils import Namespace

MOST_TEXT = 1 << 23  # characters of one value
ITEM = 32  # characters that an item of a list counts for: it takes about as many bytes
WHOLE = (list, tuple, dict, set, frozenset, Namespace, type({}.keys()), type({}.values()), type({}.items()))
MOST_DIGITS = 5_000  # of a number that is read
MOST_PLACES = 400  # decimal places to round to
SLOW_FROM = 1 << 17  # characters from which methods of quadratic time are refused
WIDEST = 10**5  # characters of one field of a format
REPEATS = frozenset({"center", "ljust", "rjust", "zfill", "expandtabs", "indent", "batch", "slice", "to_bytes"})
SLOW = frozenset({"striptags", "urlize", "wordwrap", "pprint", "xmlattr", "title", "wordcount"})
CODECS = frozenset({"utf-8", "utf8", "ascii", "latin-1", "strict", "ignore", "replace"})
Measure = tuple[int, int]  # weight, depth


def weight(value: Any) -> int:
    """Return about how many characters a value has as text, with all that is inside it."""
    return measured(value)[0]


def measured(value: Any) -> Measure:
    """Return the weight of a value and how deep it is nested; what is in it twice counts twice."""
    if not isinstance(value, WHOLE):
        return _own(value), 0
    known: dict[int, Measure] = {}
    waiting: list[tuple[Any, bool]] = [(value, False)]
    while waiting:
        one, seen = waiting.pop()
        if not seen and id(one) in known:
            continue
        inside = _inside(one)
        wholes = [part for part in inside if isinstance(part, WHOLE)]
        if not seen:
            known[id(one)] = (0, 0)  # if it holds itself, Python writes it once
            waiting += [(one, True), *((part, False) for part in wholes)]
            continue
        parts = [known[id(part)] for part in wholes]
        size = ITEM * (1 + len(inside)) + sum(w for w, _ in parts)
        size += sum(_own(part) for part in inside if not isinstance(part, WHOLE))
        known[id(one)] = (size, 1 + max((d for _, d in parts), default=0))
    return known[id(value)]


def _inside(value: Any) -> list[Any]:
    if isinstance(value, Namespace):
        value = object.__getattribute__(value, "_Namespace__attrs")
    return [*value.keys(), *value.values()] if isinstance(value, dict) else list(value)


def _own(value: Any) -> int:
    if isinstance(value, (str, bytes)):
        return len(value)
    return value.bit_length() // 3 if isinstance(value, int) else 1


def times(left: Any, right: Any) -> int:
    """Return the length of a value that is repeated a number of times."""
    pairs = ((left, right), (right, left))
    return max((weight(value) * number for value, number in pairs if isinstance(number, int)), default=0)


def formatted(text: str, values: list[Any]) -> int:
    """Return the most characters that a format with these values can become."""
    if _wide(text):
        return MOST_TEXT + 1
    inside: list[Any] = []
    for value in values:
        parts: Iterable[Any] = value.values() if isinstance(value, Mapping) else value
        inside += parts if isinstance(value, (tuple, list, Mapping)) else [value]
    widest = max((weight(v) for v in inside), default=0)
    return len(text) + (text.count("%") + text.count("{")) * (widest + WIDEST)


def _wide(text: str) -> bool:
    """Return whether a format has a width of six digits and more, or takes one from its values."""
    digits = 0
    for c in text:
        digits = digits + 1 if c.isdigit() else 0
        if digits > 5:
            return True
    try:
        return "*" in text or any("{" in (how or "") for _, _, how, _ in string.Formatter().parse(text))
    except ValueError:
        return False  # then it is not a format


class Given(NamedTuple):
    """Arguments of a method or filter: all, its texts, their greatest and least length, and the largest number."""

    args: list[Any]
    texts: list[Any]
    longest: int
    shortest: int
    most: int


def promised(name: str, args: list[Any]) -> int:
    """Return the greatest length of the result of a method or filter, if it can be longer than its arguments."""
    texts = [a for a in args if isinstance(a, (str, bytes))]
    lengths = [len(text) for text in texts] or [0]
    given = Given(args, texts, max(lengths), min(lengths), max((abs(a) for a in args if isinstance(a, int)), default=0))
    if (name in SLOW and given.longest > SLOW_FROM) or _is_slow(name, args, given.longest):
        return MOST_TEXT + 1
    if name in LENGTHS:
        return LENGTHS[name](given)
    return MOST_TEXT + 1 if given.most > 1 << 40 else 0


def _joined(given: Given) -> int:
    items = [a for a in given.args if isinstance(a, (list, tuple))]
    return sum(map(weight, items)) + sum(map(len, items)) * given.shortest


def _replaced(given: Given) -> int:
    if len(given.texts) < 3:
        return 0
    return given.longest + given.texts[0].count(given.texts[1]) * len(given.texts[2])


def _filled(given: Given) -> int:
    text = given.args[0]
    if not isinstance(text, str) or not ("{" in text or "%" in text):
        return given.longest
    return formatted(text, given.args[1:])


def _translated(given: Given) -> int:
    return given.longest * max((weight(v) for a in given.args if isinstance(a, dict) for v in a.values()), default=1)


def _wrapped(given: Given) -> int:
    return given.longest * (1 + given.shortest * (len(given.texts) > 1))


def _repeated(given: Given) -> int:
    lines = max((t.count("\n") + t.count("\t") + 1 for t in given.texts if isinstance(t, str)), default=1)
    return given.longest + lines * (given.most + given.shortest * (len(given.texts) > 1))


def _as_json(given: Given) -> int:
    """Return the length of JSON, whose value comes first in the arguments; indent and separators may follow."""
    size, depth = measured(given.args[0])
    between = sum(weight(a) for a in given.args[1:] if isinstance(a, (tuple, list, str)))
    return size + size // ITEM * (given.most * (depth + 1) * (len(given.args) > 1) + between)


LENGTHS: Mapping[str, Callable[[Given], int]] = {
    "join": _joined,
    "replace": _replaced,
    "format": _filled,
    "format_map": _filled,
    "generate_lorem_ipsum": lambda given: 1000 * given.most**2,
    "tojson": _as_json,
    "strftime": lambda given: 256 * given.longest,  # what Python tries
    "translate": _translated,
    "wordwrap": _wrapped,
    **dict.fromkeys(REPEATS, _repeated),
}


def _is_slow(name: str, args: list[Any], longest: int) -> bool:
    """Return whether a method or filter takes far longer than the length of its result suggests."""
    if name in ("int", "from_bytes"):
        return longest > MOST_DIGITS
    if name == "round":
        return any(isinstance(a, int) and abs(a) > MOST_PLACES for a in args[1:])
    if name == "sum":  # of lists: it makes a new one for each
        return any(isinstance(a, (list, tuple)) for a in args[1:])
    if name in ("encode", "decode"):
        return any(isinstance(a, str) and a.lower() not in CODECS for a in args[1:])
    return False
