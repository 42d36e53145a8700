"""The contract of every scorer."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from clbench.core import plugins
from clbench.core.errors import SpecError, UserError
from clbench.core.graded import by_repeating
from clbench.core.keys import rng
from clbench.core.protocols import Scorer, ScorerPlugin, Specimen
from clbench.core.types import Answer, Example, Grade, Message, Reply, Request
from clbench.engine.grade import combine_grades, open_scorer
from clbench.testing.outcome import Outcome

PLAIN = (Specimen("?", ("red fox", "fox"), "cat"), Specimen("?", ("红色的狐狸",), "猫"))
HOSTILE = (
    "",
    " \n\t",
    "\0",
    "\u202eabc",
    "\ud800",
    "red \udfff fox; PER: \ud800 | \x1b[31m | \x07",
    "a" * 1_000_000,
    "9" * 100_000,
    "red fox 42 | : ; / " * 5_000,
    "; | ( : . , / 9" * 7_000,
    " " * 100_000 + "x",
    "\x1b[31m",
    "".join(map(chr, range(32))),
    "{}[]<>&'\"",
    "👩‍👩‍👧" * 50,
    "None",
    "nan",
    "1e999",
    "1/0 100% -.5e-999 亿亿亿",
)
SHORT = tuple(text for text in HOSTILE if len(text) < 100)
Case = tuple[Example, str]  # a question and a completely wrong answer to it


def _cases(plugin: ScorerPlugin) -> list[Case]:
    return [
        (
            Example(
                id=f"item {i}",
                prompt=(Message(role="user", content=s.prompt),),
                targets=s.targets,
                choices=(s.targets[0], s.wrong),
                check=s.check,
                requests=(Request(kind="text", context=s.prompt),) if s.plain else (),
            ),
            s.wrong,
        )
        for i, s in enumerate(plugin.specimens or PLAIN)
    ]


def _grade(scorer: Scorer, example: Example, text: str) -> Grade:
    replies = tuple(Reply.model_construct(loglik=None, greedy=False, text=text) for _ in example.requests)
    return scorer(
        example,
        Answer.model_construct(
            example_id=example.id, text=text, finish="stop", tokens_in=0, tokens_out=0, replies=replies
        ),
    )


def _right(plugin: ScorerPlugin, scorer: Scorer) -> list[Grade]:
    return [_grade(scorer, example, example.targets[0]) for example, _ in _cases(plugin)]


def _oracle(plugin: ScorerPlugin, scorer: Scorer) -> str:
    for grade in _right(plugin, scorer):
        if grade.score != 1.0:
            return f"the right answer to {grade.example_id!r} scores {grade.score}"
    return ""


def _silence(plugin: ScorerPlugin, scorer: Scorer) -> str:
    scores = [_grade(scorer, example, "").score for example, _ in _cases(plugin)]
    return "" if set(scores) == {0.0} else f"empty answers score {scores}"


def _wrong(plugin: ScorerPlugin, scorer: Scorer) -> str:
    scores = [_grade(scorer, example, wrong).score for example, wrong in _cases(plugin)]
    return "" if set(scores) == {0.0} else f"wrong answers score {scores}"


def _hostile(plugin: ScorerPlugin, scorer: Scorer) -> str:
    for example, _ in _cases(plugin):
        for text in HOSTILE:
            try:
                first, second = _grade(scorer, example, text), _grade(scorer, example, text)
            except Exception as error:
                return f"{text[:20]!r} makes it raise {type(error).__name__}"
            if not all(math.isfinite(number) for number in (first.score or 0.0, *first.parts)):
                return f"{text[:20]!r} scores {first.score} with parts {first.parts}, which cannot be kept"
            if first != second:
                return f"{text[:20]!r} is graded differently the second time"
            if first.score is not None and not 0 <= first.score <= 1:
                return f"{text[:20]!r} scores {first.score}"
    return ""


def _ungradable(plugin: ScorerPlugin, scorer: Scorer) -> str:
    example, _ = _cases(plugin)[0]
    failed = scorer(example, Answer(example_id=example.id, text=example.targets[0], finish="error"))
    if failed.score is not None:
        return f"an answer that failed scores {failed.score} instead of None"
    bare = example.model_copy(update={"targets": (), "check": ""})
    if _grade(scorer, bare, example.targets[0]).score is not None:
        return "an example without targets is scored"
    return ""


def _names_example(plugin: ScorerPlugin, scorer: Scorer) -> str:
    cases = _cases(plugin)
    ids = [_grade(scorer, example, "x").example_id for example, _ in cases]
    return "" if ids == [example.id for example, _ in cases] else "a grade does not have its example's id"


def _combined_right(plugin: ScorerPlugin, scorer: Scorer) -> str:
    score = combine_grades(_right(plugin, scorer), plugin)
    return "" if score == 1.0 else f"an exam of right answers scores {score}"


def _combined_silence(plugin: ScorerPlugin, scorer: Scorer) -> str:
    score = combine_grades([_grade(scorer, example, "") for example, _ in _cases(plugin)], plugin)
    return "" if score == 0.0 else f"an exam of empty answers scores {score}"


def _combined_any_order(plugin: ScorerPlugin, scorer: Scorer) -> str:
    said = [
        (example, (example.targets[0], wrong, f"{wrong} {example.targets[0]}")) for example, wrong in _cases(plugin)
    ]
    grades = [_grade(scorer, example, text) for example, texts in said for text in (*texts, *SHORT)]
    scores = [combine_grades(g, plugin) for g in (grades, grades, grades[::-1], grades[1::2] + grades[::2])]
    if any(score is None or not 0 <= score <= 1 for score in scores):
        return f"an exam scores {scores[0]}"
    if scores[0] != scores[1]:
        return f"the same grades come to {scores[0]} and to {scores[1]}"
    if any(not math.isclose(scores[0] or 0.0, score or 0.0, abs_tol=1e-9) for score in scores):
        return f"in another order the same grades come to another score: {scores}"
    return ""


def _weighed_as_repeated(plugin: ScorerPlugin, scorer: Scorer) -> str:
    """Compare the rule for many weightings with the rule for lists of grades, which repeat an item of weight 2."""
    if plugin.weigh is None:
        return ""
    if plugin.combine is None:
        return "it weighs items, and has no rule of its own (`combine`)"
    said = [(example, text) for example, wrong in _cases(plugin) for text in (example.targets[0], wrong, "")]
    grades = [g for g in (_grade(scorer, example, text) for example, text in said) if g.score is not None]
    weights = rng(0, 0, "weights of items").integers(0, 3, size=(8, len(grades))).astype(float)
    weights[0], weights[1] = 1.0, 0.0
    scores, parts = np.array([g.score for g in grades], dtype=np.float64), tuple(g.parts for g in grades)
    found, expected = plugin.weigh(scores, parts, weights), by_repeating(plugin.combine)(scores, parts, weights)
    same = np.allclose(found, expected, atol=1e-9, equal_nan=True)
    return "" if same else f"weighed items come to {found.tolist()}, repeated ones to {expected.tolist()}"


CHECKS: dict[str, Callable[[ScorerPlugin, Scorer], str]] = {
    "oracle scores 1": _oracle,
    "silence scores 0": _silence,
    "wrong scores 0": _wrong,
    "hostile output is graded": _hostile,
    "what cannot be graded is None": _ungradable,
    "grades have their id": _names_example,
    "an exam of right answers scores 1": _combined_right,
    "an exam of silence scores 0": _combined_silence,
    "an exam's score is one number in any order": _combined_any_order,
    "weighing items is repeating them": _weighed_as_repeated,
}


def check_scorer(scorer: str | ScorerPlugin) -> list[Outcome]:
    """Check a scorer against its contract.

    Args:
        scorer: Its name, the module that declares it ("mypackage.my_scorer"), or the plug-in.

    Raises:
        SpecError: There is no scorer of this name, or this is not one.
    """
    if not isinstance(scorer, (str, ScorerPlugin)):  # pyright: ignore[reportUnnecessaryIsInstance]  # users' code is not always checked
        mend = 'name one, "exact", or give what ScorerPlugin(...) returns'
        raise SpecError(f"{scorer!r:.60} is not a scorer", where="scorer", mend=mend)
    plugin = _opened(scorer) if isinstance(scorer, str) else scorer
    built = plugin.build({})
    outcomes = [Outcome(title, _tried(check, plugin, built)) for title, check in CHECKS.items()]
    try:
        plugin.build({"no_such_setting": 1})
    except UserError:
        return [*outcomes, Outcome("unknown setting refused")]
    return [*outcomes, Outcome("unknown setting refused", problem="it is accepted")]


def _opened(name: str) -> ScorerPlugin:
    """Return a scorer that the user names; it may stand in any module, since no card has chosen it."""
    if "." not in name:
        return open_scorer(name)
    plugin = plugins.load("scorer", name, "PLUGIN", where="NAME")
    if not isinstance(plugin, ScorerPlugin):
        mend = "end the module with PLUGIN = cl.ScorerPlugin(build=..., version=1, about=...)"
        raise SpecError(f"{name!r} declares no ScorerPlugin", where="NAME", mend=mend)
    return plugin


def _tried(check: Callable[[ScorerPlugin, Scorer], str], plugin: ScorerPlugin, scorer: Scorer) -> str:
    try:
        return check(plugin, scorer)
    except Exception as error:
        return f"it raises {type(error).__name__}: {error}"
