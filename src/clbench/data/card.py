"""Cards: what a task, a stream or an exam is, written as data only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Discriminator, Field, PrivateAttr, Tag, field_validator, model_validator

from clbench.core.errors import DataError, did_you_mean
from clbench.core.types import Budget, Decode, ExamKind, Frozen, Message, Reveals, ScorerSpec
from clbench.data import template
from clbench.data.cardfile import read_text, validated

CardKind = Literal["tasks", "streams", "exams"]
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
HEX64 = r"^[0-9a-f]{64}$"
CARDS = Path(__file__).parent / "cards"

Name = Annotated[str, Field(pattern=NAME)]
Sha256 = Annotated[str, Field(pattern=HEX64)]


class PathSource(Frozen):
    """Files below the data root (`--data`, `CLBENCH_DATA`) or beside the card.

    Attributes:
        path: A folder with one file per split (or a `save_to_disk` folder), relative, without `..`.
        sha256: Split -> digest of its file; checked where given.
    """

    path: str = Field(min_length=1)
    sha256: Mapping[Name, Sha256] = {}

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, value: str) -> str:
        parts = PurePosixPath(value).parts
        if value.startswith(("/", "~")) or ".." in parts or "\\" in value or ":" in value or "\0" in value:
            raise ValueError(f"path {value!r} must be relative and stay below the data root or the card's folder")
        return value


class HubSource(Frozen):
    """A data set of the Hugging Face Hub, pinned to a commit.

    Attributes:
        repo: `owner/name`.
        config: Name of the configuration, if it has several.
        revision: The full commit hash; a branch or tag could change under us.
    """

    repo: str = Field(pattern=r"^[\w.-]+(/[\w.-]+)?$")
    config: str | None = None
    revision: str

    @field_validator("revision")
    @classmethod
    def _is_commit(cls, value: str) -> str:
        if not re.fullmatch(r"[0-9a-f]{40}", value):
            raise ValueError(f"revision {value!r} is not a commit; give all 40 hexadecimal digits, not a branch or tag")
        return value


class UrlSource(Frozen):
    """Files that are downloaded once, and refused if they are not the pinned ones.

    Attributes:
        url: http(s) address; `{split}` stands for the split's name.
        sha256: Split -> digest of its file.
    """

    url: str = Field(pattern=r"^https?://[^\s]+$")
    sha256: Mapping[Name, Sha256]

    @field_validator("url")
    @classmethod
    def _has_split(cls, value: str) -> str:
        if template.parse(value).fields != ("split",):
            raise ValueError("the address must hold {split}, and no other field")
        return value


class WorldSource(Frozen):
    """A task that is generated from a seed.

    Attributes:
        world: Settings of `clbench.data.worlds`.
    """

    world: Mapping[str, Any]


def _tag(value: Any) -> str | None:
    keys: set[str] = set(value) if isinstance(value, dict) else set(type(value).model_fields)
    tags = keys & {"path", "repo", "url", "world"}
    return tags.pop() if len(tags) == 1 else None


Source = Annotated[
    Annotated[PathSource, Tag("path")]
    | Annotated[HubSource, Tag("repo")]
    | Annotated[UrlSource, Tag("url")]
    | Annotated[WorldSource, Tag("world")],
    Discriminator(
        _tag,
        custom_error_type="source",
        custom_error_message="a source is one of {path}, {repo, config, revision}, {url, sha256} or {world}",
    ),
]


class Splits(Frozen):
    """Which split of the source is taught, asked, and used for choosing settings; `dev: null` is none."""

    lesson: Name = "train"
    dev: Name | None = "validation"
    exam: Name = "test"


class Take(Frozen):
    """How many rows are taken, chosen by hash of (seed, id) so that the choice survives row order; null is all."""

    lesson: int | None = Field(default=None, ge=1)
    dev: int | None = Field(default=None, ge=0)
    exam: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0)


class Lock(Frozen):
    """What the card gave when it was written: number of examples and digest of the materialised rows."""

    lesson: int = Field(ge=0)
    dev: int = Field(default=0, ge=0)
    exam: int = Field(ge=0)
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")


class _OnDisk(Frozen):
    """Knows the file it came from, which is no part of its content."""

    _path: Path = PrivateAttr(default=Path())

    def model_post_init(self, context: Any) -> None:
        """Take the file from the loader; a card cannot name it itself."""
        if isinstance(context, dict) and "path" in context:
            self._path = Path(context["path"])

    @property
    def path(self) -> Path:
        """The YAML file."""
        return self._path

    @property
    def shipped(self) -> bool:
        """Whether it belongs to the package."""
        return self._path.is_relative_to(CARDS)


class Card(_OnDisk):
    """A task: where its rows come from, how they are shown, what counts as right.

    Attributes:
        name: The file's name; a correction is a new name (`x-v2`), never an edit.
        source: Where the rows lie.
        prompt: The conversation up to the answer, as templates.
        target: Template of the taught answer.
        accept: A column of further accepted answers, `"{column}"`.
        labels: The closed set of answers: a list, or "from-data" (all targets of the lesson split); absent: free text.
        label_names: The data's label -> the word that is taught and asked; must name every label.
        id: Column of the row's identity; a hash of the row's content if absent.
        splits, take: Which rows.
        clip: Column -> most characters, cut at a word.
        remove: Column -> a text that is taken out of it.
        scorer: Default: "label" with labels, "exact" without.
        decode: Default: kind "label" with labels, "text" without.
        about: license, language, kind, domain; `chance` where it is not 1/number of labels.
        lock: Written by `clbench check card --lock`.
    """

    name: Name
    source: Source
    prompt: tuple[Message, ...] = ()
    target: str = ""
    accept: str | None = None
    labels: Literal["from-data"] | tuple[str, ...] | None = None
    label_names: Mapping[str, str] | None = None
    id: str | None = None
    splits: Splits = Splits()
    take: Take = Take()
    clip: Mapping[str, Annotated[int, Field(ge=1)]] = {}
    remove: Mapping[str, str] = {}
    scorer: ScorerSpec | None = None
    decode: Decode | None = None
    about: Mapping[str, Any] = {}
    lock: Lock | None = None

    @field_validator("prompt")
    @classmethod
    def _prompt_parses(cls, value: tuple[Message, ...]) -> tuple[Message, ...]:
        for message in value:
            template.parse(message.content)
        return value

    @field_validator("target", "accept")
    @classmethod
    def _template_parses(cls, value: str | None) -> str | None:
        if value is not None:
            template.parse(value)
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
        return value

    @model_validator(mode="after")
    def _hangs_together(self) -> Card:
        if isinstance(self.source, WorldSource):
            if self.prompt or self.target or self.accept or self.labels or self.label_names:
                raise ValueError("a world writes its own prompts, targets and labels")
            return self
        if not self.prompt or not self.target:
            raise ValueError("a card needs prompt and target")
        if self.accept is not None and template.parse(self.accept).only_field is None:
            raise ValueError('accept names one column: "{column}"')
        if self.label_names is not None and self.labels is None:
            raise ValueError("label_names needs labels")
        used = {f for text in self.texts for f in template.parse(text).fields}
        for field in (*self.clip, *self.remove):
            if field not in used:
                raise ValueError(f"clip or remove names {field!r}, which no template uses; {did_you_mean(field, used)}")
        return self

    @property
    def texts(self) -> tuple[str, ...]:
        """All templates whose fields must be texts: prompt and target."""
        return (*(m.content for m in self.prompt), self.target)


class StreamCard(_OnDisk):
    """Tasks in the order in which they are taught.

    Attributes:
        name: The file's name.
        tasks: Names of task cards, shipped or beside this file.
        reveals: What the learner is told: "nothing", "boundary" (a lesson ends), or "task" (its name as well).
        budget: What a learner may keep between lessons.
        about: For listings.
    """

    name: Name
    tasks: tuple[Name, ...] = Field(min_length=1)
    reveals: Reveals = "boundary"
    budget: Budget = Budget()
    about: Mapping[str, Any] = {}


class AbilitySource(Frozen):
    """Questions on a miniature ability, generated from a seed."""

    ability: str
    items: int = Field(default=100, ge=1)
    seed: int = Field(default=0, ge=0)


class TaskSource(Frozen):
    """The exam questions of a task card, whether or not the stream teaches it."""

    task: Name


def _exam_tag(value: Any) -> str | None:
    keys: set[str] = set(value) if isinstance(value, dict) else set(type(value).model_fields)
    tags = keys & {"ability", "task"}
    return tags.pop() if len(tags) == 1 else None


ExamSource = Annotated[
    Annotated[AbilitySource, Tag("ability")] | Annotated[TaskSource, Tag("task")],
    Discriminator(
        _exam_tag,
        custom_error_type="source",
        custom_error_message="an exam's source is {ability, items, seed} or {task}",
    ),
]


class ExamCard(_OnDisk):
    """A fixed exam that watches an ability while something else is learnt.

    Attributes:
        name: The file's name, and the column's.
        kind: "general", "instruction" or "long_context".
        source: Where the questions come from.
        decode, scorer: How it is asked and marked; for a task's exam the task's own where absent.
        about: For listings; `chance` where it is not 1/number of choices.
        suites: Names under which several exams are asked for at once.
    """

    name: Name
    kind: ExamKind = "general"
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
    "ability": AbilitySource,
    "task": TaskSource,
    "prompt": Message,
    "splits": Splits,
    "take": Take,
    "scorer": ScorerSpec,
    "decode": Decode,
    "lock": Lock,
    "budget": Budget,
}
C = TypeVar("C", Card, StreamCard, ExamCard)


def list_cards(kind: CardKind) -> list[str]:
    """Names of the shipped cards of a kind, sorted."""
    return sorted(p.stem for p in (CARDS / kind).glob("*.yaml"))


def find_card(kind: CardKind, name_or_path: str, beside: Path | None = None) -> Path:
    """Give the file of a card.

    Args:
        kind: Which kind of card.
        name_or_path: Name of a shipped card, or path of a YAML file.
        beside: A file of the user's: cards in its folder (or in `../<kind>`) are found by name too.

    Raises:
        DataError: There is none, or a user's card bears a shipped name.
    """
    if name_or_path.endswith((".yaml", ".yml")) or "/" in name_or_path:
        path = Path(name_or_path)
        if not path.is_file():
            raise DataError("there is no such card file", where=name_or_path)
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
            known += [p.stem for p in folder.glob("*.yaml")]
    if name_or_path not in known:
        raise DataError(
            f"there is no {kind.removesuffix('s')} card {name_or_path!r}",
            where=str(beside or ""),
            mend=did_you_mean(name_or_path, known),
        )
    return shipped


def _load(model: type[C], path: Path) -> C:
    text = read_text(path)
    card = validated(model, text, NESTED)
    if card.name != path.stem:
        raise DataError(f"name {card.name!r} must equal the file's name {path.stem!r}", where=text.where(("name",)))
    return card


def load_task_card(name_or_path: str, beside: Path | None = None) -> Card:
    """Load a task card by name or path.

    Raises:
        DataError: No such card, malformed YAML, or a wrong field; says file, line and nearest known name.
    """
    return _load(Card, find_card("tasks", name_or_path, beside))


def load_stream_card(name_or_path: str) -> StreamCard:
    """Load a stream card by name or path; raises as `load_task_card` does."""
    return _load(StreamCard, find_card("streams", name_or_path))


def load_exam_card(name_or_path: str) -> ExamCard:
    """Load an exam card by name or path; raises as `load_task_card` does."""
    return _load(ExamCard, find_card("exams", name_or_path))
