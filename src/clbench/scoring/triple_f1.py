"""Triple F1 (relations, data to text and back). Form of a target: `subject | relation | object; ...`, or `none`.

Example: `Buzz_Aldrin | birthPlace | Glen_Ridge; Buzz_Aldrin | occupation | Fighter_pilot`. A field must hold no
`;`, no `|` and no line end. Underscores are blanks; fields are compared as `exact` compares answers: case, width,
blanks, sentence marks and paired quotes and brackets do not matter, nor do brackets around a triple; `-5` is not `5`.
The order of triples is free, the order within one is not.

An answer is read in the same way, line ends counting as `;`, markers of list points and the bars around a row of a
table dropped; what has not exactly three fields is passed over. The score of one answer is the F1 of its multiset of
triples with the best target's. Where the target is `none`, an answer scores 1 if it says none (`none`, `no triples`,
`无`, `没有`, or the word alone in a few more languages), else 0. The score of the exam is the micro-F1,
2 right / (said + gold), over all graded answers. Both are in [0, 1], high is good. `parts` are (right, said, gold).

Source: exact-match triple F1 as in the WebNLG 2020 challenge (Castro Ferreira et al. 2020) and Zeng et al.
2018.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from clbench.core.protocols import Scorer, ScorerPlugin, Specimen
from clbench.scoring import _weighing
from clbench.scoring._lists import Items, grade, micro_f1, pieces, plain
from clbench.scoring._settings import settings_of


def read(text: str) -> Items:
    """Read a list of triples.

    Example:
        >>> read("(Ann_Lee | knows | Bob); nonsense; a | b")
        Counter({('ann lee', 'knows', 'bob'): 1})
    """
    found: Items = Counter()
    for piece in pieces(text.replace("_", " ")):
        row = piece.replace("｜", "|").replace("│", "|").strip()
        row = row[1:-1] if len(row) > 1 and row[0] == row[-1] == "|" else row  # of a table
        fields = tuple(plain(field) for field in row.split("|"))
        if len(fields) == 3 and all(fields) and not set(row) <= set("|-: "):
            found[fields] += 1
    return found


def build(settings: Mapping[str, Any]) -> Scorer:
    """Make the scorer: F1 of the multiset of triples, in [0, 1]."""
    settings_of("triple_f1", settings, {})
    return lambda example, answer: grade(example, answer, read)


PLUGIN = ScorerPlugin(
    build=build,
    version=2,
    about="triple F1 (`subject | relation | object; ...` or `none`), micro-averaged; per answer F1",
    combine=micro_f1,
    weigh=_weighing.micro_f1,
    specimens=(
        Specimen(
            "Which triples?",
            ("Ann_Lee | knows | Bob; Bob | lives in | Rome", "Bob | lives in | Rome"),
            "Bob | knows | Ann",
        ),
        Specimen("哪些三元组？", ("北京｜首都｜中国",), "中国｜首都｜北京"),
        Specimen("Which triples?", ("none",), "a | b | c"),
    ),
)
