"""Strict values: pydantic would read the text "1_000" as 1000, `true` as 1, and would not write a number of numpy."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any


def as_python(value: Any) -> Any:
    """Return a value with numpy's numbers and arrays, and with paths, as Python's own; all else in it stays as it is.

    A number of numpy is read by the shortest decimal that names it, as a user sees it: `np.float32(0.1)` is 0.1.

    Example:
        >>> import numpy as np
        >>> as_python({"lr": np.float32(0.1), "seed": np.arange(2)})
        {'lr': 0.1, 'seed': [0, 1]}
    """
    if isinstance(value, Mapping):
        return {name: as_python(part) for name, part in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # a bare Mapping has no item types
    if isinstance(value, (list, tuple)):
        return [as_python(part) for part in value]  # pyright: ignore[reportUnknownVariableType]  # same
    if isinstance(value, PurePath):
        return str(value)
    numpy = sys.modules.get("numpy")  # where it is not loaded, nothing is of it
    return value if numpy is None else _of_numpy(value, numpy)


def _of_numpy(value: Any, numpy: Any) -> Any:
    if isinstance(value, numpy.ndarray):
        return as_python(list(value) if value.ndim else value[()])
    if isinstance(value, numpy.floating):
        return float(numpy.format_float_scientific(value))
    return value.item() if isinstance(value, numpy.generic) else value


def not_plain(value: Any, path: str) -> tuple[str, object] | None:
    """Return the path of the first value that no recipe file could hold, and the value; None if there is none.

    Example:
        >>> not_plain({"lr": [0.1, 1j]}, "learner")
        ('learner.lr.1', 1j)
    """
    if isinstance(value, Mapping):
        pairs: Any = value.items()  # pyright: ignore[reportUnknownVariableType]  # a bare Mapping has no item types
    elif isinstance(value, (list, tuple)):
        pairs = enumerate(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # same
    else:
        return None if value is None or isinstance(value, (bool, int, float, str)) else (path, value)
    found = (not_plain(part, f"{path}.{name}") for name, part in pairs)
    return next((wrong for wrong in found if wrong is not None), None)


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
