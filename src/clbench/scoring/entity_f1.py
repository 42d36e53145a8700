"""Entity F1 (NER). Form of a target: `type: span; type: span`, or `none` where there is no entity.

Example: `PER: John Smith; LOC: Paris`. Repeated mentions are repeated. The type ends at the first colon, so a
span may hold colons; it must hold no `;` and no line end (write a comma). Types and spans are compared as `exact`
compares answers: case, width, blanks, sentence marks and paired quotes and brackets do not matter; `-5` is not `5`.

An answer is read in the same way, line ends counting as `;`, markers of list points and of bold types dropped; what has
no `type: span` form is passed over. The score of one answer is the F1 of its multiset of (type, span) with the best
target's. Where the target is `none`, an answer scores 1 if it says none (`none`, `no entities`, `无`, `没有`, or the
word alone in a few more languages), else 0. The score of the exam is the micro-F1, 2 right / (said + gold), over all
graded answers. Both are in [0, 1], high is good. `parts` are (right, said, gold).

Source: Tjong Kim Sang and De Meulder 2003 (CoNLL-2003: exact match of type and span, micro-F1). The positions
of mentions are not known from a text, so equal mentions are compared as a multiset.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from clbench.core.protocols import Scorer, ScorerPlugin, Specimen
from clbench.scoring import _weighing
from clbench.scoring._lists import Items, grade, micro_f1, pieces, plain
from clbench.scoring._settings import settings_of

BOLD = re.compile(r"\s*(\*{1,3}|_{2})")


def read(text: str) -> Items:
    r"""Return the entities of a list, each with its count.

    Example:
        >>> sorted(read("PER: Ann Lee；\n* loc： Rome.\nThat is all").items())
        [(('loc', 'rome'), 1), (('per', 'ann lee'), 1)]
    """
    found: Items = Counter()
    for piece in pieces(text):
        kind, _, span = piece.replace("：", ":").partition(":")
        if (bold := BOLD.match(kind)) and span.startswith(bold[1]):  # **PER:** Ann Lee
            kind, span = kind[bold.end() :], span[len(bold[1]) :]
        if kind.strip() and span.strip():
            found[plain(kind), plain(span)] += 1
    return found


def build(settings: Mapping[str, Any]) -> Scorer:
    """Return the scorer: F1 of the (type, span) multiset, in [0, 1]."""
    settings_of("entity_f1", settings, {})
    return lambda example, answer: grade(example, answer, read)


PLUGIN = ScorerPlugin(
    build=build,
    version=2,
    about="entity F1 (`type: span; type: span` or `none`), micro-averaged; per answer F1",
    combine=micro_f1,
    weigh=_weighing.micro_f1,
    specimens=(
        Specimen("Name the entities.", ("PER: Ann Lee; LOC: Rome; PER: Ann Lee", "PER: Ann; LOC: Rome"), "PER: Bob"),
        Specimen("列出实体。", ("人名：小明；地名：北京",), "地名：上海"),
        Specimen("Name the entities.", ("none",), "PER: Bob"),
    ),
)
