"""Numeric equality: the last (or first) number in the answer against that in a target; 1 or 0.

Read as numbers, after NFKC (full-width digits): `-3`, `1,234.5`, `.5`, `1e-3`, `3/4`, `1 3/4`, `½`, `$5`,
`25%`, `3万`. A percentage equals both its number and its hundredth (25% = 25 = 0.25), since data sets write
either. A sign counts only where no letter or digit stands before it (`7-5` holds 7 and 5), and digits that
follow a letter are no number (`CO2`). Chinese numerals (三十五, 二〇二四, 两千) are read only in a text without
figures, where they would otherwise be mistaken for articles. A target without a number (`Friday`, in
NumGLUE) is compared as text, as `exact` does.

Settings: `which`: "last" (default) or "first"; `tolerance`: largest absolute difference that is still equal,
default 0 (values are compared as exact fractions).

Source: the answer extraction of GSM8K (Cobbe et al. 2021) and NumGLUE (Mishra et al. 2022), widened as
described.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from clbench.core.errors import SpecError
from clbench.core.protocols import Scorer, ScorerPlugin, Specimen
from clbench.core.types import Answer, Example, Grade
from clbench.scoring._settings import clip, settings_of, unmarkable
from clbench.scoring.exact import fold

DEFAULTS: dict[str, Any] = {"which": "last", "tolerance": 0.0}
AS_TEXT = {"case_sensitive": False, "strip_punctuation": True}
CHOICES = {"which": ("first", "last")}
# No number is longer than 40 digits: what is longer is a runaway answer, and costs time without end.
NUMBER = re.compile(
    r"""(?<![A-Za-z_\d.])
    (?P<sign>[-+]?)[$€£¥]?
    (?: (?P<over>\d{1,40})\s*/\s*(?P<under>0*[1-9]\d{0,39})(?!\d|/|\.\d)
      | (?P<value>(?:\d{1,3}(?:,\d{3})+ | \d{1,40})(?:\.\d{1,40})? | \.\d{1,40})(?!\d)
        (?: (?P<power>[eE][-+]?\d{1,3})(?!\d)
          | [ ](?P<part>\d{1,3}/0*[1-9]\d{0,2})(?!\d|/|\.\d) )?
    )
    (?:(?P<percent>\s?%) | (?P<scale>[万亿]))?""",
    re.VERBOSE,
)
DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
UNITS = {"十": 10, "百": 100, "千": 1000}
MYRIADS = {"万": 10**4, "亿": 10**8}
NUMERALS = "".join([*DIGITS, *UNITS, *MYRIADS])
NUMERAL = re.compile(rf"(?<![{NUMERALS}])(负?)([{NUMERALS}]{{1,20}})(?![{NUMERALS}])")


def build(settings: Mapping[str, Any]) -> Scorer:
    """Make the scorer: 1 if the number equals a target's, else 0.

    Raises:
        SpecError: A setting is unknown or wrong; the tolerance is negative or not finite.
    """
    how = settings_of("numeric", settings, DEFAULTS, CHOICES)
    if not 0 <= how["tolerance"] < math.inf:
        raise SpecError(f"tolerance is {how['tolerance']}", where="scorer.settings", mend="give a number, 0 or more")
    place, tolerance = (-1 if how["which"] == "last" else 0), Fraction(how["tolerance"])

    def mark(example: Example, answer: Answer) -> Grade:
        if (grade := unmarkable(example, answer)) is not None:
            return grade
        said = number(answer.text, place)
        right = any(_equal(said, answer.text, target, place, tolerance) for target in example.targets)
        return Grade(example_id=example.id, score=float(right), note="" if said or right else "no number in the answer")

    return mark


def _equal(said: tuple[Fraction, ...], text: str, target: str, place: int, tolerance: Fraction) -> bool:
    if gold := number(target, place):
        return any(abs(a - b) <= tolerance for a in gold for b in said)
    return fold(text, **AS_TEXT) == fold(target, **AS_TEXT)


def number(text: str, place: int) -> tuple[Fraction, ...]:
    """Give the first (place 0) or last (place -1) number of a text in all its readings; none if it holds no number.

    Example:
        >>> number("1,200 at 25%", 0), number("1,200 at 25%", -1)
        ((Fraction(1200, 1),), (Fraction(25, 1), Fraction(1, 4)))
    """
    spaced = re.sub(r"(?<=\d)(?=[¼-¾⅐-⅞])", " ", clip(text))  # else NFKC joins the 3 of 3½ to the half
    text = unicodedata.normalize("NFKC", spaced).replace("\u2044", "/").replace("\u2212", "-")
    if figures := list(NUMBER.finditer(text)):
        return _readings(figures[place])
    if numerals := list(NUMERAL.finditer(text)):
        return (_chinese(numerals[place][2]) * (-1 if numerals[place][1] else 1),)
    return ()


def _readings(found: re.Match[str]) -> tuple[Fraction, ...]:
    if found["over"]:
        size = Fraction(int(found["over"]), int(found["under"]))
    else:
        size = Fraction(found["value"].replace(",", "") + (found["power"] or "")) + Fraction(found["part"] or 0)
    value = size * MYRIADS.get(found["scale"], 1) * (-1 if found["sign"] == "-" else 1)
    return (value, value / 100) if found["percent"] else (value,)


def _chinese(numeral: str) -> Fraction:
    if all(c in DIGITS for c in numeral):
        return Fraction(int("".join(str(DIGITS[c]) for c in numeral)))
    total = section = digit = 0
    for c in numeral:
        if c in DIGITS:
            digit = DIGITS[c]
        elif c in UNITS:
            section, digit = section + (digit or 1) * UNITS[c], 0
        else:
            whole = total if c == "亿" else 0  # 亿 counts all that stands before it, 万 only its own section
            total, section, digit = total - whole + (whole + section + digit) * MYRIADS[c], 0, 0
    return Fraction(total + section + digit)


PLUGIN = ScorerPlugin(
    build=build,
    version=1,
    about="equality of the last or first number in the answer, with a tolerance",
    specimens=(
        Specimen("What is 6 times 7?", ("42", "42.0"), "7"),
        Specimen("What is half of 7?", ("3.5",), "3/5"),
        Specimen("六乘七等于多少？", ("四十二",), "７"),
    ),
)
