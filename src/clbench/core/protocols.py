"""The interfaces between rooms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from clbench.core.matrix import Matrix
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Ability, Answer, Decode, Example, Grade, Lesson, Meters, Prompt

Floats = NDArray[np.float64]
Weigh = Callable[[Floats, Sequence[tuple[float, ...]], Floats], Floats]


class Responder(Protocol):
    """Answers examples."""

    @property
    def can(self) -> frozenset[Ability]:
        """What it is able to do; compared with `Exam.needs` before anything is spent."""
        ...

    def respond(self, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        """Answer every example, in order; none for none. Asking changes nothing."""
        ...


class Scorable(Responder, Protocol):
    """A responder that can also tell how likely a continuation is."""

    def loglik(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        """Give ln p(continuation | prompt) in nats, summed over the continuation's tokens."""
        ...


class Learner(Responder, Protocol):
    """Answers, learns, sleeps, wakes."""

    def learn(self, lesson: Lesson, progress: Path | None = None) -> None:
        """Learn one lesson.

        Args:
            lesson: What is taught. Neither the number of lessons nor any exam is told.
            progress: A folder for checkpoints inside the lesson. If it holds one, go on from there;
                the result is the same, bit for bit, as without an interruption. None: keep none.

        Raises:
            LessonError: The loss is not finite.
            DataError: An example is marked `eval_only`.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write the whole state; the same state gives the same bytes.

        `folder/answers/` holds what answers depend on, `folder/keeps/` what only later lessons need,
        `folder/meters.json` (optional) counts such as tokens and added parameters.
        An empty or missing `answers/` says that it answers as the base model does.
        """
        ...

    def load(self, folder: Path) -> None:
        """Take over the state that `save` wrote."""
        ...


class Scorer(Protocol):
    """Marks one answer; pure."""

    def __call__(self, example: Example, answer: Answer) -> Grade:
        """Give the mark of `answer` to `example`."""
        ...


C = TypeVar("C")
Stores = Literal["none", "derived", "may_quote", "examples"]
LEVELS: tuple[Stores, ...] = get_args(Stores)  # from the least to the most telling


@dataclass(frozen=True)
class LearnerPlugin(Generic[C]):
    """How the engine knows a learner.

    Attributes:
        config: Its settings: a frozen pydantic model that refuses unknown fields.
        build: (config, model, seed, machine) -> Learner; loads the base model.
        version: Raise it when results change.
        starts_as_base: Before lesson 1 it answers exactly as the base model.
        neutral: Settings at which it must equal sft bit for bit; None if there are none.
        first_lesson_as: Name of the learner whose first lesson it learns exactly, so that grids share it.
        method: Settings -> the `Method` that it trains with, so that others can combine it; None if it has none.
        needs_task: It must be told which task a lesson and a question belong to (a stream that `reveals: task`).
        families: Kinds of models on which it is defined: "causal", "encoder".
        answers: "net" answers with the net alone, so that equal weights give equal answers; "own" in a way of its own,
            so that its answers are never another learner's. None: "net" where it is trained with a shipped `Method`
            that changes nothing of how the net answers, else "own".
        teaches: "in_turn" learns lesson after lesson; "at_once" gets all lessons merged into one.
        settle: (learner, folder of the shared first-lesson state, lesson): wake as that state and keep
            what later lessons need; needed where `first_lesson_as` is set.
        stores: What it keeps of users' data beside the weights that it has trained: "none"; "derived", numbers made of
            examples (Fisher matrices, mean states); "may_quote", text that can repeat them word for word; "examples",
            as they are, or it needs all of them at one time. Or a function of its settings; None: it does not say.
    """

    config: type[C]
    build: Callable[[C, ModelSpec, int, Machine], Learner]
    version: int
    starts_as_base: bool = True
    neutral: Mapping[str, object] | None = None
    first_lesson_as: str | None = None
    teaches: Literal["in_turn", "at_once"] = "in_turn"
    settle: Callable[[Any, Path, Lesson], None] | None = None
    method: Callable[[C], Any] | None = None
    needs_task: bool = False
    families: tuple[Literal["causal", "encoder"], ...] = ("causal", "encoder")
    answers: Literal["net", "own"] | None = None
    stores: Stores | Callable[[C], Stores | None] | None = None

    def stored(self, config: C) -> Stores | None:
        """Return what it keeps of users' data with these settings; None where it does not say."""
        return self.stores(config) if callable(self.stores) else self.stores


@dataclass(frozen=True)
class Specimen:
    """A question in the form that a scorer reads, for the contract suite.

    Attributes:
        asked: The prompt.
        targets: Right answers.
        wrong: An answer that has nothing in common with any of them: it must score 0.
        check: What the scorer needs beyond the targets.
        plain: It is answered to a plain question: the answer stands in `Answer.replies`.
    """

    asked: str
    targets: tuple[str, ...]
    wrong: str
    check: str = ""
    plain: bool = False


@dataclass(frozen=True)
class ScorerPlugin:
    """How the engine knows a scorer.

    Attributes:
        build: Settings -> Scorer; raises `SpecError` for unknown settings.
        version: Raise it when grades change.
        about: One line for listings.
        combine: Graded answers of one exam (one or more, none with score None) -> score of the exam in [0, 1]; pure,
            and blind to their order. It reads `Grade.parts`. None: the mean of their scores.
        weigh: The same rule for many weightings at once, for intervals and tests: scores (items,), parts of the items,
            whole weights (draws, items) -> scores (draws,), NaN where all weights are 0. None: `combine` is called for
            each, which is slower.
        specimens: What the contract suite asks; none where plain text will do.
        suits: Codes of a task's languages (one or more: "en", "zh", ...) -> settings that the task gets where its card
            says nothing about them; {} where the defaults will do. None: marks do not depend on the language.
        doubts: (settings, targets) -> what in the targets these settings cannot mark well, in words; "" if nothing.
    """

    build: Callable[[Mapping[str, Any]], Scorer]
    version: int
    about: str
    combine: Callable[[Sequence[Grade]], float] | None = None
    specimens: tuple[Specimen, ...] = ()
    weigh: Weigh | None = None
    suits: Callable[[Sequence[str]], Mapping[str, Any]] | None = None
    doubts: Callable[[Mapping[str, Any], Sequence[str]], str] | None = None


@dataclass(frozen=True)
class MetricPlugin:
    """How the engine and the report know a figure.

    Attributes:
        name: The name in code and in reports; every variant has its own.
        symbol: Short name for tables (AP, FM, ...).
        compute: A pure function; which arguments it takes is told by `needs`.
        needs: "matrix": (R) -> float; "meters": (Meters) -> float; "reference": (R, *R of `references`) -> float.
        references: Learners whose matrices follow ("joint", "frozen"), for needs = "reference".
        better: "high", "low", or "neither".
        low, high: Range of possible values.
        unit: "score", "percent", "seconds", "bytes", "count", "ratio", "tokens/s", "flops", "joules", "money".
        group: Which group of headline figures it belongs to.
    """

    name: str
    symbol: str
    compute: Callable[..., float]
    needs: Literal["matrix", "meters", "reference"]
    better: Literal["high", "low", "neither"]
    low: float
    high: float
    unit: str
    group: Literal["performance", "stability", "efficiency", "cost"]
    references: tuple[str, ...] = ()


Metric = Callable[[Matrix], float]
MeterMetric = Callable[[Meters], float]
