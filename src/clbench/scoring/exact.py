"""Exact match with any accepted answer, after folding what is one answer written in several ways; 1 or 0.

Both texts are brought into one form, by these rules and no others:

| rule | one answer | two answers |
|---|---|---|
| blanks: at the ends none, inside one; invisible characters (U+200B, U+00AD, U+FEFF) go | `a  b` = `a b` | `ab`, `a b` |
| form: composed letters, full-width and half-width, ligatures, `…` is `...`, `℃` is `°C`, `㎡` is `m²`, `½` is `1/2` |
  `Ａ１` = `A1` | `m²`, `m2`; `10⁵`, `105`; `①`, `1` |
| subscripts after a letter are digits | `H₂O` = `H2O` | `10₂`, `102` |
| dashes (hyphen, minus U+2212, en dash) are `-`; curved quotes are straight | `−5` = `-5` | `-5`, `5` |
| case, unless `case_sensitive` | `Paris` = `PARIS` | |
| sentence marks at the end: . , ; : ! ? … — and those of Chinese, Arabic, Hindi | `C++.` = `C++`; `no。` = `no` |
  `5!`, `5`; `n!`, `n`; `0.33...`, `0.33` |
| sentence marks at the beginning, where a blank follows or they are Chinese; ¿ ¡ | `: yes` = `yes` | `.5`, `5`; `!x`, `x` |
| a pair of quotes around all of it: "" '' ‘’ “” „“ «» ‹› 「」 『』 《》 〈〉, of emphasis (`` ` `` * **), of $ |
  `“yes”` = `yes`; `**5**` = `5`; `$5$` = `5` | `x'`, `x`; `A*`, `A`; `$5`, `5` |
| a pair of brackets around all of it: () [] {} 【】 〔〕; round, square and curly ones not around a list |
  `(5)` = `[5]` = `5` | `(0, 1)`, `[0, 1]`; `f(x)`, `f x`; `{}`, `[]` |

All other signs count: `+ - ~ ≈ < > = % ‰ ° $ € # @ & * / ^ _ | '` beside a letter or digit are a part of the answer
(`C`, `C++`, `C#`; `A+`, `A-`; `50%`, `50`; `<5`, `>5`; `x^2`, `x2`; `3:00`, `300`; `Q&A`, `QA`). Nothing is computed:
`1,000` and `1000`, `3.0` and `3`, `+5` and `5` are different texts (`numeric` compares values). What would leave nothing
is not stripped.

Where the question offers choices, an answer stands for the choice that it equals but for blanks at its ends, else for
the only one that it equals when folded: choices that differ in case alone (mW, MW) stay two answers.

Settings: `case_sensitive` (default false); `strip_punctuation` (default true): the rules on marks, quotes and brackets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clbench.core.protocols import Scorer, ScorerPlugin
from clbench.core.types import Answer, Example, Grade
from clbench.scoring._choice import accepted
from clbench.scoring._settings import settings_of, unmarkable
from clbench.scoring._text import fold

DEFAULTS: dict[str, Any] = {"case_sensitive": False, "strip_punctuation": True}


def build(settings: Mapping[str, Any]) -> Scorer:
    """Make the scorer: 1 if the answer equals a target, else 0."""
    how = settings_of("exact", settings, DEFAULTS)

    def mark(example: Example, answer: Answer) -> Grade:
        if (grade := unmarkable(example, answer)) is not None:
            return grade
        right = accepted(example, answer.text, lambda text: fold(text, **how))
        return Grade(example_id=example.id, score=float(right))

    return mark


PLUGIN = ScorerPlugin(build=build, version=2, about="exact match with any accepted answer")
