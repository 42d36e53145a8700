r"""Exact match with any accepted answer, after folding what is one answer written in several ways; 1 or 0.

Both texts are brought into one form, by these rules and no others:

    what                                            one answer                       two answers
    ----------------------------------------------  -------------------------------  -------------------------
    blanks: none at the ends, one inside            `a   b`, `a b`                   `ab`, `a b`
    invisible characters go (U+200B, U+00AD, ...)   `co-op` with U+00AD, `coop`
    composed letters, width, ligatures, fonts       `Ａ１`, `A1`; `ﬁn`, `fin`        `é`, `e`
    signs of several characters                     `…`, `...`; `℃`, `°C`; `㎡`, `m²`  `°C`, `C`
    superscripts and circled digits stay                                             `10⁵`, `105`; `m²`, `m2`; `①`, `1`
    fractions                                       `½`, `1/2`; `1½`, `1 1/2`        `½`, `12`
    subscripts after a letter are digits            `H₂O`, `H2O`                     `10₂`, `102`; `log₂8`, `log28`
    hyphen, minus and en dash are `-`               `−5`, `–5`, `-5`                 `-5`, `5`
    curved quotes are straight                      `it’s`, `it's`                   `x'`, `x`
    case, unless `case_sensitive`                   `Paris`, `PARIS`                 `Maße`, `Masse`
    sentence marks at the end: . , ; : ! ? … — and  `C++.`, `C++`; `no。`, `no`      `0.33...`, `0.33`
      those of other scripts; no factorial          `5！`, `5`; `GPT-4!`, `GPT-4`    `5!`, `5`; `n!`, `n`
    sentence marks at the beginning, before a blank `: yes`, `yes`; `，是`, `是`     `.5`, `5`; `.NET`, `NET`
      or if they are Chinese; ... and ¿ ¡           `¿Qué?`, `Qué`                   `!x`, `x`; `:x`, `x`
    a pair of quotes around all of it: "" '' ‘’ “”  `“yes”`, `yes`                   `x"`, `x`
      „“ «» ‹› 「」 『』 《》 〈〉, `` ` * ** $ ``         `**5**`, `5`; `$5$`, `5`         `A*`, `A`; `$5`, `5`
    a pair of brackets around all of it: () [] {}   `(5)`, `[5]`, `{5}`, `5`         `(0, 1)`, `[0, 1]`
      【】 〔〕; of the first three not around a list  `【是】`, `是`                     `f(x)`, `f x`; `A)`, `A`

All other signs are a part of the answer, at its ends as well: + - ~ ≈ < > = % ‰ ° $ € # @ & * / ^ _ | ' and so on
(`C`, `C++`, `C#`; `A+`, `A-`; `50%`, `50`; `<5`, `>5`; `x^2`, `x2`; `3:00`, `300`; `Q&A`, `QA`). Nothing is computed:
`1,000` and `1000`, `3.0` and `3`, `+5` and `5` are two answers each (`numeric` compares values). What would leave
nothing is not stripped: `{}` and `[]`, `?` and `!` differ.

If the question offers choices, an answer stands for the choice that it equals but for blanks at its ends, else for
the only one that it equals when folded, with its case first: choices that differ in case alone (mW, MW) stay two
answers, and `mW.` is the first of them.

Settings: `case_sensitive` (default false); `strip_punctuation` (default true): the rules on marks, quotes and brackets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clbench.core.protocols import Scorer, ScorerPlugin
from clbench.core.types import Answer, Example, Grade
from clbench.scoring._choice import accepted, folds
from clbench.scoring._settings import settings_of, ungradable

DEFAULTS: dict[str, Any] = {"case_sensitive": False, "strip_punctuation": True}


def build(settings: Mapping[str, Any]) -> Scorer:
    """Return the scorer: 1 if the answer equals a target, else 0."""
    ways = folds(**settings_of("exact", settings, DEFAULTS))

    def grade_answer(example: Example, answer: Answer) -> Grade:
        if (grade := ungradable(example, answer)) is not None:
            return grade
        right = accepted(example, answer.text, ways)
        return Grade(example_id=example.id, score=float(right))

    return grade_answer


PLUGIN = ScorerPlugin(build=build, version=2, about="exact match with any accepted answer")
