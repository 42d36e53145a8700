"""Edit similarity of code: 2 M / (|a| + |b|), M the length of the longest common subsequence of characters.

That is 1 - d / (|a| + |b|) with d the fewest insertions and deletions (a substitution counts as two), which is
what `fuzz.ratio` computes with python-Levenshtein (difflib's ratio, its stand-in, is another figure).
`fuzz.ratio` rounds every item to whole percents before the mean; here nothing is rounded. In [0, 1], high is
good; 0 where no character is common. The best target counts; the score of the exam is the mean. `parts` is
exact match (1 or 0), compared as lists of words.

As in CodeXGLUE, texts are stripped at both ends, `<NUM_LIT>` is read as 0, `<STR_LIT>` and `<CHAR_LIT>` as
nothing, `<STR_LIT:x>` as x; a text that would become empty stays as it is. At most 4,000 characters of a
text are compared, in Unicode's form C.

Source: Lu et al. 2021, CodeXGLUE, "line-level code completion" (Py150); Hyyro 2004 for the bit-parallel
computation.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from clbench.core.protocols import Scorer, ScorerPlugin
from clbench.core.types import Answer, Example, Grade
from clbench.scoring._settings import settings_of, ungradable
from clbench.scoring._text import composed

LONGEST = 4000  # characters: the work is quadratic
LITERAL = re.compile(r"<(?:STR|NUM|CHAR)_LIT:(.*?)>", re.DOTALL)


def build(settings: Mapping[str, Any]) -> Scorer:
    """Return the scorer: edit similarity in [0, 1] with the best target."""
    settings_of("edit_similarity", settings, {})

    def grade_answer(example: Example, answer: Answer) -> Grade:
        if (grade := ungradable(example, answer)) is not None:
            return grade
        said, golds = literals(answer.text), [literals(t) for t in example.targets]
        exact = float(any(said.split() == gold.split() for gold in golds))
        return Grade(example_id=example.id, score=max(similarity(said, gold) for gold in golds), parts=(exact,))

    return grade_answer


def literals(code: str) -> str:
    """Return code with values for the placeholders of Py150.

    Example:
        >>> literals(" x = '<STR_LIT:hi>' + <NUM_LIT> ")
        "x = 'hi' + 0"
    """
    code = composed(code)[:LONGEST].strip()
    plain = code.replace("<NUM_LIT>", "0").replace("<STR_LIT>", "").replace("<CHAR_LIT>", "")
    return LITERAL.sub(r"\1", plain) or code


def similarity(a: str, b: str) -> float:
    """Return 2 M / (|a| + |b|), 0 for two empty texts.

    Example:
        >>> similarity("kitten", "sitting")
        0.6153846153846154
    """
    where: defaultdict[str, int] = defaultdict(int)
    for i, character in enumerate(a):
        where[character] |= 1 << i
    every = (1 << len(a)) - 1
    row = every  # a bit that has been cleared is one more character in common
    for character in b:
        hits = row & where[character]
        row = ((row + hits) | (row - hits)) & every
    return 2 * (len(a) - row.bit_count()) / max(len(a) + len(b), 1)


PLUGIN = ScorerPlugin(
    build=build, version=2, about="edit similarity of code (fuzz.ratio of CodeXGLUE) with the best target"
)
