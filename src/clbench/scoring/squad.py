"""SQuAD F1 with the best target, and exact match in `parts`, by the published rule of the language.

`language: en` (default): texts are lower-cased, stripped of ASCII punctuation, of the words a, an, the, and of
extra blanks; F1 = 2 c / (|a| + |b|), c the words in common (as multisets). SQuAD v1.1. By this rule -5 and 5, 3.5
and 35 are equal; a task of such answers is better graded by `exact` or `numeric`.

`language: zh`: Chinese characters count one by one, other text by words (3.5 and can't are one, end punctuation
is its own); marks of CMRC's list are dropped. F1 = 2 m / (|a| + |b|), m the longest run of tokens in common (a
substring, not a subsequence: CMRC's choice). Exact match compares texts without those marks. CMRC 2018 v5,
whose words come from nltk.word_tokenize.

Any other code: the rule of MLQA, which is that of SQuAD without all Unicode punctuation and without the articles of
that language (es, de, vi, ar; no others are known to it). Characters of scripts without blanks between words (Japanese,
Thai, ...) count one by one, as MLQA's do for Chinese; so do the syllables of Korean, as in KorQuAD 1.0.

The language comes from the card's `about.language` unless the settings name it. Texts are in Unicode's form C. Both
figures are in [0, 1], high is good; the best target counts for each; the score of the exam is the mean. A text
that normalising would empty (the answer "A") is compared as it is, where the scripts would give 0.

Source: Rajpurkar et al. 2016; Cui et al. 2019, "A Span-Extraction Dataset for Chinese Machine Reading
Comprehension"; Lewis et al. 2020, "MLQA: Evaluating Cross-lingual Extractive Question Answering"; Lim et al. 2019,
"KorQuAD1.0: Korean QA Dataset for Machine Reading Comprehension".
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from clbench.core.keys import normal_text
from clbench.core.language import BLANKLESS, CHINESE, CODES, script, told_by_letters
from clbench.core.protocols import Scorer, ScorerPlugin
from clbench.core.types import Answer, Example, Grade
from clbench.scoring._settings import settings_of, ungradable
from clbench.scoring._text import composed

DEFAULTS: dict[str, Any] = {"language": "en"}
CHOICES = {"language": CODES}
ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)
# Of MLQA's script.
ARTICLES_OF = {
    "es": re.compile(r"\b(un|una|unos|unas|el|la|los|las)\b"),
    "de": re.compile(r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b"),
    "vi": re.compile(r"\b(của|là|cái|chiếc|những)\b"),
    "ar": re.compile(r"\sال^|ال"),
}
ONE_BY_ONE = BLANKLESS | {"ko"}
MARKS = str.maketrans("", "", "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
# A Chinese character; one of the marks that a word never holds; a comma or point at its end; a word.
TOKEN = re.compile(
    r"""[\u4e00-\u9fa5] | [][;@\#$%&?!(){}<>"–—] | ,(?!\d) | \.(?=\s*(?:$|[\u4e00-\u9fa5]))
    | (?:[^][\s\u4e00-\u9fa5;@\#$%&?!(){}<>"–—,.] | ,(?=\d) | \.(?!\s*(?:$|[\u4e00-\u9fa5])))+""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Rule:
    """How texts of a language are compared: how they are folded and split, and what two of them have in common."""

    fold: Callable[[str], str]
    split: Callable[[str], list[str]]
    common: Callable[[Sequence[str], Sequence[str]], int]


def rule_of(language: str) -> Rule:
    """Return the rule of a language, by its code."""
    if language == "en":
        return Rule(english, str.split, _in_both)
    if language in CHINESE:
        return Rule(chinese, TOKEN.findall, _longest_run)
    return Rule(partial(other, language=language), _split, _in_both)


def build(settings: Mapping[str, Any]) -> Scorer:
    """Return the scorer: F1 in [0, 1] with the best target; parts is (exact match,)."""
    rule = rule_of(settings_of("squad", settings, DEFAULTS, CHOICES)["language"])

    def grade_answer(example: Example, answer: Answer) -> Grade:
        if (grade := ungradable(example, answer)) is not None:
            return grade
        said, golds = _kept(answer.text, rule.fold), [_kept(target, rule.fold) for target in example.targets]
        exact = float(any(said == gold for gold in golds) and said != "")
        score = max(_f1(rule.split(said), rule.split(gold), rule.common) for gold in golds)
        return Grade(example_id=example.id, score=score, parts=(exact,))

    return grade_answer


def english(text: str) -> str:
    """Return a text normalised as the script of SQuAD v1.1 does.

    Example:
        >>> english(" The  quick, brown fox's.")
        'quick brown foxs'
    """
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def chinese(text: str) -> str:
    """Return a text normalised as the script of CMRC 2018 does.

    Example:
        >>> chinese("《红楼梦》，Vol. 2")
        '红楼梦vol. 2'
    """
    return text.lower().strip().translate(MARKS)


def other(text: str, language: str) -> str:
    """Return a text normalised as the script of MLQA does.

    Example:
        >>> other("Das «Haus».", "de"), other("la casa", "es"), other("la casa", "fr")
        ('haus', 'casa', 'la casa')
    """
    text = "".join(c for c in text.lower() if c not in string.punctuation and unicodedata.category(c)[0] != "P")
    articles = ARTICLES_OF.get(language)
    return " ".join((articles.sub(" ", text) if articles else text).split())


def _split(text: str) -> list[str]:
    apart = "".join(f" {c} " if script(c) in ONE_BY_ONE else c for c in text)
    return apart.split()


def _kept(text: str, fold: Callable[[str], str]) -> str:
    text = composed(text)
    return fold(text) if fold(text).strip() else normal_text(text)


def _in_both(said: Sequence[str], gold: Sequence[str]) -> int:
    return (Counter(said) & Counter(gold)).total()


def _longest_run(said: Sequence[str], gold: Sequence[str]) -> int:
    where: defaultdict[str, list[int]] = defaultdict(list)
    for i, token in enumerate(gold):
        where[token].append(i)
    best, ending = 0, dict[int, int]()  # place in gold -> length of the common run that ends there
    for token in said:
        ending = {i: ending.get(i - 1, 0) + 1 for i in where.get(token, ())}
        best = max(best, *ending.values()) if ending else best
    return best


def _f1(said: Sequence[str], gold: Sequence[str], common: Callable[[Sequence[str], Sequence[str]], int]) -> float:
    return 2 * common(said, gold) / max(len(said) + len(gold), 1)


def suits(languages: Sequence[str]) -> dict[str, Any]:
    """Return the rule that suits a task in these languages; that of CMRC also reads English."""
    language = "zh" if set(languages) & CHINESE else languages[0]
    return {"language": language} if language != DEFAULTS["language"] else {}


def doubts(settings: Mapping[str, Any], targets: Sequence[str]) -> str:
    """Return why the rule does not suit the targets; "" if it does."""
    language, seen = settings.get("language", DEFAULTS["language"]), told_by_letters(targets)
    if seen not in ONE_BY_ONE or language in ONE_BY_ONE:
        return ""
    return (
        f"the targets look like language {seen}, and the rule of language {language} splits words at blanks only; "
        f"about.language: {seen} counts characters"
    )


PLUGIN = ScorerPlugin(
    build=build,
    version=2,
    about="SQuAD F1 with the best target (Chinese: CMRC 2018; other languages: MLQA), exact match beside it",
    suits=suits,
    doubts=doubts,
)
