"""Texts for people in the language that they chose: English stands in the code, Chinese in a catalogue.

`tr` words a text where it is written. Errors and notices are made far from where they are printed, and JSON and records
keep them in English, so `translated` recognises them by their English form when they are printed. What the catalogue
lacks stays English.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import yaml

Language = Literal["en", "zh"]
CATALOGUE = Path(__file__).parent / "wording.zh.yaml"
MEND = "\n  to mend: "
MOST_DEEP = 4  # messages within messages
MOST_PLACES = 5  # places and parts of a message that are looked at
LONGEST = 4_000  # characters of a message; a longer one stays as it is
_spoken: list[Language] = ["en"]  # of the whole process: threads speak it too


def speak(language: Language) -> None:
    """Let all texts of this process be in a language from now on."""
    _spoken[0] = language


def spoken() -> Language:
    """Return the language that texts are in."""
    return _spoken[0]


@contextmanager
def in_english() -> Generator[None]:
    """Let the texts of a block be in English, for records and for machines."""
    before = spoken()
    speak("en")
    try:
        yield
    finally:
        speak(before)


@cache
def catalogue() -> Mapping[str, Mapping[str, str]]:
    """Return the Chinese of texts and messages, by section and English form."""
    return yaml.safe_load(CATALOGUE.read_text(encoding="utf-8"))


def tr(text: str, /, **values: Any) -> str:
    """Return a text in the spoken language with its fields filled in.

    Example:
        >>> tr("{num} runs", num=2)
        '2 runs'
    """
    if spoken() == "zh":
        text = catalogue()["texts"].get(text, text)
    return text.format(**values) if values else text


def translated(message: str) -> str:
    """Return an error or a notice in the spoken language: what, where, and how to mend it."""
    if spoken() == "en" or len(message) > LONGEST:
        return message
    head, mend, rest = message.partition(MEND)
    return _worded(head, MOST_DEEP) + (f"\n  {tr('to mend: ')}{_worded(rest, MOST_DEEP)}" if mend else "")


def _worded(text: str, deep: int) -> str:
    """Return a message in Chinese: as a whole, behind the place that it names, or part by part."""
    if (whole := _whole(text, deep)) is not None:
        return whole
    for found in islice(re.finditer(": ", text), MOST_PLACES):
        if (what := _whole(text[found.end() :], deep)) is not None:
            return f"{text[: found.start()]}：{what}"
    parts = text.split("; ", MOST_PLACES)
    known = [_whole(part, deep) for part in parts] if len(parts) > 1 else [None]
    if any(known):
        return "；".join(part if whole is None else whole for part, whole in zip(parts, known, strict=True))
    return text


def _whole(text: str, deep: int) -> str | None:
    """Return a message in Chinese if the catalogue has its form; values that are messages are worded too."""
    exact, forms = _forms()
    if text in exact:
        return exact[text]
    for longest, form, chinese in forms if deep else ():
        if longest not in text:  # most forms are told apart by this, in a fraction of the time
            continue
        if (found := form.fullmatch(text)) is not None and not _is_by_chance(form, found.groups()):
            return chinese.format(*(_worded(value, deep - 1) for value in found.groups()))
    return None


def _is_by_chance(form: re.Pattern[str], values: Sequence[str]) -> bool:
    """Return whether a form of one word, such as "lesson {}", has taken a message of several parts for its value."""
    words = form.pattern.replace("(.*?)", "").replace("\\", "").split()
    return len(words) < 2 and any(mark in value for value in values for mark in (": ", "; "))


@cache
def _forms() -> tuple[Mapping[str, str], tuple[tuple[str, re.Pattern[str], str], ...]]:
    """Return messages without values, and the forms of the others, those with the most text of their own first.

    A form is its longest part between values, its pattern, and its Chinese.
    """
    messages = catalogue()["messages"]
    ordered = sorted((k for k in messages if "{}" in k), key=lambda k: -len(k.replace("{}", "")))
    parts = [(k.split("{}"), messages[k]) for k in ordered]
    forms = tuple((max(p, key=len), re.compile("(.*?)".join(map(re.escape, p)), re.S), zh) for p, zh in parts)
    return {k: v for k, v in messages.items() if "{}" not in k}, forms


def cells(text: str) -> int:
    """Return how many columns of a terminal a text takes: a Chinese character takes two.

    Example:
        >>> cells("abc"), cells("评测")
        (3, 4)
    """
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def padded(text: str, width: int, *, right: bool = False) -> str:
    """Return a text with blanks up to a width in columns of a terminal, before it where it stands at the right."""
    blanks = " " * (width - cells(text))
    return f"{blanks}{text}" if right else f"{text}{blanks}"
