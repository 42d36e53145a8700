"""ROUGE-L: the F1 of the longest common subsequence of words with the best target; in [0, 1], high is good.

Words are runs of letters and digits of any script, with the marks that belong to them, in lower case; scripts that
write no blanks between words (Chinese, Japanese, Thai, ...) count by character. Full-width forms and composed letters
are one with their plain forms; punctuation and symbols, Chinese ones too, are not words, so -5 and 5 are one (`exact`
and `numeric` tell them apart). On texts of ASCII these are the words of rouge-score. Two texts without words (`…`, an
emoji) score 1 where they are equal, else 0. At most 4,000 words of a text are compared.

Source: Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries"; computed by the rouge-score package.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clbench.core.protocols import Scorer, ScorerPlugin
from clbench.core.types import Answer, Example, Grade
from clbench.scoring._settings import clip, settings_of, ungradable
from clbench.scoring._text import normal, words

LONGEST = 4000  # words; the subsequence is quadratic, and a runaway answer must not stall a run


class Tokenizer:
    """A tokenizer in the form that the rouge-score package asks for."""

    def tokenize(self, text: str) -> list[str]:
        """Return the words of a text.

        Example:
            >>> Tokenizer().tokenize("Good 天气!")
            ['good', '天', '气']
        """
        return words(clip(text))[:LONGEST]


def build(settings: Mapping[str, Any]) -> Scorer:
    """Return the scorer: ROUGE-L F1 in [0, 1] with the best target."""
    settings_of("rouge", settings, {})
    from rouge_score.rouge_scorer import RougeScorer

    rouge: Any = RougeScorer(["rougeL"], use_stemmer=False, tokenizer=Tokenizer())

    def grade_answer(example: Example, answer: Answer) -> Grade:
        if (grade := ungradable(example, answer)) is not None:
            return grade
        best = max(_alike(rouge, target, answer.text) for target in example.targets)
        return Grade(example_id=example.id, score=best)

    return grade_answer


def _alike(rouge: Any, target: str, said: str) -> float:
    if not words(clip(target)):
        return float(normal(target) == normal(said) != "")
    return min(float(rouge.score(target, said)["rougeL"].fmeasure), 1.0)


PLUGIN = ScorerPlugin(build=build, version=2, about="ROUGE-L F1 with the best target; Chinese by character")
