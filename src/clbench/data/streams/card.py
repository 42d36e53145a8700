"""Stream cards: what is taught, in which order and portions, and what the learner knows of it, as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Discriminator, Field, Tag, field_validator, model_validator

from clbench.core.types import Budget, TaskIds
from clbench.core.value import Value
from clbench.core.wording import tr
from clbench.data.tasks.card import OnDisk, find_card, load_card
from clbench.data.tasks.card_file import read_text
from clbench.data.tasks.source import Name
from clbench.data.worlds.lexicon import Language
from clbench.data.worlds.spec import Form, Kind


class Worlds(Value):
    """Generated tasks without cards of their own; world i of `num` is named `kind-language-seed`.

    Attributes:
        num: The number of worlds.
        kinds, forms, languages: World i has entry i of each list, which is repeated.
        seed: Seed of the first world; each next one has the next seed.
        items, classes, exam_items, wordings, similarity, documents, exam_wordings: See
            `clbench.data.worlds.spec.WorldSpec`.
    """

    num: int = Field(ge=1, le=1000)
    kinds: tuple[Kind, ...] = Field(default=("facts", "rules", "procedures", "laws"), min_length=1)
    forms: tuple[Form, ...] = Field(default=("classification",), min_length=1)
    languages: tuple[Language, ...] = Field(default=("en",), min_length=1)
    seed: int = Field(default=0, ge=0)
    items: int = Field(default=32, ge=4, le=200)
    classes: int = Field(default=4, ge=2, le=12)
    exam_items: int = Field(default=48, ge=1)
    wordings: int = Field(default=3, ge=1, le=6)
    similarity: float = Field(default=0.0, ge=0, le=1)
    documents: bool = False
    exam_wordings: int = Field(default=1, ge=1, le=5)
    absent_at_default: ClassVar[frozenset[str]] = frozenset({"exam_wordings"})

    def settings(self) -> dict[str, dict[str, Any]]:
        """Return name -> settings of each world."""
        names = {"items", "classes", "exam_items", "wordings", "similarity", "documents", "exam_wordings"}
        shared = self.model_dump(include=names)
        worlds: dict[str, dict[str, Any]] = {}
        for i in range(self.num):
            kind, language = self.kinds[i % len(self.kinds)], self.languages[i % len(self.languages)]
            own = {"kind": kind, "language": language, "form": self.forms[i % len(self.forms)], "seed": self.seed + i}
            worlds[f"{kind}-{language}-{self.seed + i}"] = {**own, **shared}
        return worlds


class Classes(Value):
    """The split of a task into increments by classes, whose order is drawn with the stream's seed.

    Attributes:
        each: Classes of an increment; the last one may hold fewer.
        first: Classes of the first increment, if it is larger: the base set.
    """

    each: int = Field(ge=1)
    first: int | None = Field(default=None, ge=1)


class Seeded(Value):
    """A permutation drawn with a seed."""

    seed: int = Field(ge=0)


class Named(Value):
    """A published order, which also names the tasks."""

    named: str


class Interleaved(Value):
    """An order that takes turns among families of tasks: the increments of one set, else tasks of one form.

    Attributes:
        interleave: Increments in a turn: 1 changes the form of the task in every lesson, 2 in every second one.
    """

    interleave: int = Field(ge=1)


Word = Literal["given", "reverse", "easy-first", "similar-first", "dissimilar-first"]


def _order_tag(value: Any) -> str | None:
    if isinstance(value, str):
        return "word"
    keys: set[str] = set(value) if isinstance(value, dict) else set(type(value).model_fields)
    tags = keys & {"seed", "named", "interleave"}
    return tags.pop() if len(tags) == 1 else None


Order = Annotated[
    Annotated[Word, Tag("word")]
    | Annotated[Seeded, Tag("seed")]
    | Annotated[Named, Tag("named")]
    | Annotated[Interleaved, Tag("interleave")],
    Discriminator(
        _order_tag,
        custom_error_type="order",
        custom_error_message="an order is given, reverse, easy-first, similar-first, dissimilar-first, {seed: 1}, "
        "{named: order-1} or {interleave: 1}",
    ),
]


class Recur(Value):
    """Tasks that come again.

    Attributes:
        every: After every so many lessons an earlier one is taught again, the oldest first.
        fresh: A task that is taught n times shows another n-th of its examples each time; else the same ones.
    """

    every: int | None = Field(default=None, ge=2)
    fresh: bool = False


class Blur(Value):
    """Blurred boundaries: examples of a lesson already occur in the lesson before, ever more often towards its end.

    Attributes:
        share: Share of each class of lesson 2 that moves into lesson 1, in (0, 0.5].
        rise: Added to the share at every further boundary, up to 0.5.
    """

    share: float = Field(gt=0, le=0.5)
    rise: float = Field(default=0.0, ge=0, le=0.5)

    def at(self, boundary: int) -> float:
        """Return the share that moves over a boundary; the first is 1."""
        return min(self.share + self.rise * (boundary - 1), 0.5)


class StreamCard(OnDisk):
    """What is taught, built in this order: tasks, limits, increments, order, lessons, recurrence, blur.

    Attributes:
        name: The file's name.
        tasks: Names of task cards, shipped or beside this file; a task that is named twice is taught twice.
        worlds: Generated tasks, after `tasks`.
        classes: Task -> how it is split into increments by class; `15` is short for `{each: 15}`.
        order: Of the increments; see `clbench.data.streams.order`.
        base: Increments that are taught together in lesson 1: the first so many, or all those of the named tasks.
        per_lesson: Increments in each other lesson.
        recur: Whether tasks come again, and with which examples.
        blur: Whether boundaries are blurred; `0.3` is short for `{share: 0.3}`.
        online: Every example is shown once.
        labels_per_class, labels_per_task: Most examples of a lesson, chosen by hash; classes share them evenly.
        balance: Classes of a task have equally many examples, as many as the rarest has; free text is left alone.
        seed: Seed of the split into classes, and of every choice by hash.
        leaks: What to do with examples that ask what any exam asks: "refuse" the stream, or "drop" them.
        missing: What to do if the data of a task are missing: "refuse" the stream, or "skip" the task.
        task_ids: What the learner knows of tasks: "hidden" is nothing, "boundaries" where a lesson ends, "given" also
            the name of the task.
        budget: What a learner may keep between lessons.
        about: For listings.
    """

    name: Name
    tasks: tuple[Name, ...] = ()
    worlds: tuple[Worlds, ...] = ()
    classes: Mapping[Name, Classes] = {}
    order: Order = "given"
    base: int | tuple[Name, ...] = 0
    per_lesson: int = Field(default=1, ge=1)
    recur: Recur = Recur()
    blur: Blur | None = None
    online: bool = False
    labels_per_class: int | None = Field(default=None, ge=1)
    labels_per_task: int | None = Field(default=None, ge=1)
    balance: bool = False
    seed: int = Field(default=0, ge=0)
    leaks: Literal["refuse", "drop"] = "refuse"
    missing: Literal["refuse", "skip"] = "refuse"
    task_ids: TaskIds = "boundaries"
    budget: Budget = Budget()
    about: Mapping[str, Any] = {}

    @field_validator("classes", mode="before")
    @classmethod
    def _classes_in_short(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: {"each": v} if isinstance(v, int) else v for name, v in value.items()}

    @field_validator("blur", mode="before")
    @classmethod
    def _blur_in_short(cls, value: Any) -> Any:
        return {"share": value} if isinstance(value, (int, float)) else value

    @field_validator("base", mode="before")
    @classmethod
    def _base_is_number_or_names(cls, value: Any) -> Any:
        number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        if not number and not isinstance(value, (list, tuple)):
            raise ValueError(f"base is a number of increments, or a list of tasks, not {value!r}")
        return value

    @model_validator(mode="after")
    def _teaches_something(self) -> StreamCard:
        given = bool(self.tasks or self.worlds)
        if isinstance(self.order, Named):
            if given:
                raise ValueError("a named order brings its own tasks; name the order, or tasks and worlds")
        elif not given:
            raise ValueError("a stream needs tasks, worlds or a named order")
        return self

    @property
    def listed(self) -> str:
        """What the stream teaches, in a line for listings, in the spoken language."""
        generated = [
            tr("{num} worlds of {kinds}", num=w.num, kinds=tr(", ").join(map(tr, w.kinds))) for w in self.worlds
        ]
        named = [tr("the order {name}", name=self.order.named)] if isinstance(self.order, Named) else []
        return tr(", ").join([*self.tasks, *generated, *named])

    def where(self, *loc: int | str) -> str:
        """Return file, line and field of a part of the card, for errors."""
        return read_text(self.path).where(loc) if self.path.is_file() else ".".join(map(str, loc))


NESTED: Mapping[str, type[BaseModel]] = {
    "worlds": Worlds,
    "classes": Classes,
    "seed": Seeded,
    "named": Named,
    "interleave": Interleaved,
    "recur": Recur,
    "blur": Blur,
    "budget": Budget,
}


def load_stream_card(name_or_path: str) -> StreamCard:
    """Return a stream card by name or path; raises as `load_task_card` does."""
    return load_card(StreamCard, find_card("streams", name_or_path), NESTED)
