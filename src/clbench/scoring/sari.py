"""SARI for simplification: were the right n-grams added, kept and deleted, compared with the source and the references?

SARI = (1/3) (F_add + F_keep + P_del), each the mean over n = 1..4; with I the source, O the answer, r
references, and R(g) the mean count of n-gram g over the references (Xu et al. 2016, section 4):

- keep: right min(I, O, R), said min(I, O), gold min(I, R); F1 of the sums over g.
- del: right min(max(I - O, 0), max(I - R, 0)), said max(I - O, 0); precision of the sums over g.
- add: n-grams of O, or of any reference, that are not in I, each counted once; F1.

0/0 is 1: nothing was to be done and nothing was done. The score is in [0, 1], high is good; an answer that
equals the only reference scores 1, an empty answer 0 (by rule: deleting all would earn credit). The score of
the exam is the mean.

Packages differ. This is the sentence score of EASSE (precision for deletions, F1 per order, then the mean over
orders) but for 0/0; `evaluate` differs in how it counts repeated n-grams that were deleted in part, by which a
perfect answer falls below 1.

The source is the last user message of the prompt. Settings: `strip_before`, `strip_after`: the instruction's
own words; what stands up to and including the first occurrence of the first, and from the last occurrence of the
second on, is not part of the source (a prompt without them cannot be graded). `tokenize`: as for `bleu`, by
the card's language; texts are lower-cased first, in Unicode's form C.

Source: Xu, Napoles, Pavlick, Chen, Callison-Burch 2016, "Optimizing Statistical Machine Translation for Text
Simplification".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clbench.core.protocols import Scorer, ScorerPlugin, Specimen
from clbench.core.types import Answer, Example, Grade
from clbench.scoring._settings import settings_of, ungradable
from clbench.scoring._text import composed
from clbench.scoring.bleu import CHOICES, doubts, suits

DEFAULTS: dict[str, Any] = {"strip_before": "", "strip_after": "", "tokenize": "13a"}
ORDERS = range(1, 5)
Grams = Counter[tuple[str, ...]]


def build(settings: Mapping[str, Any]) -> Scorer:
    """Return the scorer: SARI in [0, 1]."""
    how = settings_of("sari", settings, DEFAULTS, CHOICES)
    from sacrebleu.metrics.bleu import BLEU

    tokenizer: Callable[[str], str] = BLEU(tokenize=how["tokenize"]).tokenizer

    def tokens(text: str) -> list[str]:
        return tokenizer(composed(text).lower()).split()

    def grade_answer(example: Example, answer: Answer) -> Grade:
        if (grade := ungradable(example, answer)) is not None:
            return grade
        source = source_of(example, how["strip_before"], how["strip_after"])
        if source is None:
            return Grade(
                example_id=example.id, score=None, note="the prompt holds no source as the settings describe it"
            )
        said = tokens(answer.text)
        score = sari(tokens(source), said, [tokens(t) for t in example.targets]) if said else 0.0
        return Grade(example_id=example.id, score=score)

    return grade_answer


def source_of(example: Example, before: str, after: str) -> str | None:
    """Return what was to be simplified; None if there is no user message, or it lacks a marker."""
    asked = next((m.content for m in reversed(example.prompt) if m.role == "user"), None)
    if asked is None or before not in asked:
        return None
    source = asked.partition(before)[2] if before else asked
    if after not in source:
        return None
    return source.rpartition(after)[0] if after else source


def sari(source: Sequence[str], said: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return SARI of tokens, in [0, 1]."""
    return sum(_order(source, said, references, n) for n in ORDERS) / len(ORDERS)


def _order(source: Sequence[str], said: Sequence[str], references: Sequence[Sequence[str]], n: int) -> float:
    # Counts of source and answer are multiplied by the number of references, so that they stay whole numbers.
    gold: Grams = Counter()
    for reference in references:
        gold += _grams(reference, n)
    was, now = (Counter({g: c * len(references) for g, c in _grams(text, n).items()}) for text in (source, said))
    keep = _f1((was & now & gold).total(), (was & now).total(), (was & gold).total())
    delete = _ratio(((was - now) & (was - gold)).total(), (was - now).total())
    new, wanted = set(now) - set(was), set(gold) - set(was)
    return (keep + delete + _f1(len(new & wanted), len(new), len(wanted))) / 3


def _grams(tokens: Sequence[str], n: int) -> Grams:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def _ratio(part: float, total: float) -> float:
    return part / total if total else 1.0


def _f1(right: float, said: float, gold: float) -> float:
    precision, recall = _ratio(right, said), _ratio(right, gold)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


PLUGIN = ScorerPlugin(
    build=build,
    version=2,
    about="SARI of a simplification against the source (last user message) and references",
    suits=suits,
    doubts=doubts,
    specimens=(
        Specimen("the red fox slept", ("the red fox slept well today, they say",), "no cats were ever here"),
        Specimen("a b c d e", ("a b c d e",), "v w x y z"),
    ),
)
