"""LongBench's own measures, the best over the accepted answers, in [0, 1], high is good.

    qa_f1            F1 over words, articles and punctuation left out; qa_f1_zh: over words as jieba cuts them
    rouge            ROUGE-L over sentences, as the `rouge` package counts it (no word twice); rouge_zh: after jieba
    classification   1 / number of class names in the answer, if the right one is among them; classes: `choices`
    retrieval        share of the numbers in the answer that are the paragraph's ("Paragraph 7"); retrieval_zh ("段落7")
    count            share of the numbers in the answer that are right
    code_sim         difflib's ratio of the first line of code, in whole percents

`first_line` grades the first line of the answer alone, as LongBench does for its few-shot sets (trec, triviaqa,
samsum, lsht). Source: Bai et al. 2024, "LongBench: A Bilingual, Multitask Benchmark for Long Context Understanding",
ACL, arXiv:2308.14508, metrics.py (MIT); ROUGE-L: Lin 2004.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from clbench.core.errors import SpecError
from clbench.core.protocols import Scorer, ScorerPlugin
from clbench.core.types import Answer, Example, Grade
from clbench.scoring._settings import clip, settings_of, ungradable

DEFAULTS: dict[str, Any] = {"metric": "qa_f1", "first_line": False}
ZH_MARKS = (
    "！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣"
    "､、〃》「」『』【】〔〕〖〗〘〙〚〛〜〝〞〟〰〾〿–—‘’‛“”„‟…‧﹏."
)
Measure = Callable[[str, str, Sequence[str]], float]


def build(settings: Mapping[str, Any]) -> Scorer:
    """Return the scorer for one of the measures."""
    how = settings_of("longbench", settings, DEFAULTS, {"metric": tuple(MEASURES)})
    measure = MEASURES[how["metric"]]

    def grade_answer(example: Example, answer: Answer) -> Grade:
        if (grade := ungradable(example, answer)) is not None:
            return grade
        text = clip(answer.text)
        text = text.lstrip("\n").split("\n")[0] if how["first_line"] else text
        # Code is not stripped: its indentation counts.
        said = text if how["metric"] == "code_sim" else text.strip()
        score = max(measure(said, target, example.choices) for target in example.targets)
        return Grade(example_id=example.id, score=min(max(score, 0.0), 1.0))

    return grade_answer


# --- words ----------------------------------------------------------------------------------------------------


def chinese_words(text: str) -> list[str]:
    """Return the words of a Chinese text, as jieba cuts it.

    Raises:
        SpecError: jieba is not installed.
    """
    try:
        import logging

        import jieba
    except ImportError:
        raise SpecError(
            "LongBench's Chinese measures need jieba", where="scorer", mend='pip install "clbench[abilities]"'
        ) from None
    jieba.setLogLevel(logging.ERROR)
    found: list[str] = jieba.lcut(text)
    return found


def _english(text: str) -> list[str]:
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", text).split()


def _chinese(text: str) -> list[str]:
    drop = set(string.punctuation + ZH_MARKS)
    words = ("".join("".join(c for c in word.lower() if c not in drop).split()) for word in chinese_words(text))
    return [word for word in words if word]


def _f1(said: Sequence[str], wanted: Sequence[str]) -> float:
    same = sum((Counter(said) & Counter(wanted)).values())
    if not same:
        return 0.0
    precision, recall = same / len(said), same / len(wanted)
    return 2 * precision * recall / (precision + recall)


# --- ROUGE-L ----------------------------------------------------------------------------------------------------


def rouge_l(said: str, wanted: str) -> float:
    """Return ROUGE-L as the `rouge` package does: sentences end at full stops, and different words count once.

    Example:
        >>> round(rouge_l("the cat sat. it ran", "the cat ran. it sat"), 3)
        1.0
    """
    mine, theirs = (_sentences(text) for text in (said, wanted))
    num_mine, num_theirs = (len({w for s in found for w in s}) for found in (mine, theirs))
    if not num_mine or not num_theirs:
        return 0.0
    common = {word for r in theirs for s in mine for word in _subsequence(r, s)}
    recall, precision = len(common) / num_theirs, len(common) / num_mine
    return 2 * precision * recall / (precision + recall + 1e-8)


def _sentences(text: str) -> list[list[str]]:
    return [" ".join(part.split()).split(" ") for part in text.split(".") if part]


def _subsequence(x: Sequence[str], y: Sequence[str]) -> list[str]:
    """Return a longest common subsequence; among equals the one that the package finds."""
    table = [[0] * (len(y) + 1) for _ in range(len(x) + 1)]
    for i, a in enumerate(x, 1):
        for j, b in enumerate(y, 1):
            table[i][j] = table[i - 1][j - 1] + 1 if a == b else max(table[i - 1][j], table[i][j - 1])
    found: list[str] = []
    i, j = len(x), len(y)
    while i and j:
        if x[i - 1] == y[j - 1]:
            found.append(x[i - 1])
            i, j = i - 1, j - 1
        elif table[i - 1][j] > table[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return found[::-1]


# --- measures ---------------------------------------------------------------------------------------------------


def _classification(said: str, wanted: str, classes: Sequence[str]) -> float:
    found = [name for name in classes if name in said]
    for name in found:  # as published: removing from a list while walking it
        if name in wanted and name != wanted:
            found.remove(name)
    return 1.0 / len(found) if wanted in found else 0.0


def _numbered(pattern: str) -> Measure:
    def measure(said: str, wanted: str, _: Sequence[str]) -> float:
        place = re.findall(pattern, wanted)
        return _share_of_numbers(said, place[0]) if place else 0.0

    return measure


def _share_of_numbers(said: str, wanted: str) -> float:
    numbers = re.findall(r"\d+", said)
    return numbers.count(wanted) / len(numbers) if numbers else 0.0


def _code(said: str, wanted: str, _: Sequence[str]) -> float:
    lines = (line for line in said.split("\n") if line.strip() and not re.search(r"`|#|//", line))
    ratio = SequenceMatcher(None, next(lines, ""), wanted).ratio()
    return round(100 * ratio) / 100


MEASURES: dict[str, Measure] = {
    "qa_f1": lambda said, wanted, _: _f1(_english(said), _english(wanted)),
    "qa_f1_zh": lambda said, wanted, _: _f1(_chinese(said), _chinese(wanted)),
    "rouge": lambda said, wanted, _: rouge_l(said, wanted),
    "rouge_zh": lambda said, wanted, _: rouge_l(" ".join(chinese_words(said)), " ".join(chinese_words(wanted))),
    "classification": _classification,
    "retrieval": _numbered(r"Paragraph (\d+)"),
    "retrieval_zh": _numbered(r"段落(\d+)"),
    "count": lambda said, wanted, _: _share_of_numbers(said, wanted),
    "code_sim": _code,
}
PLUGIN = ScorerPlugin(build=build, version=1, about="LongBench's own measures")
