"""The base of all values: immutable, and read from older files too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator


class Value(BaseModel):
    """A value: immutable, and an unknown field is an error.

    Attributes:
        absent_at_default: Fields newer than the first keys. Keys leave them out at their defaults, so that stores and
            locks stay valid. A class that names its own has those of its bases too.
        stored_as: Field -> the older name under which keys and saved states hold it, so that they stay valid.
    """

    absent_at_default: ClassVar[frozenset[str]] = frozenset()
    stored_as: ClassVar[Mapping[str, str]] = {}
    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Add the newer fields of the bases."""
        named = (vars(base).get("absent_at_default", ()) for base in cls.__mro__)
        cls.absent_at_default = frozenset[str]().union(*named)

    def kept(self) -> Iterable[tuple[str, object]]:
        """Return the fields that keys and files hold, as they hold them."""
        return vars(self).items()


def written(value: BaseModel) -> dict[str, Any]:
    """Return a value's fields as JSON values, without those newer than the first keys that stand at their defaults.

    Keys of runs are made of settings as they are written down; so a new setting leaves the keys of older runs alone.
    """
    newer = value.absent_at_default if isinstance(value, Value) else frozenset[str]()
    fields = type(value).model_fields
    idle = {name for name, part in value if name in newer and part == fields[name].default}
    return value.model_dump(mode="json", exclude=idle)


class Renamed(Value):
    """A value some of whose fields have other names in older files: both names are read.

    Attributes:
        formerly: Older name -> field.
    """

    formerly: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _read_older_names(cls, data: Any) -> Any:
        older = dict(cls.formerly) | {old: new for new, old in cls.stored_as.items()}
        if not isinstance(data, Mapping) or older.keys().isdisjoint(data):
            return data
        if both := [old for old, new in older.items() if old in data and new in data]:
            raise ValueError(f"{both[0]!r} is an older name of {older[both[0]]!r}, and both are there")
        return {older.get(str(name), name): value for name, value in data.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # a bare Mapping has no item types
