"""Checkpoints made elsewhere: row t of the matrix is the t-th folder, and nothing is trained.

    theta_t = the weights in folder t,  theta_0 = the base model

Each folder is a whole checkpoint, a merged one, or a PEFT adapter, which is merged into the base that it names; where
that is not here, into the base model of the run, with a notice. Exams, figures and statistics are those of every other
learner: equal weights give equal answers. What differs from the base model beyond the weights (config.json, tokenizer,
chat template, base of an adapter) is told in a notice, since a change of scores may then come from there. What learning
cost is not known, and no figure of it is shown, unless `costs` states it. Source: ours.

Defaults: no folders; a run needs one for each lesson of its stream.
Keeps: of each folder the digest of all that answers depend on, and not its weights: a folder that changes, or goes, is
refused where it is asked again. What the program that trained kept is not known.
Told: nothing.
Not for: a method that answers by more than the weights of one model, or an encoder's label head.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, field_serializer, field_validator, model_validator

from clbench.core.errors import ModelError, UserError
from clbench.core.events import notice
from clbench.core.extras import TO_LOAD, absent
from clbench.core.footprint import PLAIN
from clbench.core.keys import canonical
from clbench.core.protocols import Elsewhere, Learner, LearnerPlugin
from clbench.core.spec import Machine, ModelSpec, folder_name
from clbench.core.types import Ability, Answer, Decode, Example, Lesson
from clbench.core.value import Value
from clbench.models import source
from clbench.models.adapter import CONFIG, is_adapter_alone
from clbench.models.differences import differences
from clbench.models.pins import pin, unpinned
from clbench.models.place import locate, path_of
from clbench.training.schedule import refuse_eval_only

if TYPE_CHECKING:
    from clbench.models.net import Net

ANSWERS, KEEPS = Path("answers", "checkpoint.json"), Path("keeps", "lesson.json")
LAST_NUMBER = re.compile(r"(\d+)\D*$")


class Stated(Value):
    """What the user states that learning cost, over all lessons where it is one number; None is not known.

    Attributes:
        train_s: Wall seconds of each lesson.
        train_tokens: Tokens that went forward while it learnt.
        examples_used: Labelled examples taught.
        peak_memory_bytes: Largest resident memory.
        device_memory_bytes: Largest memory on an accelerator.
        kept_bytes: Bytes kept beside the model after the last lesson: stored examples, anchors, adapters.
        joules: Energy of learning.
    """

    train_s: tuple[float, ...] | None = None
    train_tokens: int | None = Field(default=None, ge=0)
    examples_used: int | None = Field(default=None, ge=0)
    peak_memory_bytes: int | None = Field(default=None, ge=1)
    device_memory_bytes: int | None = Field(default=None, ge=1)
    kept_bytes: int | None = Field(default=None, ge=0)
    joules: float | None = Field(default=None, ge=0)


class Config(Value):
    """The checkpoints, and what they cost.

    Attributes:
        folders: The folder that each lesson left, in the order of the lessons; in a recipe's file a path counts from
            that file. The digest of its content is written behind it (`out/checkpoint-100@...`).
        costs: What the user states that learning cost: `train_s` (a list, one for each lesson), `train_tokens`,
            `examples_used`, `peak_memory_bytes`, `device_memory_bytes`, `kept_bytes`, `joules`; what is left out is not
            known.
    """

    folders: tuple[str, ...] = ()
    costs: Stated = Stated()
    absent_at_default: ClassVar[frozenset[str]] = frozenset({"costs"})

    @field_serializer("costs")
    def _what_is_stated(self, costs: Stated) -> dict[str, Any]:
        return costs.model_dump(mode="json", exclude_none=True)

    @field_validator("folders")
    @classmethod
    def _are_paths(cls, folders: tuple[str, ...]) -> tuple[str, ...]:
        if not all(folder.strip() for folder in folders):
            raise ValueError("the name of a folder is empty")
        return tuple(str(folder_name(folder)) for folder in folders)

    @model_validator(mode="after")
    def _a_time_for_each_lesson(self) -> Config:
        times = self.costs.train_s
        if times is not None and len(times) != len(self.folders):
            raise ValueError(f"costs.train_s has {len(times)} values for {len(self.folders)} lessons")
        if any(seconds < 0 for seconds in times or ()):
            raise ValueError("costs.train_s has a time below zero")
        return self


class Checkpoints:
    """Answers as the checkpoint of the last lesson; before the first, as the base model."""

    def __init__(self, config: Config, model: ModelSpec, machine: Machine) -> None:
        self._config, self._model, self._machine = config, model, machine
        self._lessons = 0

    @property
    def can(self) -> frozenset[Ability]:
        """What its net can."""
        return self.net.can

    @cached_property
    def net(self) -> Net:
        """The model of the last lesson, loaded when it is first asked."""
        from clbench.models.load import load_net

        return load_net(self._model if self._spec is None else self._spec, self._machine)

    @property
    def _spec(self) -> ModelSpec | None:
        folders = self._config.folders[: self._lessons]
        return checkpoint_spec(folders[-1], self._model) if folders else None

    def respond(self, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        """Answer as the checkpoint does."""
        return self.net.respond(examples, decode)

    def learn(self, lesson: Lesson, progress: Path | None = None) -> None:
        """Take the next checkpoint."""
        refuse_eval_only(lesson)
        self._turn_to(self._lessons + 1)

    def _turn_to(self, lesson: int) -> None:
        self._lessons = lesson
        vars(self).pop("net", None)  # two models at a time may not fit

    def save(self, folder: Path) -> None:
        """Write which checkpoint answers, by its content."""
        for path in (ANSWERS, KEEPS):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / KEEPS).write_text(canonical({"lessons": self._lessons}), encoding="utf-8")
        if self._spec is not None:
            (folder / ANSWERS).write_text(canonical({"identity": source.identity(self._spec)}), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Turn to the checkpoint of a state.

        Raises:
            ModelError: It is not what it was.
        """
        self._turn_to(int(json.loads((folder / KEEPS).read_text(encoding="utf-8"))["lessons"]))
        if self._spec is None:
            return
        stated = json.loads((folder / ANSWERS).read_text(encoding="utf-8"))["identity"]
        if source.identity(self._spec) != stated:
            what = f"{self._config.folders[self._lessons - 1]}, or the base of its adapter, is not what it was"
            raise ModelError(what, where=f"lesson {self._lessons}", mend="bring it back, or use another --store")


def checkpoint_spec(folder: str, base: ModelSpec) -> ModelSpec:
    """Return how a checkpoint is loaded: as the base model is, in precision, length and what is chosen of it.

    A lone adapter whose base is not here goes on the base model's weights.

    Args:
        folder: Its path, which may have a digest behind it.
        base: The base model, with its length.
    """
    place = path_of(unpinned(folder))
    beside = (place / CONFIG).is_file() and (place / "config.json").is_file()
    adapter = base.adapter if beside and base.adapter in ("use", "ignore") else None
    spec = base.model_copy(update={"name": unpinned(folder), "revision": None, "adapter": adapter})
    if not is_adapter_alone(place) or base.adapter is not None:
        return spec
    try:
        locate(spec)
    except ModelError:
        return base.model_copy(update={"adapter": str(place)})
    return spec


def pin_files(config: Config, base: ModelSpec) -> Config:
    """Return the settings with every folder pinned to its content; tell what differs from the base model.

    Raises:
        UserError: A folder is not a checkpoint, or not one that can be asked as the base model is.
    """
    _tell_order(config.folders)
    told: dict[str, list[int]] = {}
    pinned = [_settled(folder, row, base, told) for row, folder in enumerate(config.folders, 1)]
    for text, rows in told.items():
        which = f"row {rows[0]}" if len(rows) == 1 else f"rows {', '.join(map(str, rows))}"
        notice(f"checkpoints, {which} against row 0: {text}; a change of scores may come from there")
    _tell_equal([source.content_of(path_of(unpinned(folder))) for folder in pinned])
    return config.model_copy(update={"folders": tuple(pinned)})


def _settled(folder: str, row: int, base: ModelSpec, told: dict[str, list[int]]) -> str:
    place = path_of(unpinned(folder))
    try:
        spec = checkpoint_spec(folder, base)
        locate(spec)
        if not absent(TO_LOAD):
            from clbench.models.skeleton import check_checkpoint

            check_checkpoint(source.settled(spec))
        unlike = differences(base, spec)
        if spec.name == base.name and is_adapter_alone(place):
            unlike.append("the base that its adapter names is not here, so it is merged into the weights of row 0")
        for text in unlike:
            told.setdefault(text, []).append(row)
        return pin(folder, source.content_of(place), "")
    except UserError as error:
        error.where = f"checkpoint of lesson {row} ({unpinned(folder)})"
        raise


def _tell_order(folders: Sequence[str]) -> None:
    """Say where numbers at the end of names do not rise: a shell sorts `checkpoint-1000` before `checkpoint-200`."""
    names = [unpinned(folder).rstrip("/") for folder in folders]
    numbers = [int(found[1]) for name in names if (found := LAST_NUMBER.search(Path(name).name))]
    if len(numbers) == len(folders) and numbers != sorted(numbers):
        notice(f"checkpoints are taken in the order given, and their numbers do not rise: {', '.join(names)}")


def _tell_equal(contents: Sequence[str]) -> None:
    """Say which rows hold the same files: one folder may have been named twice."""
    rows = {content: [row for row, other in enumerate(contents, 1) if other == content] for content in contents}
    for same in rows.values():
        if len(same) > 1:
            notice(f"checkpoints, rows {', '.join(map(str, same))}: they hold the same files")


def stated_costs(config: Config) -> Mapping[str, Any]:
    """Return the fields of `Costs` that the user states."""
    found = {name: value for name, value in config.costs if value is not None}
    times = found.pop("train_s", None)
    return found if times is None else {**found, "train_s": sum(times), "train_s_by_lesson": times}


def build(config: Config, model: ModelSpec, seed: int, machine: Machine) -> Learner:
    """Make a learner that loads each checkpoint when it is asked; the seed does not matter."""
    return Checkpoints(config, model, machine)


PLUGIN = LearnerPlugin(
    config=Config,
    build=build,
    version=1,
    footprint=PLAIN,
    answers="net",
    elsewhere=Elsewhere(lessons=lambda config: len(config.folders), pin=pin_files, costs=stated_costs),
    uses_task_ids=False,
    model_families=("causal",),
    about="Checkpoints that another program made, examined as if they had been learnt here.",
)
