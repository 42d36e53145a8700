"""The contract of every scorer."""

from __future__ import annotations

from collections.abc import Callable

from clbench.core.errors import SpecError
from clbench.core.protocols import Scorer, ScorerPlugin
from clbench.core.types import Answer, Example, Message
from clbench.engine.mark import open_scorer
from clbench.testing.outcome import Outcome

EXAMPLES = (
    Example(
        id="en", prompt=(Message(role="user", content="?"),), targets=("red fox", "fox"), choices=("red fox", "cat")
    ),
    Example(
        id="zh", prompt=(Message(role="user", content="?"),), targets=("红色的狐狸",), choices=("红色的狐狸", "猫")
    ),
)
HOSTILE = (
    "",
    " \n\t",
    "\0",
    "\u202eabc",
    "\ud800",
    "a" * 1_000_000,
    "\x1b[31m",
    "{}[]<>&'\"",
    "👩‍👩‍👧" * 50,
    "nan",
    "1e999",
)


def _oracle(scorer: Scorer) -> str:
    for example in EXAMPLES:
        score = scorer(example, Answer(example_id=example.id, text=example.targets[0])).score
        if score != 1.0:
            return f"the right answer to {example.id!r} scores {score}"
    return ""


def _silence(scorer: Scorer) -> str:
    scores = [scorer(e, Answer(example_id=e.id, text="")).score for e in EXAMPLES]
    return "" if scores == [0.0, 0.0] else f"empty answers score {scores}"


def _wrong(scorer: Scorer) -> str:
    score = scorer(EXAMPLES[0], Answer(example_id="en", text="cat")).score
    return "" if score == 0.0 else f"a wrong answer scores {score}"


def _hostile(scorer: Scorer) -> str:
    for text in HOSTILE:
        answer = Answer.model_construct(example_id="en", text=text, finish="length", tokens_in=0, tokens_out=0)
        try:
            first, second = scorer(EXAMPLES[0], answer), scorer(EXAMPLES[0], answer)
        except Exception as error:
            return f"{text[:20]!r} makes it raise {type(error).__name__}"
        if first != second:
            return f"{text[:20]!r} is marked differently the second time"
        if first.score is not None and not 0 <= first.score <= 1:
            return f"{text[:20]!r} scores {first.score}"
    return ""


def _unmarkable(scorer: Scorer) -> str:
    failed = scorer(EXAMPLES[0], Answer(example_id="en", text="timeout", finish="error"))
    if failed.score is not None:
        return f"an answer that failed scores {failed.score} instead of None"
    bare = EXAMPLES[0].model_copy(update={"targets": ()})
    if scorer(bare, Answer(example_id="en", text="fox")).score is not None:
        return "an example without targets is scored"
    return ""


def _names_example(scorer: Scorer) -> str:
    ids = [scorer(e, Answer(example_id=e.id, text="x")).example_id for e in EXAMPLES]
    return "" if ids == ["en", "zh"] else "a grade does not bear its example's id"


CHECKS: dict[str, Callable[[Scorer], str]] = {
    "oracle scores 1": _oracle,
    "silence scores 0": _silence,
    "wrong scores 0": _wrong,
    "hostile output is marked": _hostile,
    "what cannot be marked is None": _unmarkable,
    "grades bear their id": _names_example,
}


def check_scorer(scorer: str | ScorerPlugin) -> list[Outcome]:
    """Check a scorer, by name or as a plug-in, against its contract.

    Raises:
        SpecError: There is none of this name.
    """
    plugin = open_scorer(scorer) if isinstance(scorer, str) else scorer
    built = plugin.build({})
    outcomes = [Outcome(title, check(built)) for title, check in CHECKS.items()]
    try:
        plugin.build({"no_such_setting": 1})
    except SpecError:
        return [*outcomes, Outcome("unknown setting refused")]
    return [*outcomes, Outcome("unknown setting refused", problem="it is accepted")]
