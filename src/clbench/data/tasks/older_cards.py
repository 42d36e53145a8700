"""Cards that use older words: they are read, and a notice names the present words."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from clbench.core.errors import DataError
from clbench.core.events import notice

FIELDS = {"reveals": "task_ids", "per_round": "per_lesson"}
TASK_IDS = {"nothing": "hidden", "boundary": "boundaries", "task": "given"}


def in_words_of_today(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the fields of a card under their present names.

    Args:
        values: The fields as the card has them.
        where: The card's file, for the notice.

    Raises:
        DataError: A field stands there under both of its names.
    """
    if both := [old for old, new in FIELDS.items() if old in values and new in values]:
        what = f"`{both[0]}` is an older name of `{FIELDS[both[0]]}`, and the card has both"
        raise DataError(what, where=where, mend=f"leave `{both[0]}` out")
    found = {FIELDS.get(str(name), str(name)): value for name, value in values.items()}
    if "reveals" in values:
        found["task_ids"] = TASK_IDS.get(str(values["reveals"]), values["reveals"])
    renamed = [
        f"`{_line(old, values[old])}` is now `{_line(new, found[new])}`" for old, new in FIELDS.items() if old in values
    ]
    for part in ("about", "lock"):
        inner = found.get(part)
        if isinstance(inner, Mapping) and "chance" in inner:
            found[part] = {"guess_rate" if name == "chance" else name: value for name, value in inner.items()}  # pyright: ignore[reportUnknownVariableType]  # a bare Mapping has no item types
            renamed += [f"`{part}.chance` is now `{part}.guess_rate`"] if part == "about" else []
    if renamed:
        _tell(where, "; ".join(renamed))
    return found


def _line(field: str, value: Any) -> str:
    return f"{field}:" if value is None else f"{field}: {value}"


@lru_cache(maxsize=256)
def _tell(where: str, renamed: str) -> None:
    """Give the notice once per card, however often the card is opened."""
    notice(f"{where}: {renamed}; it is read as that")
