"""chrF: F-score of character n-grams up to six, recall weighted twice as precision; equal to sacrebleu's chrF2.

P and R are the means over n of (common n-grams / n-grams said) and (common n-grams / n-grams of the reference),
over those n that both texts are long enough for; chrF = 5 P R / (4 P + R). Blanks are left out, case counts.
The score of one answer is that of the best target; the score of the exam is chrF of the counts summed over all
graded answers, so it is not the mean of the scores. Both are in [0, 1], high is good. `parts` are (said,
reference, common) for n = 1..6. No word segmentation is needed, so it serves Chinese as it is. Texts are in
Unicode's form C.

Source: Popovic 2015; signature of sacrebleu: case:mixed|eff:yes|nc:6|nw:0|space:no.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from clbench.core.protocols import Scorer, ScorerPlugin
from clbench.core.types import Answer, Example, Grade
from clbench.scoring import _weighing
from clbench.scoring._settings import settings_of, ungradable
from clbench.scoring._text import composed

ORDERS = range(1, 7)
RECALL_WEIGHT = 2**2  # beta squared


def build(settings: Mapping[str, Any]) -> Scorer:
    """Return the scorer: chrF in [0, 1] with the best target."""
    settings_of("chrf", settings, {})

    def grade_answer(example: Example, answer: Answer) -> Grade:
        if (grade := ungradable(example, answer)) is not None:
            return grade
        said = _grams(answer.text)
        parts = max((_counts(said, _grams(target)) for target in example.targets), key=_score)
        return Grade(example_id=example.id, score=_score(parts), parts=parts)

    return grade_answer


def _grams(text: str) -> list[Counter[str]]:
    text = "".join(composed(text).split())
    return [Counter(text[i : i + n] for i in range(len(text) - n + 1)) for n in ORDERS]


def _counts(said: list[Counter[str]], gold: list[Counter[str]]) -> tuple[float, ...]:
    # As in sacrebleu, n-grams that are longer than the reference are not counted against an answer.
    triples = ((s.total() if g else 0, g.total(), (s & g).total()) for s, g in zip(said, gold, strict=True))
    return tuple(float(number) for triple in triples for number in triple)


def _score(parts: Sequence[float]) -> float:
    orders = [(s, g, c) for s, g, c in zip(parts[::3], parts[1::3], parts[2::3], strict=True) if s and g]
    precision = sum(c / s for s, _, c in orders) / max(len(orders), 1)
    recall = sum(c / g for _, g, c in orders) / max(len(orders), 1)
    if not precision + recall:
        return 0.0
    return min((1 + RECALL_WEIGHT) * precision * recall / (RECALL_WEIGHT * precision + recall), 1.0)


def combine(grades: Sequence[Grade]) -> float:
    """Return corpus chrF from the summed counts."""
    return _score([sum(column) for column in zip(*(g.parts for g in grades), strict=True)])


PLUGIN = ScorerPlugin(
    build=build,
    version=2,
    about="corpus chrF2 of character n-grams, for any script; per answer chrF2",
    combine=combine,
    weigh=_weighing.chrf(RECALL_WEIGHT),
)
