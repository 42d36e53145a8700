"""BLEU-4: geometric mean of n-gram precisions, n = 1..4, times a penalty for brevity; computed by sacrebleu.

The score of one answer is sacrebleu's sentence BLEU (exponential smoothing, effective order), divided by 100.
The score of the exam is corpus BLEU: the counts of all graded answers are summed before the formula is applied,
so it is not the mean of the scores. Both are in [0, 1], high is good; 1 for an answer that equals a target.
Several targets are several references. `parts` are (matches of order 1..4, n-grams of order 1..4, answer
length, reference length) in tokens.

Signature: case:mixed|eff:yes|tok:<tokenize>|smooth:exp. `eff:yes` differs from sacrebleu's corpus default only
where no answer of the whole exam is four tokens long: the longest order that occurs is then the last one,
instead of a score of 0.

Settings: `tokenize`: "13a" (words), "zh" (Chinese characters, the rest as 13a), "char", "intl", "none" (split at
blanks). Default: what suits the card's `about.language`: "zh" for Chinese, "char" for other languages that write no
blanks between words (Japanese, Thai, Lao, Khmer, Burmese, Tibetan), else "13a". Texts are in Unicode's form C.

Source: Papineni et al. 2002; Post 2018 (sacrebleu); Chen and Cherry 2014 (smoothing method 3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clbench.core.language import BLANKLESS, CHINESE, told_by_letters
from clbench.core.protocols import Scorer, ScorerPlugin
from clbench.core.types import Answer, Example, Grade
from clbench.scoring import _weighing
from clbench.scoring._settings import settings_of, ungradable
from clbench.scoring._text import composed

DEFAULTS: dict[str, Any] = {"tokenize": "13a"}
CHOICES = {"tokenize": ("13a", "zh", "char", "intl", "none")}


def build(settings: Mapping[str, Any]) -> Scorer:
    """Return the scorer: sentence BLEU in [0, 1]."""
    how = settings_of("bleu", settings, DEFAULTS, CHOICES)
    from sacrebleu.metrics.bleu import BLEU

    bleu = BLEU(tokenize=how["tokenize"], effective_order=True)

    def grade_answer(example: Example, answer: Answer) -> Grade:
        if (grade := ungradable(example, answer)) is not None:
            return grade
        found = bleu.sentence_score(composed(answer.text), [composed(t) for t in example.targets])
        parts = (*found.counts, *found.totals, found.sys_len, found.ref_len)
        return Grade(example_id=example.id, score=_score(parts), parts=parts)

    return grade_answer


def _score(parts: Sequence[float]) -> float:
    from sacrebleu.metrics.bleu import BLEU

    counts = [int(p) for p in parts]
    found = BLEU.compute_bleu(
        correct=counts[:4],
        total=counts[4:8],
        sys_len=counts[8],
        ref_len=counts[9],
        smooth_method="exp",
        effective_order=True,
    )
    return min(round(found.score / 100, 12), 1.0)  # exp(log(100)) is a hair off 100


def combine(grades: Sequence[Grade]) -> float:
    """Return corpus BLEU from the summed counts."""
    return _score([sum(column) for column in zip(*(g.parts for g in grades), strict=True)])


def suits(languages: Sequence[str]) -> dict[str, Any]:
    """Return the tokenizer that suits a task in these languages; {} where the default does."""
    if set(languages) & (BLANKLESS - CHINESE):
        return {"tokenize": "char"}
    return {"tokenize": "zh"} if set(languages) & CHINESE else {}


def doubts(settings: Mapping[str, Any], targets: Sequence[str]) -> str:
    """Return why the tokenizer does not suit the targets; "" if it does."""
    tokenize = settings.get("tokenize", DEFAULTS["tokenize"])
    language = told_by_letters(targets)
    wanted = suits([language]).get("tokenize", tokenize)
    if tokenize in (wanted, "char"):
        return ""
    return (
        f"the targets look like language {language}, which writes no blanks between words, and tokenize {tokenize!r} "
        f"takes whole sentences for words; about.language: {language}, or tokenize: {wanted}, counts characters"
    )


PLUGIN = ScorerPlugin(
    build=build,
    version=2,
    about="corpus BLEU-4 (sacrebleu; Chinese by character); per answer sentence BLEU",
    combine=combine,
    weigh=_weighing.of_sums(_score),
    suits=suits,
    doubts=doubts,
)
