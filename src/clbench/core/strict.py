"""Strict numbers: pydantic would read the text "1_000" as 1000, and `true` as 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def turned_into_number(given: Any, read: Any, path: str) -> tuple[str, object] | None:
    """Return a text or a switch that was read as a number, or a number that was read as a switch.

    Args:
        given: What a user wrote: mappings, lists and plain values.
        read: The same after validation.
        path: The path of the value, "" at the top.

    Returns:
        The path of the first such value, and the value; None if there is none.

    Example:
        >>> turned_into_number({"seed": "1_000", "lr": 1}, {"seed": 1000, "lr": 1.0}, "")
        ('seed', '1_000')
    """
    if isinstance(given, Mapping) and isinstance(read, Mapping):
        pairs = [(name, given[name], read[name]) for name in given if name in read]  # pyright: ignore[reportUnknownVariableType]  # a bare Mapping has no item types
    elif isinstance(given, (list, tuple)) and isinstance(read, (list, tuple)):
        pairs = [(place, one, other) for place, (one, other) in enumerate(zip(given, read, strict=False))]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # same
    elif isinstance(read, (int, float)):
        other_kind = isinstance(given, str) or isinstance(given, bool) != isinstance(read, bool)
        return (path, given) if other_kind else None
    else:
        return None
    found = (turned_into_number(one, other, f"{path}.{name}" if path else str(name)) for name, one, other in pairs)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # same
    return next((wrong for wrong in found if wrong is not None), None)
