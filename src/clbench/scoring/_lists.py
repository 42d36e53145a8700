"""Answers that are lists of things in any order: F1 over multisets, micro-averaged over an exam."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from clbench.core.types import Answer, Example, Grade
from clbench.scoring._settings import ungradable
from clbench.scoring._text import composed, fold, unwrapped

Items = Counter[tuple[str, ...]]
NOTHING = ("entities", "triples", "entities found", "triples found")
NOTHING_ZH = ("无", "無", "没有", "沒有", "无实体", "没有实体", "无三元组", "没有三元组")
NOTHING_ELSE = ("keine", "aucun", "aucune", "ninguno", "ninguna", "なし", "없음", "لا يوجد", "कोई नहीं", "ไม่มี")
NONE = frozenset(("none", *(f"no {what}" for what in NOTHING), *NOTHING_ZH, *NOTHING_ELSE))
SEPARATOR = re.compile(r"[;；؛\n]")
MARKER = re.compile(
    r"\s*(?:(?:[-*•+·–—▪●◦‣]+|\d{1,3}[.)])\s+|(?:\d{1,3}[．）、]|\(\d{1,3}\)|（\d{1,3}）|[①-⑳])\s*)"
)  # what a model puts before the items of a list


def pieces(text: str) -> Iterator[str]:
    """Split a list at `;` and line ends (full-width ones too), without item markers.

    Brackets or quotes around the whole list, or around one of its items, are taken off.

    Example:
        >>> list(pieces("- PER: Ann；2. LOC: Rome"))
        ['PER: Ann', 'LOC: Rome']
    """
    for piece in SEPARATOR.split(unwrapped(composed(text))):
        yield unwrapped(MARKER.sub("", piece, count=1) if MARKER.match(piece) else piece)


def plain(text: str) -> str:
    """Return a field folded as `exact` does: form, case, blanks, sentence marks, paired quotes and brackets."""
    return fold(text, case_sensitive=False, strip_punctuation=True)


def says_none(text: str) -> bool:
    """Return whether a text says that there is nothing to list."""
    return plain(composed(text)) in NONE


def grade(example: Example, answer: Answer, read: Callable[[str], Items]) -> Grade:
    """Return the grade of a list: F1 with the best target; parts are the counts (right, said, gold)."""
    if (failed := ungradable(example, answer)) is not None:
        return failed
    golds = [(target, read(target)) for target in example.targets]
    golds = [(target, items) for target, items in golds if items or says_none(target)]
    if not golds:
        return Grade(example_id=example.id, score=None, note="no target has the form that this scorer reads")
    said = read(answer.text)
    scores = [_against(said, gold, both_none=says_none(answer.text) and says_none(target)) for target, gold in golds]
    score, parts = max(scores, key=lambda pair: pair[0])
    note = "" if said or says_none(answer.text) else "nothing in it has the form that this scorer reads"
    return Grade(example_id=example.id, score=score, parts=parts, note=note)


def _against(said: Items, gold: Items, *, both_none: bool) -> tuple[float, tuple[float, ...]]:
    right, total = (said & gold).total(), said.total() + gold.total()
    return (2 * right / total if total else float(both_none)), (right, said.total(), gold.total())


def micro_f1(grades: Sequence[Grade]) -> float:
    """Return 2 right / (said + gold), summed over an exam; the mean of the scores where nothing is listed at all."""
    right, said, gold = (sum(g.parts[i] for g in grades) for i in range(3))
    if said + gold:
        return 2 * right / (said + gold)
    return sum(g.score or 0.0 for g in grades) / len(grades)
