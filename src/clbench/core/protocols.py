"""The interfaces between rooms."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from clbench.core.errors import SpecError, did_you_mean, said_of
from clbench.core.footprint import NAMES, Footprint, Held
from clbench.core.spec import Machine, ModelSpec
from clbench.core.traits import ALLOWED, Family, ModelFamily, Stores, Trains, Traits, fault_of
from clbench.core.types import Ability, Answer, Decode, Example, Grade, Lesson

Floats = NDArray[np.float64]
Weigh = Callable[[Floats, Sequence[tuple[float, ...]], Floats], Floats]


class Responder(Protocol):
    """Something that answers examples."""

    @property
    def can(self) -> frozenset[Ability]:
        """Its abilities, which are compared with `Exam.needs` before anything is spent."""
        ...

    def respond(self, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        """Return one answer per example, in order. Asking changes nothing."""
        ...


class Learner(Responder, Protocol):
    """A responder that learns lessons, and whose state can be saved and loaded."""

    def learn(self, lesson: Lesson, progress: Path | None = None) -> None:
        """Learn one lesson.

        Args:
            lesson: What is taught. It reveals neither the number of lessons nor any exam.
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
        `folder/counts.json` (optional) counts such as tokens and added parameters.
        An empty or missing `answers/` says that it answers as the base model does.
        """
        ...

    def load(self, folder: Path) -> None:
        """Load the state that `save` wrote."""
        ...


class Scorer(Protocol):
    """Something that grades one answer; pure."""

    def __call__(self, example: Example, answer: Answer) -> Grade:
        """Return the grade of `answer` to `example`."""
        ...


C = TypeVar("C")


@dataclass(frozen=True, kw_only=True)
class Elsewhere(Generic[C]):
    """How a learner takes over what another program learns, or has learnt.

    Attributes:
        lessons: Settings -> how many lessons it can take over; None where the program is run for each.
        pin: (settings, base model) -> settings with files pinned to their content; it tells what differs from the
            base model, and raises `UserError` for what cannot be used.
        costs: Settings -> fields of `Costs` that the user states.
        unknown: Fields of `Costs` that are not known where neither the user nor the counts of a state give them; None
            means all of learning.
    """

    pin: Callable[[C, ModelSpec], C]
    costs: Callable[[C], Mapping[str, Any]]
    lessons: Callable[[C], int] | None = None
    unknown: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class LearnerPlugin(Generic[C]):
    """How the engine knows a learner.

    The traits come last: `family`, `stores`, `needs_task_ids`, `uses_task_ids`, `uses_boundaries`, `sees_documents`,
    `unbounded`, `model_families`, `trains`, `paper` and `about` are described in `clbench.core.traits.Traits`. They are
    written into the record of every run. Those that depend on settings may be functions of them; None says nothing.

    Attributes:
        config: Its settings: a frozen pydantic model that refuses unknown fields.
        build: (config, model, seed, machine) -> Learner; loads the base model.
        version: Raise it when results change.
        starts_as_base: Before lesson 1 it answers exactly as the base model.
        neutral: Settings at which it must equal sft bit for bit; None if there are none.
        first_lesson_as: Name of the learner whose first lesson it learns exactly, so that grids share it.
        teaches: "in_turn" learns lesson after lesson; "at_once" gets all lessons merged into one.
        adopt_first_lesson: (learner, folder of the shared first-lesson state, lesson): wake as that state and keep
            what later lessons need; needed where `first_lesson_as` is set.
        method: Settings -> the `Method` that it trains with, so that others can combine it; None if it has none.
        answers: "net" answers with the net alone, so that equal weights give equal answers; "own" in a way of its own,
            so that its answers are never another learner's. None: "net" where it is trained with a shipped `Method`
            that changes nothing of how the net answers, else "own".
        footprint: What its method holds beside plain fine-tuning, or a function of the settings; None where it does
            not say, and a plan then says so.
        elsewhere: How it takes over what another program learns or has learnt; None learns here.
        from_state: It learns on from the files of its last state, so it is loaded from them before each lesson.
    """

    config: type[C]
    build: Callable[[C, ModelSpec, int, Machine], Learner]
    version: int
    starts_as_base: bool = True
    neutral: Mapping[str, object] | None = None
    first_lesson_as: str | None = None
    teaches: Literal["in_turn", "at_once"] = "in_turn"
    adopt_first_lesson: Callable[[Any, Path, Lesson], None] | None = None
    method: Callable[[C], Any] | None = None
    answers: Literal["net", "own"] | None = None
    footprint: Held | Callable[[C], Held | None] | None = None
    elsewhere: Elsewhere[C] | None = None
    from_state: bool = False

    family: Family | None = None
    stores: Stores | Callable[[C], Stores | None] | None = None
    needs_task_ids: bool = False
    uses_task_ids: bool | Callable[[C], bool | None] | None = None
    uses_boundaries: bool | Callable[[C], bool | None] | None = None
    sees_documents: bool = False
    unbounded: bool = False
    model_families: tuple[ModelFamily, ...] = ("causal", "encoder")
    trains: Trains | Callable[[C], Trains | None] | None = None
    paper: str = ""
    about: str = ""

    def __post_init__(self) -> None:
        """Refuse a field whose value is not allowed."""
        for name in ALLOWED:
            value = vars(self)[name]
            if not (callable(value) and name in OF_SETTINGS):
                _check_trait(name, value)
        if self.sees_documents and self.family != "bounds":
            what = "sees_documents is True of a learner that is not a bound"
            mend = 'leave it out, or write family="bounds": what sees the answers may not stand among methods'
            raise SpecError(what, where="PLUGIN", mend=mend)
        config: Any = self.config
        described = isinstance(config, type) and issubclass(config, BaseModel)
        _check_neutral(self.neutral or {}, config.model_fields if described else None)

    def stored(self, config: C) -> Stores | None:
        """Return what it keeps of users' data with these settings; None where it does not say."""
        return _with_settings("stores", self.stores, config)

    def holds(self, config: C) -> Footprint | None:
        """Return what its method holds with these settings; None where it does not say.

        Raises:
            SpecError: It is not a footprint, or its function breaks.
        """
        try:
            found: Any = self.footprint(config) if callable(self.footprint) else self.footprint
            found = Footprint(**found) if isinstance(found, Mapping) else found
        except Exception as error:
            what = f"footprint breaks: {said_of(error)}"
            raise SpecError(what, where="PLUGIN", mend=f"give numbers for some of {', '.join(NAMES)}") from error
        if found is not None and not isinstance(found, Footprint):
            what = f"footprint is {found!r:.60}"
            raise SpecError(what, where="PLUGIN", mend=f"give numbers for some of {', '.join(NAMES)}")
        return found

    def traits(self, config: C | None) -> Traits:
        """Return all traits with these settings; with None, what depends on settings counts as not said."""
        found = {name: _with_settings(name, vars(self)[name], config) for name in OF_SETTINGS}
        return Traits(
            family=self.family,
            stores=found["stores"],
            needs_task_ids=self.needs_task_ids,
            uses_task_ids=True if self.needs_task_ids else found["uses_task_ids"],
            uses_boundaries=found["uses_boundaries"],
            sees_documents=self.sees_documents,
            unbounded=self.unbounded,
            model_families=tuple(self.model_families),
            trains=found["trains"],
            paper=self.paper,
            about=self.about,
        )


OF_SETTINGS = ("stores", "uses_task_ids", "uses_boundaries", "trains")  # traits that may be functions of the settings


def _check_trait(name: str, value: object) -> None:
    if allowed := fault_of(name, value):
        listed = [one for one in ALLOWED[name] if isinstance(one, str)] if isinstance(ALLOWED[name], tuple) else []
        near = did_you_mean(value, listed) if isinstance(value, str) and listed else f"write {allowed}"
        raise SpecError(f"{name} is {value!r:.60}", where="PLUGIN", mend=near)


def _check_neutral(neutral: Mapping[str, object], known: Mapping[str, object] | None) -> None:
    """Refuse settings that the Config does not have, and numbers that no setting can be.

    Raises:
        SpecError: Names the first of them.
    """
    for name, value in neutral.items():
        if known is not None and name not in known:
            what = f"neutral names {name!r}, and the Config has no such setting"
            raise SpecError(what, where="PLUGIN", mend=did_you_mean(name, known))
        if isinstance(value, float) and not math.isfinite(value):
            mend = "give the setting at which it equals sft"
            raise SpecError(f"neutral has {name}={value}, not a finite number", where="PLUGIN", mend=mend)


def _with_settings(name: str, trait: Any, config: Any) -> Any:
    """Return a trait with these settings; without settings, one that depends on them counts as not said.

    Raises:
        SpecError: Its function breaks, or gives what is not allowed.
    """
    if not callable(trait):
        return trait
    if config is None:
        return None
    try:
        found: Any = trait(config)
    except Exception as error:
        mend = "it is called with the settings (`Config`), and gives the trait"
        raise SpecError(f"the function of {name} breaks: {said_of(error)}", where="PLUGIN", mend=mend) from error
    _check_trait(name, found)
    return found


@dataclass(frozen=True)
class Specimen:
    """A question in the form that a scorer reads, for the contract suite.

    Attributes:
        prompt: The prompt.
        targets: Right answers.
        wrong: An answer that has nothing in common with any of them: it must score 0.
        check: What the scorer needs beyond the targets.
        plain: It is answered to a plain question: the answer stands in `Answer.replies`.
    """

    prompt: str
    targets: tuple[str, ...]
    wrong: str
    check: str = ""
    plain: bool = False


@dataclass(frozen=True, kw_only=True)
class ScorerPlugin:
    """How the engine knows a scorer.

    Attributes:
        build: Settings -> what grades, (example, answer) -> Grade; raises `UserError` for unknown settings.
        version: Raise it when grades change.
        about: One line for listings.
        combine: Graded answers of one exam (one or more, none with score None) -> score of the exam in [0, 1]; pure,
            and blind to their order. It reads `Grade.parts`. None: the mean of their scores.
        weigh: The same rule for many weightings at once, for intervals and tests: scores (items,), parts of the items,
            whole weights (draws, items) -> scores (draws,), NaN where all weights are 0. None: `combine` is called for
            each, which is slower.
        specimens: What the contract suite asks; empty if plain text will do.
        suits: Codes of a task's languages (one or more: "en", "zh", ...) -> settings that the task gets where its card
            says nothing about them; {} if the defaults will do. None: grades do not depend on the language.
        judged: Its grades follow from rubrics, by the judge of the run; `build` gives those that need no model.
        doubts: (settings, targets) -> what in the targets these settings cannot grade well, in words; "" if nothing.
    """

    build: Callable[[Mapping[str, Any]], Scorer]
    version: int
    about: str
    combine: Callable[[Sequence[Grade]], float] | None = None
    specimens: tuple[Specimen, ...] = ()
    weigh: Weigh | None = None
    suits: Callable[[Sequence[str]], Mapping[str, Any]] | None = None
    doubts: Callable[[Mapping[str, Any], Sequence[str]], str] | None = None
    judged: bool = False


@dataclass(frozen=True, kw_only=True)
class MetricPlugin:
    """How the engine and the report know a figure.

    Attributes:
        name: The name in code and in reports; every variant has its own.
        symbol: Short name for tables (AP, FM, ...).
        compute: A pure function; `needs` says which arguments it takes.
        needs: "matrix": (R) -> float; "costs": (Costs) -> float; "reference": (R, *R of `references`) -> float.
        references: Learners whose matrices follow ("joint", "frozen"), for needs = "reference".
        better: "high", "low", or "neither".
        low, high: Range of possible values.
        unit: "score", "percent", "seconds", "bytes", "count", "ratio", "tokens/s", "flops", "joules", "money".
        group: The group of headline figures that it belongs to.
    """

    name: str
    symbol: str
    compute: Callable[..., float]
    needs: Literal["matrix", "costs", "reference"]
    better: Literal["high", "low", "neither"]
    low: float
    high: float
    unit: str
    group: Literal["performance", "stability", "efficiency", "cost"]
    references: tuple[str, ...] = ()
