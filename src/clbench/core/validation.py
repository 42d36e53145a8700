"""What a user wrote against a model: every mistake is told in one line, with the nearest name that there is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from clbench.core.errors import SpecError, did_you_mean
from clbench.core.spec import RunSpec
from clbench.core.strict import turned_into_number

LISTS = frozenset({"tuple_type", "list_type", "too_short", "too_long"})  # errors where a list is what is wanted


def validated(model: type[BaseModel], value: Mapping[str, Any], where: str) -> Any:
    """Validate a mapping against a model; every mistake becomes one line with the nearest known field.

    Raises:
        SpecError: A field is unknown, missing or out of range; a number is written as a text or a switch; or it is not
            finite, which no setting can be.
    """
    try:
        found = model.model_validate(dict(value))
    except ValidationError as error:
        raise wrong_fields(model, error, where) from error
    check_numbers(value, found, where)
    return found


def check_numbers(value: Mapping[str, Any], found: BaseModel, where: str) -> None:
    """Refuse a number that is written as a text or a switch, and one that is not finite.

    Args:
        value: What a user wrote.
        found: The same after validation.
        where: The path of both, "" at the top.

    Raises:
        SpecError: Names the first such value.
    """
    if (turned := turned_into_number(value, found.model_dump(), where)) is not None:
        path, given = turned
        mend = "write it as YAML 1.2 does, without quotes: 1000, not 1_000; true and false stand for switches alone"
        raise SpecError(f"a number or a switch is wanted, not {given!r:.60}", where=path, mend=mend)
    if (endless := _not_finite(found.model_dump(), where)) is not None:
        path, given = endless
        mend = "a large number may do what was meant"
        raise SpecError(f"a setting is a finite number, not {given}", where=path, mend=mend)


def wrong_fields(model: type[BaseModel], error: ValidationError, where: str) -> SpecError:
    """Return the error that tells every wrong field in a line of its own, with the nearest known one."""
    lines: list[str] = []
    for item in error.errors(include_url=False):
        path = ".".join([*([where] if where else []), *(str(part) for part in item["loc"])])
        if item["type"] == "extra_forbidden":
            near = did_you_mean(str(item["loc"][-1]), _fields(model, item["loc"]))
            lines.append(f"{path}: no such setting; {near}")
        elif item["type"] == "missing":
            lines.append(f"{path}: this setting is missing")
        elif _is_axis(path) and isinstance(item["input"], (list, tuple)) and item["type"] not in LISTS:
            axis = path.replace("training.", "learner.", 1) if path.startswith("training.") else path
            lines.append(f"{path}: one value is wanted here; several of them stand under axes: {{{axis}: [...]}}")
        else:
            lines.append(f"{path}: {item['msg'].removeprefix('Value error, ')} (got {str(item['input'])[:60]!r})")
    return SpecError("\n  ".join(dict.fromkeys(lines)), mend="correct it where it is written (recipe, `set`, argument)")


def _is_axis(path: str) -> bool:
    """Return whether a recipe may vary a value of this path: a field of a run, or a setting in one."""
    varied = {"training", *RunSpec.model_fields} - {"name", "exams", "metrics"}
    return "[" not in path and path.partition(".")[0] in varied  # a setting of one part of `combine` is none


def _not_finite(value: Any, path: str) -> tuple[str, float] | None:
    """Return the path of the first number that is NaN or infinite, and the number; or None."""
    if isinstance(value, float):
        return None if math.isfinite(value) else (path, value)
    inside: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        inside = value.items()
    elif isinstance(value, (list, tuple)):
        inside = enumerate(value)
    found = (_not_finite(part, f"{path}.{name}" if path else str(name)) for name, part in inside)
    return next((wrong for wrong in found if wrong is not None), None)


def _fields(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    for part in loc[:-1]:
        field = model.model_fields.get(str(part))
        kinds: tuple[Any, ...] = () if field is None else (field.annotation, *get_args(field.annotation))
        inner = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)
