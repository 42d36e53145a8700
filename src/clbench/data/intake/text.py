"""Faults of encoding in a text, and its length."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

Turns = tuple[tuple[str, str], ...]
"""A prompt as (role, content) pairs."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_LONE = re.compile(r"[\ud800-\udfff]")
# UTF-8 read as Windows-1252 or Latin-1: a lead byte from U+00C2 on, then what the continuation bytes 80..BF look like.
_LIKE_80_TO_BF = "\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
_TWICE = re.compile(f"(?:[\u00c2-\u00f4][{_LIKE_80_TO_BF}]{{1,3}})+")
_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORD = re.compile(f"[{_CJK}]|[^\\s{_CJK}]+")
SHOWN = 40


def printable(text: str, most: int = SHOWN) -> str:
    r"""Return the beginning of a text on one line, with escapes for what cannot be printed.

    Example:
        >>> printable("a\tb\x00")
        'a\\tb\\x00'
    """
    return repr(text[:most])[1:-1] + ("..." if len(text) > most else "")


def flaws(text: str) -> list[tuple[str, str]]:
    """Return (kind, what) of every fault of encoding in a text, characters counted from 1.

    Kinds: "surrogate" (cannot be written as UTF-8), "replaced", "twice" (encoded twice), "bom", "control".

    Example:
        >>> flaws("cafÃ©")
        [('twice', "'Ã©' at character 4 looks like 'é', encoded twice")]
    """
    found: list[tuple[str, str]] = []
    control = _CONTROL.search(text)
    if text.isascii():
        return found if control is None else [_control(control)]
    if (lone := _LONE.search(text)) is not None:
        found.append(("surrogate", f"half a character (U+{ord(lone.group()):04X}) at character {lone.start() + 1}"))
    if "\ufffd" in text:
        found.append(("replaced", f"a replacement character (U+FFFD) at character {text.index(chr(0xFFFD)) + 1}"))
    if "\ufeff" in text:
        found.append(("bom", f"a byte order mark (U+FEFF) at character {text.index(chr(0xFEFF)) + 1}"))
    for match in _TWICE.finditer(text):
        if (meant := _once(match.group())) is not None:
            at = match.start() + 1
            found.append(
                ("twice", f"{printable(match.group())!r} at character {at} looks like {meant!r}, encoded twice")
            )
            return found  # its own continuation bytes would be found once more, as control characters
    return found if control is None else [*found, _control(control)]


def _control(match: re.Match[str]) -> tuple[str, str]:
    return "control", f"a control character (U+{ord(match.group()):04X}) at character {match.start() + 1}"


def _once(text: str) -> str | None:
    """Return a text with one encoding taken off; None if that leaves no text."""
    octets = bytearray()
    for character in text:
        try:
            octets += character.encode("cp1252")
        except UnicodeEncodeError:  # the five bytes that Windows-1252 leaves open stand for themselves
            octets += character.encode("latin-1")
    try:
        meant = octets.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return meant if all(c.isprintable() for c in meant) else None


class Measure(Protocol):
    """A measure of rows as a model reads them.

    Attributes:
        unit: The unit, in words: "words", "tokens of tiny-llama".
        most: Longest row that is not cut; None if it is unknown.
        exact: Whether the model counts the same; else it is an estimate.
    """

    @property
    def unit(self) -> str:
        """The unit, in words."""
        ...

    @property
    def most(self) -> int | None:
        """Longest row that is not cut; None if it is unknown."""
        ...

    @property
    def exact(self) -> bool:
        """Whether a model counts the same."""
        ...

    def lengths(self, prompts: Sequence[Turns], answers: Sequence[str]) -> list[tuple[int, int]]:
        """Return (prompt, answer) lengths of rows."""
        ...

    def fits(self, prompt: int, answer: int) -> bool:
        """Return whether a row of these lengths fits without a cut."""
        ...

    def remarks(self, prompts: Sequence[Turns], answers: Sequence[str]) -> list[tuple[int, str, str]]:
        """Return (row, kind of finding, what) of rows that the model reads otherwise than they look."""
        ...

    def closing(self, labels: Sequence[str]) -> list[tuple[str, str]]:
        """Return (kind of finding, what) of the closed set and of all rows together, after the last row."""
        ...

    def cut(self, prompt: Turns, answer: str) -> tuple[str, str]:
        """Return the lost parts of the prompt and of the answer of a row that does not fit."""
        ...


class Words:
    """A measure in words; a Chinese, Japanese or Korean character counts as one.

    Hardly any tokenizer makes fewer tokens than this, so a row that is too long in words is too long in tokens.
    """

    unit = "words"
    exact = False

    def __init__(self, most: int | None = None) -> None:
        self.most = most

    def lengths(self, prompts: Sequence[Turns], answers: Sequence[str]) -> list[tuple[int, int]]:
        """Return (prompt, answer) lengths of rows, in words."""
        return [
            (sum(num_words(content) for _, content in turns), num_words(answer))
            for turns, answer in zip(prompts, answers, strict=True)
        ]

    def remarks(self, prompts: Sequence[Turns], answers: Sequence[str]) -> list[tuple[int, str, str]]:
        """Return nothing: no model is known."""
        return []

    def closing(self, labels: Sequence[str]) -> list[tuple[str, str]]:
        """Return nothing: no model is known."""
        return []

    def fits(self, prompt: int, answer: int) -> bool:
        """Return whether prompt and answer together are at most `most` long, if it is known."""
        return self.most is None or prompt + answer <= self.most

    def cut(self, prompt: Turns, answer: str) -> tuple[str, str]:
        """Return the lost middle of the prompt and the lost end of the answer, as models cut them, in words."""
        if self.most is None:
            return "", ""
        text = "\n".join(content for _, content in prompt)
        words, answered = list(_WORD.finditer(text)), list(_WORD.finditer(answer))
        kept = min(len(answered), self.most // 2)
        limit = max(self.most - kept, 8)
        head = limit // 2
        gone = words[head : len(words) - (limit - head)] if len(words) > limit else []
        return (
            text[gone[0].start() : gone[-1].end()] if gone else "",
            answer[answered[kept].start() :] if kept < len(answered) else "",
        )


def num_words(text: str) -> int:
    """Return the number of words, a Chinese, Japanese or Korean character counted as one.

    Example:
        >>> num_words("two words"), num_words("三个字 and")
        (2, 4)
    """
    return len(text.split()) if text.isascii() else len(_WORD.findall(text))
