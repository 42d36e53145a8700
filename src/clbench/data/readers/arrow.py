"""What Arrow files and `datasets` folders know beyond their values: names of classes, whole numbers stored as decimals.

pandas keeps whole numbers with a gap among them as decimals (3 becomes 3.0, the gap NaN). A column of decimals that
are all whole, with a gap, is read as the whole numbers that it was.
"""

from __future__ import annotations

import datetime
import decimal
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from clbench.data.readers.numbers import named, real

Change = Callable[[Any], Any]
WIDEST = 2.0**53  # the last of the whole numbers that a decimal holds without a gap


def is_upcast(chunks: Iterable[Any]) -> bool:
    """Return whether a column of decimals holds whole numbers and gaps only, at least one of each."""
    import numpy as np

    gaps = numbers = 0
    for chunk in chunks:
        values = np.asarray(chunk.to_numpy(zero_copy_only=False), dtype=np.float64)
        gap = np.isnan(values)
        seen = values[~gap]
        if not (np.isfinite(seen).all() and (np.abs(seen) < WIDEST).all() and (seen == np.floor(seen)).all()):
            return False
        gaps += int(gap.sum())
        numbers += len(seen)
    return gaps > 0 and numbers > 0


def decimals(schema: Any) -> list[str]:
    """Return the names of the columns of decimal numbers."""
    import pyarrow as pa

    return [field.name for field in schema if pa.types.is_floating(field.type)]


def narrow(schema: Any) -> dict[str, Change]:
    """Return column -> change that shows decimals of 16 and 32 bits as they were written: 0.1, not 0.10000000149."""
    import numpy as np
    import pyarrow as pa

    kinds = ((pa.types.is_float16, np.float16), (pa.types.is_float32, np.float32))
    return {f.name: _shortest(kind) for f in schema for holds, kind in kinds if holds(f.type)}


def _shortest(kind: Callable[[float], object]) -> Change:
    def change(value: Any) -> Any:
        return None if value is None or math.isnan(value) else real(str(kind(float(value))))

    return change


def changes(features: Mapping[str, Any], upcast: Sequence[str], schema: Any) -> dict[str, Change]:
    """Return column -> the change of its values before they are used.

    Args:
        features: Column -> what `datasets` says of it, as its JSON; may be empty.
        upcast: Columns of whole numbers that are stored as decimals.
        schema: The schema of the table in pyarrow.
    """
    found: dict[str, Change] = narrow(schema) | dict.fromkeys(upcast, _as_whole_number)
    return found | {name: how for name, feature in features.items() if (how := _namer(feature)) is not None}


def changed(row: Mapping[str, Any], how: Mapping[str, Change]) -> dict[str, Any]:
    """Return a row with names of classes, whole numbers, None for NaN, and dates and decimals as text."""
    return {name: how[name](value) if name in how else plain(value) for name, value in row.items()}


def plain(value: Any) -> Any:
    """Return a value as JSON would hold it, except for bytes and other things that have no text."""
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, (list, tuple)):
        items: Sequence[Any] = value
        return [plain(v) for v in items]
    if isinstance(value, dict):
        parts: Mapping[Any, Any] = value
        return {str(k): plain(v) for k, v in parts.items()}
    return _written(value)


def _written(value: Any) -> Any:
    if isinstance(value, decimal.Decimal):
        return f"{value:f}"
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return str(value) if isinstance(value, datetime.timedelta) else value


def _as_whole_number(value: Any) -> int | None:
    return None if value is None or math.isnan(value) else int(value)


def _namer(feature: Any) -> Change | None:
    """Return the change that names the classes in a column, or None if it holds no classes."""
    if isinstance(feature, list):
        return _each(_namer(feature[0])) if feature else None
    if not isinstance(feature, Mapping):
        return None
    what: Mapping[str, Any] = feature
    kind = what.get("_type")
    if kind == "ClassLabel":
        names: Sequence[str] = what.get("names") or ()
        return lambda value: _class(value, names)
    if isinstance(kind, str):
        return _each(_namer(what["feature"])) if "feature" in what else None
    inside = {name: how for name, part in what.items() if (how := _namer(part)) is not None}
    return _inside(inside) if inside else None


def _class(value: Any, names: Sequence[str]) -> Any:
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    if value == -1:  # in `datasets`, a row without a class
        return named(value, "")
    return named(value, names[value]) if 0 <= value < len(names) else value


def _each(how: Change | None) -> Change | None:
    if how is None:
        return None

    def change(value: Any) -> Any:
        if isinstance(value, list):
            items: list[Any] = value
            return [how(v) for v in items]
        return how(value)  # a sequence of structures is a structure of lists

    return change


def _inside(parts: Mapping[str, Change]) -> Change:
    def change(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        found: dict[str, Any] = value
        return {k: _listwise(parts[k], v) if k in parts else plain(v) for k, v in found.items()}

    return change


def _listwise(how: Change, value: Any) -> Any:
    if isinstance(value, list):
        items: list[Any] = value
        return [_listwise(how, v) for v in items]
    return how(value)


def remarks_of(upcast: Sequence[str]) -> list[str]:
    """Return sentences on columns that are read in another way than they are stored."""
    what = "holds whole numbers and gaps, stored as decimals (3.0): they are read as whole numbers (3)"
    return [f"column {name!r} {what}" for name in upcast]
