"""What a learner says of itself in typed fields: in its plug-in, and so in the record of every run of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

Family = Literal["bounds", "replay", "regularisation", "isolation", "light fine-tuning", "hybrid", "in-context"]
FAMILIES: tuple[Family, ...] = get_args(Family)
Stores = Literal["none", "derived", "may_quote", "examples"]
LEVELS: tuple[Stores, ...] = get_args(Stores)  # from the least to the most revealing
Trains = Literal["all", "part", "none"]
TRAINS: tuple[Trains, ...] = get_args(Trains)
ModelFamily = Literal["causal", "encoder"]
LINES = ("paper", "about")  # free text; each other trait has a fixed set of values


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What kind of method a learner is, with its settings; None and "" where it does not say.

    Attributes:
        family: Its family in the field's terms. "bounds" are reference points that methods lie between: frozen, joint;
            "isolation" gives each lesson parameters of its own; "light fine-tuning" trains few parameters, or few
            directions; "hybrid" is put together from others.
        stores: What it keeps of users' data beside the weights that it has trained: "none"; "derived", numbers made of
            examples (Fisher matrices, mean states); "may_quote", text that can repeat them word for word; "examples",
            as they are, or it needs all of them at one time.
        needs_task_ids: It must be told which task a lesson and a question belong to.
        uses_task_ids: It answers differently where it is told the task of a question.
        uses_boundaries: It uses where a lesson begins or ends. Records made before this trait do not say.
        sees_documents: It is shown what answers a question (`Example.document`), as no learner may be: a bound.
        unbounded: Another program trains, and nothing bounds what it keeps: it is ranked apart.
        model_families: Kinds of models on which it is defined.
        trains: Which weights it trains: "all" those of the base model; "part", some of them or few directions, or
            parameters that it adds; "none".
        paper: Where it was published: authors, year and arXiv number; "" if it is ours.
        about: What it does, on one line.
    """

    family: Family | None = None
    stores: Stores | None = None
    needs_task_ids: bool | None = None
    uses_task_ids: bool | None = None
    uses_boundaries: bool | None = None
    sees_documents: bool = False
    unbounded: bool = False
    model_families: tuple[ModelFamily, ...] = ()
    trains: Trains | None = None
    paper: str = ""
    about: str = ""

    @property
    def stores_text(self) -> bool | None:
        """Whether somebody could read users' examples in what it keeps; None if not known."""
        return None if self.stores is None else self.stores in ("may_quote", "examples")

    def record(self) -> dict[str, Any]:
        """Return all traits as a JSON value; those of `RARE` are said where they hold, as in older records.

        Example:
            >>> Traits(family="replay", stores="examples").record()["stores"]
            'examples'
        """
        found = asdict(self) | {"model_families": list(self.model_families)}
        return {name: value for name, value in found.items() if value or name not in RARE}


RARE = ("sees_documents", "unbounded")
FLAG, TEXT = "True or False", "a text"
ALLOWED: dict[str, tuple[Any, ...] | str] = {  # of what a plug-in declares: its values, or what kind of value it is
    "teaches": ("in_turn", "at_once"),
    "answers": ("net", "own", None),
    "family": (*FAMILIES, None),
    "stores": (*LEVELS, None),
    "trains": (*TRAINS, None),
    "uses_task_ids": (True, False, None),
    "uses_boundaries": (True, False, None),
    "needs_task_ids": FLAG,
    "sees_documents": FLAG,
    "unbounded": FLAG,
    "starts_as_base": FLAG,
    "paper": TEXT,
    "about": TEXT,
    "version": "a whole number, 1 or more",
    "model_families": f"some of {', '.join(get_args(ModelFamily))}, as a tuple",
    "neutral": "a mapping of settings, or None",
    "first_lesson_as": "the name of a learner, or None",
}


def fault_of(name: str, value: object) -> str:
    """Return what a declared field should be where its value is not allowed; "" where it is.

    Example:
        >>> fault_of("stores", "everything")
        "one of 'none', 'derived', 'may_quote', 'examples', None"
        >>> fault_of("needs_task_ids", "no")
        'True or False'
    """
    allowed = ALLOWED[name]
    if isinstance(allowed, tuple):
        fits = any(value is one or (isinstance(one, str) and value == one) for one in allowed)
        return "" if fits else f"one of {', '.join(map(repr, allowed))}"
    fits = {
        FLAG: isinstance(value, bool),
        TEXT: isinstance(value, str),
        ALLOWED["version"]: isinstance(value, int) and not isinstance(value, bool) and value >= 1,
        ALLOWED["model_families"]: isinstance(value, (tuple, list))
        and bool(value)
        and all(kind in get_args(ModelFamily) for kind in value),
        ALLOWED["neutral"]: value is None or isinstance(value, Mapping),
        ALLOWED["first_lesson_as"]: value is None or isinstance(value, str),
    }
    return "" if fits[allowed] else allowed


NAMES = tuple(field.name for field in fields(Traits))
LATER = ("uses_boundaries",)  # traits that records made before them lack


def read_traits(record: Mapping[str, Any]) -> Traits:
    """Return the traits of a record; a value that is not allowed counts as not said.

    Example:
        >>> read_traits({"family": "replay", "stores": "a novelty"})
        Traits(family='replay', stores=None, needs_task_ids=None, uses_task_ids=None, \
uses_boundaries=None, sees_documents=False, unbounded=False, model_families=(), trains=None, \
paper='', about='')
    """
    listed = record.get("model_families")
    kinds = [kind for kind in get_args(ModelFamily) if isinstance(listed, (list, tuple)) and kind in listed]
    return Traits(
        family=_one_of(record.get("family"), FAMILIES),
        stores=_one_of(record.get("stores"), LEVELS),
        needs_task_ids=_flag(record.get("needs_task_ids")),
        uses_task_ids=_flag(record.get("uses_task_ids")),
        uses_boundaries=_flag(record.get("uses_boundaries")),
        sees_documents=record.get("sees_documents") is True,
        unbounded=record.get("unbounded") is True,
        model_families=tuple(kinds),
        trains=_one_of(record.get("trains"), TRAINS),
        paper=_line(record.get("paper")),
        about=_line(record.get("about")),
    )


def _one_of(value: object, allowed: tuple[Any, ...]) -> Any:
    return value if isinstance(value, str) and value in allowed else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _line(value: object) -> str:
    return value if isinstance(value, str) else ""
