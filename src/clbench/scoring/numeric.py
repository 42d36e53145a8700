r"""Numeric equality: the last (or first) number in the answer against that in a target; 1 or 0.

Numbers are read as the language writes them (setting `language`, filled in from the card's `about.language`):

- Decimal and grouping marks. Where the decimal mark is a point (English, Chinese, Japanese, ...): `1,234.5`. Where it
  is a comma (German, French, Spanish, Russian, ...): `1.234,5`, `16,00 €`, `1 234`. In every language: `1'234`,
  `1_234`, groups with thin or hard blanks, and what two different marks or a repeated one decide (`1.234,5`,
  `1,234,567`); a point that can group nothing (`3.5`) is decimal. `3,5` in English is not a number, nor is it two.
- Signs: `-3`, `−3`, `–3`, `minus 3` (`moins 3`, `menos 3`, `минус 3`, `マイナス3`), `+3`, `-$5`; a sign counts only
  where no letter or digit stands before it (`7-5` and `3–5` hold two numbers each), and no blank behind it unless `=`,
  `(` or `:` is before it. Digits that follow a letter are not a number (`CO2`).
- Powers and fractions: `1e-3`, `10^5`, `10⁵`, `1.5 × 10^5`, `3/4`, `1 3/4`, `½`, `\frac{3}{4}`, `\frac34`; the 2 of
  `m²` is not a number.
- Sizes: `1 million` (English, German, French, Spanish, Italian, Portuguese, Dutch, Swedish, Danish, Norwegian, Polish,
  Czech, Romanian, Hungarian, Finnish, Greek, Turkish, Indonesian, Vietnamese, Russian, Ukrainian, Arabic, Persian,
  Hebrew, Hindi, Marathi, Bengali, Urdu and Thai words, of their own long or short scale), `5k` and `$5m` in English;
  `3.5万`, `1亿2000万`, `5百万` and the Korean 만, 억 in every language; 兆 and 조 in Japanese and Korean.
- Digits of every script; `٣٫٥` and `١٬٢٣٤` with Arabic marks. Money: `$5`, `Rp1.500`, `-₺5`.
- Percentages: `25%`, `%25`, `25 प्रतिशत`, `百分之25` equal both 25 and 0.25, since data sets write either; `5‰` alike.
- Chinese numerals, in a text without figures, where they would otherwise be mistaken for articles: 三万五千, 二〇二四,
  百分之五, 三点五, 五分之三, 零下五; 一定 or 十分 (words) and 三四 (three or four) are not numbers. In Japanese
  千五百 is 1,500, and 三百二 is 302 (in Chinese it is short for 320).

What looks like a number and cannot be read in one way only is not guessed: `3,5` and `1 234` in English (`1 000` is
read), `1.234` in French, dates, clock times and ratios (`3:00`), versions (`1.2.3`), roots and multiples of π, 5兆
in Chinese, more than 40 digits. If the last (or first) number is of this kind, the answer
scores 0 with a note. A target without a number that can be read there (`Friday` in NumGLUE; `3:00`) is compared as
text, as `exact` does.

Settings: `which`: "last" (default) or "first"; `tolerance`: largest absolute difference that is still equal,
default 0 (values are compared as exact fractions); `language`: a code, default "en"; `targets`: that of the targets
where it is another one (the German questions of MGSM have answers such as `5,600`).

Source: the answer extraction of GSM8K (Cobbe et al. 2021) and NumGLUE (Mishra et al. 2022), widened as described;
decimal and grouping marks: Unicode CLDR.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from clbench.core.errors import SpecError
from clbench.core.language import CODES
from clbench.core.protocols import Scorer, ScorerPlugin, Specimen
from clbench.core.types import Answer, Example, Grade
from clbench.scoring._number import COMMA, Found, numbers
from clbench.scoring._settings import settings_of, ungradable
from clbench.scoring._text import fold

DEFAULTS: dict[str, Any] = {"which": "last", "tolerance": 0.0, "language": "en", "targets": ""}
AS_TEXT = {"case_sensitive": False, "strip_punctuation": True}
THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")
CHOICES = {"which": ("first", "last"), "language": CODES, "targets": CODES | {""}}


def build(settings: Mapping[str, Any]) -> Scorer:
    """Return the scorer: 1 if the number equals a target's, else 0.

    Raises:
        SpecError: A setting is unknown or wrong; the tolerance is negative or not finite.
    """
    how = settings_of("numeric", settings, DEFAULTS, CHOICES)
    if not 0 <= how["tolerance"] < math.inf:
        raise SpecError(f"tolerance is {how['tolerance']}", where="scorer.settings", mend="give a number, 0 or more")
    place, language, tolerance = (-1 if how["which"] == "last" else 0), how["language"], Fraction(how["tolerance"])
    written = how["targets"] or language

    def grade_answer(example: Example, answer: Answer) -> Grade:
        if (grade := ungradable(example, answer)) is not None:
            return grade
        found = _at(place, answer.text, language)
        said = found.readings if found else ()
        golds = [(target, number(target, place, written)) for target in example.targets]
        right = any(
            any(abs(a - b) <= tolerance for a in gold for b in said)
            if gold
            else fold(answer.text, **AS_TEXT) == fold(target, **AS_TEXT)
            for target, gold in golds
        )
        return Grade(example_id=example.id, score=float(right), note="" if said or right else _missing(found, language))

    return grade_answer


def _missing(found: Found | None, language: str) -> str:
    if found is None:
        return "no number in the answer"
    return f"{found.text[:40]!r} cannot be read as one number (language {language})"


def _at(place: int, text: str, language: str) -> Found | None:
    found = numbers(text, language)
    return found[place] if found else None


def number(text: str, place: int, language: str = "en") -> tuple[Fraction, ...]:
    """Return the first (place 0) or last (place -1) number of a text in all its readings; none if it cannot be read.

    Example:
        >>> number("1,200 at 25%", 0), number("1,200 at 25%", -1)
        ((Fraction(1200, 1),), (Fraction(25, 1), Fraction(1, 4)))
    """
    found = _at(place, text, language)
    return found.readings if found else ()


def suits(languages: Sequence[str]) -> dict[str, Any]:
    """Return the settings that suit a task in these languages: the first decides how its numbers are written."""
    return {"language": languages[0]} if languages[0] != DEFAULTS["language"] else {}


def doubts(settings: Mapping[str, Any], targets: Sequence[str]) -> str:
    """Return what the settings cannot read in the targets, or may read wrongly (5,600 in German); "" if nothing."""
    how = settings_of("numeric", settings, DEFAULTS, CHOICES)
    place, language = (-1 if how["which"] == "last" else 0), how["targets"] or how["language"]
    found = [f for t in targets if (f := _at(place, t, language)) is not None]
    whose = f"of {len(targets)} targets hold what"
    if odd := [f.text for f in found if not f.readings]:
        sign = "comma" if language in COMMA else "point"
        return (
            f"{len(odd)} {whose} cannot be read as one number with the decimal {sign} of language {language}, such as "
            f"{odd[0][:40]!r}; they are compared as texts; about.language, or settings: {{targets: CODE}}, says another"
        )
    commas = [f.text for f in found if "," in f.text] if language in COMMA and not how["targets"] else []
    if commas and all(THOUSANDS.fullmatch(text) for text in commas):
        return (
            f"{len(commas)} {whose} language {language} reads as a decimal and English as thousands, such as "
            f"{commas[0]!r}; settings: {{targets: en}} or {{targets: {language}}} says which"
        )
    return ""


PLUGIN = ScorerPlugin(
    build=build,
    version=2,
    about="equality of the last or first number in the answer, as its language writes it, with a tolerance",
    suits=suits,
    doubts=doubts,
    specimens=(
        Specimen("What is 6 times 7?", ("42", "42.0"), "7"),
        Specimen("What is half of 7?", ("3.5",), "3/5"),
        Specimen("六乘七等于多少？", ("四十二",), "７"),
    ),
)
