"""ROUGE-L: the F1 of the longest common subsequence with the best target; Chinese counts by character.

Source: Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries"; computed by the rouge-score package.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from clbench.core.protocols import Scorer, ScorerPlugin
from clbench.core.types import Answer, Example, Grade
from clbench.scoring._settings import settings_of, unmarkable

# A word of letters and digits, or one character of a script that writes no blanks between words.
CHARACTERS = r"\u2e80-\u303f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
TOKEN = re.compile(rf"[{CHARACTERS}]|[^\W{CHARACTERS}]+")
LONGEST = 4000  # tokens; the subsequence is quadratic, and a runaway answer must not stall a run


class Tokenizer:
    """Splits into lower-case words, and into characters where a script has no blanks."""

    def tokenize(self, text: str) -> list[str]:
        """Give the tokens of a text.

        Example:
            >>> Tokenizer().tokenize("Good 天气!")
            ['good', '天', '气']
        """
        return TOKEN.findall(text.lower())[:LONGEST]


def build(settings: Mapping[str, Any]) -> Scorer:
    """Make the scorer: ROUGE-L F1 in [0, 1] with the best target."""
    settings_of("rouge", settings, {})
    from rouge_score.rouge_scorer import RougeScorer

    rouge: Any = RougeScorer(["rougeL"], use_stemmer=False, tokenizer=Tokenizer())

    def mark(example: Example, answer: Answer) -> Grade:
        if (grade := unmarkable(example, answer)) is not None:
            return grade
        best = max(float(rouge.score(target, answer.text)["rougeL"].fmeasure) for target in example.targets)
        return Grade(example_id=example.id, score=min(best, 1.0))

    return mark


PLUGIN = ScorerPlugin(build=build, version=1, about="ROUGE-L F1 with the best target; Chinese by character")
