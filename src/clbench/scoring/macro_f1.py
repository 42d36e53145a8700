"""Macro-F1 of labels: the mean of the F1 of every label that occurs as a right answer in the exam.

One answer is graded as `label` grades it, labels by identity: 1 for an accepted label, else 0. The score of the
exam is (1/L) sum over labels c of 2 tp(c) / (gold(c) + said(c)), in [0, 1], high is good.

Convention: L counts the labels that are the right answer of some graded item. A label that is only ever
said wrongly does not count as a class (it costs recall where it was said); neither does an answer that is not a label
at all. That is `f1_score(average="macro", labels=sorted(set(gold)))` of scikit-learn. Of several accepted labels the
one that was said counts as the right one, else the first. `parts` of a grade are two numbers that stand for the right
and the said label.

Source: Lewis, Schapire, Callan, Papka 1996 (macro-averaging); Opitz and Burst 2019, arXiv:1911.03347 (why the
mean of F1 values, and not the F1 of mean precision and recall).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from clbench.core.protocols import Scorer, ScorerPlugin
from clbench.core.types import Answer, Example, Grade
from clbench.scoring import _weighing, label
from clbench.scoring._choice import named
from clbench.scoring._settings import settings_of


def build(settings: Mapping[str, Any]) -> Scorer:
    """Return the scorer: 1 for an accepted label, 0 for another."""
    settings_of("macro_f1", settings, {})
    accuracy = label.build({})

    def grade_answer(example: Example, answer: Answer) -> Grade:
        grade = accuracy(example, answer)
        if grade.score is None:
            return grade
        # What equals several choices is an answer of its own: no label bears the name of a blank.
        said = named(example, answer.text, label.WAYS) or " "
        right = said if grade.score else named(example, example.targets[0], label.WAYS) or example.targets[0]
        return grade.model_copy(update={"parts": (_number(right), _number(said))})

    return grade_answer


def _number(name: str) -> float:
    """Return a label's number, made of 48 bits of its hash: exact in a float, and no list of labels is needed."""
    return float(int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:6]))


def combine(grades: Sequence[Grade]) -> float:
    """Return the macro-F1 over the labels that are right somewhere."""
    gold = Counter(g.parts[0] for g in grades)
    said = Counter(g.parts[1] for g in grades)
    hits = Counter(g.parts[0] for g in grades if g.parts[0] == g.parts[1])
    return sum(2 * hits[c] / (gold[c] + said[c]) for c in sorted(gold)) / len(gold)


PLUGIN = ScorerPlugin(
    build=build,
    version=2,
    about="macro-averaged F1 over the labels of the exam; per answer accuracy",
    combine=combine,
    weigh=_weighing.macro_f1,
)
