"""Texts made comparable: one form for what is written in several ways, and words of any script."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from clbench.core.keys import visible
from clbench.core.language import BLANKLESS, script
from clbench.scoring._settings import clip

ALIKE = str.maketrans(
    {**dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-"), **dict.fromkeys("‘’‛′", "'"), **dict.fromkeys("“”‟″", '"')}
    | dict.fromkeys("\u2044\u2215", "/")
)
APART = ("<super>", "<sub>", "<fraction>", "<circle>")  # forms that say more than the letter or digit in them
SUBSCRIPT = re.compile(r"(?<=[^\W\d_])[₀-₉]+(?![\d₀-₉])")
PLAIN_DIGITS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
FRACTION = re.compile("(\\d?)([¼-¾⅐-⅞↉])")

MARKS = ".,;:!?…⋯‥。，、；：！？．｡､،؛؟۔।॥—‼⁇⁈⁉։።၊။។៕།︒﹒﹐﹔﹕﹖﹗"  # that end a sentence, or a part of one
OPENING = "¿¡"
LEADING = "。，、；：！？…—｡､،؛"  # stripped from the beginning even without a blank behind them
FACTORIAL = re.compile(r"[\dA-Za-zΑ-ω)\]]$")  # 5!, n!, (n+1)!, if the text holds no words
WORD = re.compile(r"[^\W\d_]{2}")
DECIMAL = re.compile(r"\d[.,]\d{1,40}$")  # 0.333...: digits that go on
DOTS = re.compile(r"\.{3}|[…⋯]")
MOST_LAYERS = 8  # of quotes and brackets
BRACKETS = {"(": ")", "[": "]", "{": "}", "（": "）", "［": "］", "｛": "｝"}
PAIRS = (
    *(("**", "**"), ("*", "*"), ("`", "`"), ("$", "$"), ('"', '"'), ("'", "'"), ("‘", "’"), ("“", "”"), ("„", "“")),
    *(("„", "”"), ("‚", "‘"), ("«", "»"), ("»", "«"), ("‹", "›"), ("›", "‹"), ("「", "」"), ("『", "』"), ("《", "》")),
    *(("〈", "〉"), ("【", "】"), ("〔", "〕"), ("〖", "〗"), ("＂", "＂"), ("＇", "＇"), ("”", "”"), ("’", "’")),
    *BRACKETS.items(),
)


def composed(text: str) -> str:
    """Return the first 20,000 characters of a text in Unicode's form C: an accent is one with its letter."""
    return unicodedata.normalize("NFC", clip(text))


def normal(text: str) -> str:
    """Return a text with one form of width, ligatures, presentation forms, dashes, quotes and blanks; case stays.

    That is Unicode's form KC except where it would change the meaning: superscripts (10⁵), subscripts beside a digit
    (10₂) and circled digits (①) stay, and ½ becomes 1/2 with a blank after a whole number. Invisible characters go.

    Example:
        >>> normal("ｍ²  is ㎡"), normal("1½"), normal("H₂O"), normal("\u2212５\u00a0℃")
        ('m² is m²', '1 1/2', 'H2O', '-5 °C')
    """
    text = visible(text)
    if not text.isascii():
        text = FRACTION.sub(_fraction, text.translate(ALIKE))
        text = SUBSCRIPT.sub(lambda m: m.group().translate(PLAIN_DIGITS), text)
        text = unicodedata.normalize("NFC", "".join(map(_one_form, text)).translate(ALIKE))
    return " ".join(text.split())


def _fraction(found: re.Match[str]) -> str:
    plain = unicodedata.normalize("NFKC", found[2]).replace("\u2044", "/")
    return f"{found[1]} {plain}" if found[1] else plain


@lru_cache(maxsize=2**16)
def _one_form(character: str) -> str:
    parts = unicodedata.decomposition(character).split()
    if not parts or not parts[0].startswith("<") or parts[0] in APART:
        return character
    return "".join(_one_form(chr(int(part, 16))) for part in parts[1:])


def fold(text: str, *, case_sensitive: bool, strip_punctuation: bool) -> str:
    """Return a text folded for comparison, by the rules of `exact`; marks are kept where nothing else is left.

    Example:
        >>> fold(" The  Answer. ", case_sensitive=False, strip_punctuation=True)
        'the answer'
    """
    text = visible(unicodedata.normalize("NFC", text)).strip()
    text = normal((bare(text) or text) if strip_punctuation else text)
    return text if case_sensitive else text.lower().replace("ς", "σ")


def bare(text: str) -> str:
    """Return a text without the sentence marks at its ends and the quotes and brackets around it.

    Brackets around a list stay, for (0, 1), [0, 1] and {0, 1} are three things, and (5), [5] and {5} are one.

    Example:
        >>> bare("“C++.”"), bare("(a) or (b)"), bare(".5"), bare("5!"), bare("yes!")
        ('C++', '(a) or (b)', '.5', '5!', 'yes')
    """
    for _ in range(MOST_LAYERS):
        text, before = _unquoted(_without_marks(text), lists=False), text
        if text == before:
            break
    return text


def unwrapped(text: str) -> str:
    """Return the inside of the quotes or brackets around all of a text, lists too; else the text.

    Example:
        >>> unwrapped("(a, b)."), unwrapped("a (b)."), unwrapped("x: ,")
        ('a, b', 'a (b).', 'x: ,')
    """
    inside = text.strip().rstrip(".。")
    inner = _unquoted(inside, lists=True)
    return text if inner == inside else inner


def _without_marks(text: str) -> str:
    text = text.strip()
    ended = text.rstrip(f"{MARKS} \t\n\r\u3000")
    tail = text[len(ended) :]
    if tail.startswith("!") and FACTORIAL.search(ended) and not WORD.search(ended):
        ended += tail[: len(tail) - len(tail.lstrip("!"))]
    elif (dots := DOTS.match(tail)) and DECIMAL.search(ended):
        ended += dots.group()
    text = ended.lstrip(OPENING)
    # A mark that leads is stripped where it stands alone; `.5`, `.NET` and `!x` mean something else than 5, NET and x.
    beside = text.lstrip(MARKS)
    lead = text[: len(text) - len(beside)]
    signed = lead.endswith("—") and beside[:1].isdecimal()  # a dash beside a number may be its sign
    alone = beside[:1].isspace() or lead.startswith("...") or (lead and all(c in LEADING for c in lead))
    alone = alone and not signed
    return beside.lstrip() if alone else text


def _unquoted(text: str, *, lists: bool) -> str:
    for opening, closing in PAIRS:
        if len(text) > len(opening + closing) and text.startswith(opening) and text.endswith(closing):
            inner = text[len(opening) : -len(closing)]
            listed = not lists and opening in BRACKETS and re.search("[,;，；]", inner)
            if _encloses(inner, opening, closing) and not listed:
                return inner.strip()
    return text


def _encloses(inner: str, opening: str, closing: str) -> bool:
    """Return whether the first and the last character of a text belong together."""
    if opening == closing:
        return all(_between_letters(inner, m.start()) for m in re.finditer(re.escape(opening), inner))
    depth = 1
    for place, character in enumerate(inner):
        if character == opening:
            depth += 1
        elif character == closing and not (closing in "’'" and _between_letters(inner, place)):
            depth -= 1
        if not depth:
            return False
    return depth == 1


def _between_letters(text: str, place: int) -> bool:
    return 0 < place < len(text) - 1 and text[place - 1].isalnum() and text[place + 1].isalnum()


@lru_cache(maxsize=2**16)
def _kind(character: str) -> str:
    """Return "letter" of a word, "own" for a letter of a script without blanks, "mark" that joins, "" for a gap."""
    category = unicodedata.category(character)
    if category[0] == "M":
        return "mark"
    if category[0] not in "LN":
        return ""
    return "own" if script(character) in BLANKLESS else "letter"


def words(text: str) -> list[str]:
    """Return the words of a text in lower case; of scripts that write no blanks between words, the characters.

    A word is a run of letters, digits and the marks that belong to them; punctuation and symbols are not words.

    Example:
        >>> words("Good 天气！ स्थिति m²")
        ['good', '天', '气', 'स्थिति', 'm²']
    """
    found: list[str] = []
    before = ""
    for character in normal(text).lower():
        kind = _kind(character)
        if kind == "mark" and before:
            found[-1] += character
        elif kind == "own" or (kind == "letter" and before != "letter"):
            found.append(character)
            before = kind
        elif kind == "letter":
            found[-1] += character
        else:
            before = ""
    return found
