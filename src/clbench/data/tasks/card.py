"""Cards: tasks, streams and exams written as data only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Discriminator, Field, PrivateAttr, Tag, field_validator, model_validator

from clbench.core.errors import AbsentError, DataError, did_you_mean, near_paths
from clbench.core.types import Budget, Decode, ExamKind, Message, ScorerSpec
from clbench.core.value import Value
from clbench.data.tasks import template
from clbench.data.tasks.card_file import read_text, refuse_folding, validated
from clbench.data.tasks.columns import Join, NewColumn, Packed, Part, Spans
from clbench.data.tasks.lm_eval_card import HarnessSource
from clbench.data.tasks.source import HubSource, Name, PathSource, RowSource, Source, UrlSource, WorldSource

CardKind = Literal["tasks", "streams", "exams"]
CARDS = Path(__file__).parents[2] / "cards"


class Splits(Value):
    """The splits of the source that are taught, asked, and used for choosing settings.

    `dev: null`: no such split; `lesson: null`: a task for exams only, which no stream can teach.
    """

    lesson: Name | None = "train"
    dev: Name | None = "validation"
    exam: Name = "test"


class Take(Value):
    """The number of rows of each split, chosen by hash of (seed, id), whatever the order of rows; null is all."""

    lesson: int | None = Field(default=None, ge=1)
    dev: int | None = Field(default=None, ge=0)
    exam: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0)


class Lock(Value):
    """The content of the card when it was locked: numbers of examples, guess rate, and digest of the rendered rows."""

    lesson: int = Field(ge=0)
    dev: int = Field(default=0, ge=0)
    exam: int = Field(ge=0)
    guess_rate: float | None = Field(default=None, ge=0, le=1)
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")


class OnDisk(Value):
    """What every card has: a name, equal to the file's, and its file, which is not part of its content."""

    name: Name
    _path: Path = PrivateAttr(default=Path())

    def model_post_init(self, context: Any) -> None:
        """Set the file, which the loader knows; a card cannot name it itself."""
        if isinstance(context, dict) and "path" in context:
            self._path = Path(context["path"])

    @property
    def path(self) -> Path:
        """The YAML file."""
        return self._path

    @property
    def shipped(self) -> bool:
        """Whether the card belongs to the package."""
        return self._path.is_relative_to(CARDS)


class Card(OnDisk):
    """A task: where its rows come from, how they are shown, what counts as right.

    Attributes:
        name: The file's name; a corrected card gets a new name (`x-v2`).
        source: Where the rows lie; of a list of sources, the first that exists is read.
        each: Columns that hold lists, equally long in every row: each position of them is an example of its own, with
            the rest of the row; the examples of a row are one group.
        columns: Name -> a text made from the data's columns (a joined list, marked spans, a part), for the templates.
        prompt: The conversation up to the answer, as templates.
        target: Template of the taught answer; a task for exams only may lack it beside one of the next three.
        check: Template of what the scorer needs beyond the target: tests of a program, instructions to verify.
        rubric: A column of rubrics, `"{column}"`, by which a judge grades answers: see `clbench.data.tasks.rubrics`.
        accept: A column of further accepted answers, `"{column}"`: a list of texts, or one text.
        choices: The choices of each row: `"{column}"` with a list of texts, or a list of templates.
        choice_keys: The data's names for the choices in their order ("A", "B", ... or "0", "1", ...), if the target
            is such a name, not the choice itself.
        labels: The closed set of answers: a list, or "from-data" (all targets of the lesson split); absent: free text.
        label_names: The data's label -> the word that is taught and asked; must name every label.
        id: Column of the row's identity; a hash of the row's content if absent.
        splits, take: Which rows are used.
        skip: Ids of rows that are left out, for example because another task's exam asks the same.
        clip: Column -> most characters, cut at a word; a negative number keeps the end of the text.
        remove: Column -> a text that is deleted from it.
        scorer, decode: Default: "label" and kind "label" with labels, "exact" (or "judged") and "text" without.
        about: license, language, kind, domain; `guess_rate` if it is not 1/number of labels.
        unverified: Written from documentation, and not yet compared with its rows.
        lock: Written by `clbench check card --lock`.
    """

    name: Name
    source: Source
    each: tuple[str, ...] = ()
    columns: Mapping[str, NewColumn] = {}
    prompt: tuple[Message, ...] = ()
    target: str = ""
    check: str = ""
    rubric: str | None = None
    accept: str | None = None
    choices: str | tuple[str, ...] | None = None
    choice_keys: tuple[str, ...] | None = None
    labels: Literal["from-data"] | tuple[str, ...] | None = None
    label_names: Mapping[str, str] | None = None
    id: str | None = None
    splits: Splits = Splits()
    take: Take = Take()
    skip: tuple[str, ...] = ()
    clip: Mapping[str, int] = {}
    remove: Mapping[str, str] = {}
    scorer: ScorerSpec | None = None
    decode: Decode | None = None
    about: Mapping[str, Any] = {}
    unverified: bool = False
    lock: Lock | None = None

    @field_validator("prompt")
    @classmethod
    def _prompt_parses(cls, value: tuple[Message, ...]) -> tuple[Message, ...]:
        for message in value:
            template.parse(message.content)
        return value

    @field_validator("target", "check", "rubric", "accept", "choices")
    @classmethod
    def _template_parses(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        for text in (value,) if isinstance(value, str) else value or ():
            template.parse(text)
        return value

    @field_validator("columns")
    @classmethod
    def _columns_have_names(cls, value: Mapping[str, NewColumn]) -> Mapping[str, NewColumn]:
        for name in value:
            template.parse(f"{{{name}}}")
        return value

    @field_validator("clip")
    @classmethod
    def _clip_leaves_something(cls, value: Mapping[str, int]) -> Mapping[str, int]:
        if 0 in value.values():
            raise ValueError("clip to 0 characters leaves nothing")
        return value

    @field_validator("labels", mode="before")
    @classmethod
    def _plain_labels(cls, value: Any) -> Any:
        if isinstance(value, str) and value != "from-data":
            raise ValueError(f'labels is "from-data" or a list of texts, not {value!r}')
        if isinstance(value, list):
            texts: list[Any] = value
            if len(texts) < 2 or not all(isinstance(v, str) and v for v in texts) or len(set(texts)) < len(texts):
                raise ValueError("labels must be at least two different texts; quote numbers")
            refuse_folding("labels", texts)
        return value

    @field_validator("label_names")
    @classmethod
    def _names_stand_apart(cls, value: Mapping[str, str] | None) -> Mapping[str, str] | None:
        refuse_folding("label_names", tuple(dict.fromkeys((value or {}).values())))
        return value

    @model_validator(mode="after")
    def _hangs_together(self) -> Card:
        if self.unverified and self.lock is not None:
            raise ValueError("a card is unverified or has a lock, not both")
        if not self.unverified and any(isinstance(s, HubSource) and s.revision is None for s in self.sources):
            raise ValueError("revision is missing: give the 40-hex commit (only an unverified card may lack it)")
        if isinstance(self.source, WorldSource):
            fields = (self.accept, self.rubric, self.labels, self.label_names, self.choices, self.columns, self.each)
            if self.texts != ("", "") or any(fields):
                raise ValueError("a world writes its own prompts, targets and labels")
            return self
        if not self.prompt or not (
            self.target or ((self.check or self.accept or self.rubric) and self.splits.lesson is None)
        ):
            raise ValueError("a card needs prompt and target")
        if self.labels == "from-data" and self.splits.lesson is None:
            raise ValueError("labels from-data come from the lesson split, and there is none: list them")
        if any(text is not None and template.parse(text).only_field is None for text in (self.accept, self.rubric)):
            raise ValueError('accept names one column, and so does rubric: "{column}"')
        if self.label_names is not None and self.labels is None:
            raise ValueError("label_names needs labels")
        self._check_choices()
        self._check_fields()
        return self

    def _check_choices(self) -> None:
        if self.choices is None:
            if self.choice_keys is not None:
                raise ValueError("choice_keys needs choices")
            return
        if self.labels is not None:
            raise ValueError("choices belong to a row and labels to the whole set: give one of them")
        if isinstance(self.choices, str):
            if template.parse(self.choices).only_field is None:
                raise ValueError('choices names one column, "{column}", or is a list of templates')
        elif len(self.choices) < 2:
            raise ValueError("choices must be at least two")
        elif self.choice_keys is not None and len(self.choice_keys) != len(self.choices):
            raise ValueError(f"there are {len(self.choices)} choices and {len(self.choice_keys)} choice_keys")
        if self.choice_keys is not None and len(set(self.choice_keys)) < len(self.choice_keys):
            raise ValueError("choice_keys must differ from each other")

    def _check_fields(self) -> None:
        used = {f for text in self.texts for f in template.parse(text).fields}
        for field in (*self.clip, *self.remove):
            if field not in used:
                raise ValueError(f"clip or remove names {field!r}, which no template uses; {did_you_mean(field, used)}")
        listed = {f for t in (self.accept, self.choices) if isinstance(t, str) for f in template.parse(t).fields}
        for field in self.columns:
            if field not in used | listed:
                raise ValueError(f"columns makes {field!r}, which no template uses; {did_you_mean(field, used)}")

    @property
    def sources(self) -> tuple[RowSource, ...]:
        """Where rows may lie, in the order in which they are tried; empty for a generated task."""
        if isinstance(self.source, WorldSource):
            return ()
        return self.source if isinstance(self.source, tuple) else (self.source,)

    @property
    def texts(self) -> tuple[str, ...]:
        """All templates whose fields must be texts: prompt, target, check, and choices that are templates."""
        return (
            *(m.content for m in self.prompt),
            self.target,
            self.check,
            *(() if isinstance(self.choices, str) else self.choices or ()),
        )


class AbilitySource(Value):
    """Questions on a miniature ability, generated from a seed.

    `length` counts the pairs of "recall" and the facts that "lookup" shows; form, language and wording are "lookup"'s.
    """

    ability: str
    items: int = Field(default=100, ge=1)
    seed: int = Field(default=0, ge=0)
    length: int | None = Field(default=None, ge=1)
    form: str | None = None
    language: Literal["en", "zh"] | None = None
    wording: Literal["taught", "held-out"] | None = None


class TaskSource(Value):
    """The exam questions of a task card, taught by the stream or not; `items` of them, chosen by hash of id."""

    task: Name
    items: int | None = Field(default=None, ge=1)


def _exam_tag(value: Any) -> str | None:
    keys: set[str] = set(value) if isinstance(value, dict) else set(type(value).model_fields)
    tags = keys & {"ability", "task", "harness"}
    return tags.pop() if len(tags) == 1 else None


ExamSource = Annotated[
    Annotated[AbilitySource, Tag("ability")]
    | Annotated[TaskSource, Tag("task")]
    | Annotated[HarnessSource, Tag("harness")],
    Discriminator(
        _exam_tag,
        custom_error_type="source",
        custom_error_message="an exam's source is {ability, items, seed, length, form, language, wording}, "
        "{task, items} or {harness, ...}",
    ),
]


class ExamCard(OnDisk):
    """A fixed exam that watches an ability while something else is learnt.

    Attributes:
        name: The file's name, and the column's.
        kind: "general", "instruction" or "long_context".
        ability: Name of the ability in reports: "knowledge", "mathematics", "reasoning", "code", "instruction",
            "long context", "Chinese".
        source: Where the questions come from.
        decode, scorer: How it is asked and graded; the task's own if absent in a task's exam.
        about: For listings; `guess_rate` if it is not 1/number of choices.
        suites: Names that stand for several exams.
    """

    name: Name
    kind: ExamKind = "general"
    ability: str = ""
    source: ExamSource
    decode: Decode | None = None
    scorer: ScorerSpec | None = None
    about: Mapping[str, Any] = {}
    suites: tuple[Name, ...] = ()


NESTED: Mapping[str, type[BaseModel]] = {
    "path": PathSource,
    "repo": HubSource,
    "url": UrlSource,
    "world": WorldSource,
    "join": Join,
    "spans": Spans,
    "part": Part,
    "json_of": Packed,
    "ability": AbilitySource,
    "task": TaskSource,
    "harness": HarnessSource,
    "prompt": Message,
    "splits": Splits,
    "take": Take,
    "scorer": ScorerSpec,
    "decode": Decode,
    "lock": Lock,
    "budget": Budget,
}
C = TypeVar("C", bound=OnDisk)


def list_cards(kind: CardKind) -> list[str]:
    """Return the names of the shipped cards of a kind, sorted; numbers in them by their value."""
    return sorted((p.stem for p in (CARDS / kind).glob("*.yaml")), key=_by_value)


def _by_value(name: str) -> list[tuple[str, int]]:
    return [(text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", name)]


def find_card(kind: CardKind, name_or_path: str, beside: Path | None = None) -> Path:
    """Return the file of a card.

    Args:
        kind: The kind of card.
        name_or_path: Name of a shipped card, or path of a YAML file.
        beside: A file of the user: cards in its folder (or in `../<kind>`) are found by name too.

    Raises:
        DataError: There is no such card, or a user's card has the name of a shipped one.
    """
    if name_or_path.endswith((".yaml", ".yml")) or "/" in name_or_path:
        path = Path(name_or_path)
        if not path.is_file():
            raise DataError("there is no such card file", where=name_or_path, mend=near_paths(path))
        return path
    shipped = CARDS / kind / f"{name_or_path}.yaml"
    known = list_cards(kind)
    if beside is not None and not beside.is_relative_to(CARDS):
        for folder in (beside.parent, beside.parent.parent / kind):
            own = folder / f"{name_or_path}.yaml"
            if own.is_file() and name_or_path in known:
                raise DataError(f"{name_or_path!r} is a shipped card's name too", where=str(own), mend="rename yours")
            if own.is_file():
                return own
            known += [p.stem for p in folder.glob("[!.]*.yaml")]
    if name_or_path not in known:
        raise AbsentError(
            f"there is no {kind.removesuffix('s')} card {name_or_path!r}",
            where=str(beside or ""),
            mend=did_you_mean(name_or_path, known),
        )
    return shipped


def load_card(model: type[C], path: Path, nested: Mapping[str, type[BaseModel]] = NESTED) -> C:
    """Return the card of a kind in a file; raises as `load_task_card` does."""
    text = read_text(path)
    card = validated(model, text, nested)
    if card.name != path.stem:
        raise DataError(f"name {card.name!r} must equal the file's name {path.stem!r}", where=text.where(("name",)))
    return card


def load_task_card(name_or_path: str, beside: Path | None = None) -> Card:
    """Return a task card by name or path.

    Raises:
        DataError: There is no such card, the YAML is malformed, or a field is wrong; names file, line and nearest name.
    """
    return load_card(Card, find_card("tasks", name_or_path, beside))


def load_exam_card(name_or_path: str) -> ExamCard:
    """Return an exam card by name or path; raises as `load_task_card` does."""
    return load_card(ExamCard, find_card("exams", name_or_path))
