"""SQuAD F1 with the best target, and exact match in `parts`; English, or Chinese as in CMRC 2018.

`language: en` (default): texts are lower-cased, stripped of ASCII punctuation, of the words a, an, the, and of
extra blanks; F1 = 2 c / (|a| + |b|), c the words in common (as multisets). SQuAD v1.1.

`language: zh`: Chinese characters count one by one, other text by words (3.5 and can't are one, end punctuation
is its own); marks of CMRC's list are dropped. F1 = 2 m / (|a| + |b|), m the longest run of tokens in common (a
substring, not a subsequence: CMRC's choice). Exact match compares texts without those marks. CMRC 2018 v5,
whose words come from nltk.word_tokenize.

Both are in [0, 1], high is good; the best target counts for each; the score of the exam is the mean. A text of
which normalising leaves nothing (the answer "A") is compared as it is, where the scripts would give 0.

Source: Rajpurkar et al. 2016; Cui et al. 2019, "A Span-Extraction Dataset for Chinese Machine Reading
Comprehension".
"""

from __future__ import annotations

import re
import string
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clbench.core.keys import normal_text
from clbench.core.protocols import Scorer, ScorerPlugin
from clbench.core.types import Answer, Example, Grade
from clbench.scoring._settings import clip, settings_of, unmarkable

DEFAULTS: dict[str, Any] = {"language": "en"}
CHOICES = {"language": ("en", "zh")}
ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)
MARKS = str.maketrans("", "", "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
# A Chinese character; one of the marks that a word never holds; a comma or point at its end; a word.
TOKEN = re.compile(
    r"""[\u4e00-\u9fa5] | [][;@\#$%&?!(){}<>"–—] | ,(?!\d) | \.(?=\s*(?:$|[\u4e00-\u9fa5]))
    | (?:[^][\s\u4e00-\u9fa5;@\#$%&?!(){}<>"–—,.] | ,(?=\d) | \.(?!\s*(?:$|[\u4e00-\u9fa5])))+""",
    re.VERBOSE,
)


def build(settings: Mapping[str, Any]) -> Scorer:
    """Make the scorer: F1 in [0, 1] with the best target; parts is (exact match,)."""
    language = settings_of("squad", settings, DEFAULTS, CHOICES)["language"]
    fold, common = (english, _in_both) if language == "en" else (chinese, _longest_run)

    def mark(example: Example, answer: Answer) -> Grade:
        if (grade := unmarkable(example, answer)) is not None:
            return grade
        said, golds = _kept(answer.text, fold), [_kept(target, fold) for target in example.targets]
        exact = float(any(said == gold for gold in golds) and said != "")
        split = str.split if language == "en" else TOKEN.findall
        score = max(_f1(split(said), split(gold), common) for gold in golds)
        return Grade(example_id=example.id, score=score, parts=(exact,))

    return mark


def english(text: str) -> str:
    """Normalise as the script of SQuAD v1.1 does.

    Example:
        >>> english(" The  quick, brown fox's.")
        'quick brown foxs'
    """
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def chinese(text: str) -> str:
    """Normalise as the script of CMRC 2018 does.

    Example:
        >>> chinese("《红楼梦》，Vol. 2")
        '红楼梦vol. 2'
    """
    return text.lower().strip().translate(MARKS)


def _kept(text: str, fold: Callable[[str], str]) -> str:
    text = clip(text)
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


PLUGIN = ScorerPlugin(
    build=build, version=1, about="SQuAD F1 with the best target (language zh: CMRC 2018), exact match beside it"
)
