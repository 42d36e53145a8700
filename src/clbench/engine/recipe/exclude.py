"""Points of a grid that are left out: `exclude` of a recipe, held against its axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clbench.core.errors import SpecError, did_you_mean

NAMES = ("as", "name", "path")  # of a point that is a mapping: what it may be called by, the first that is there


def check_exclude(exclude: Sequence[Mapping[str, Any]], axes: Mapping[str, Sequence[Any]]) -> None:
    """Refuse an entry that leaves nothing out: it names what is not an axis, or no point of one.

    Args:
        exclude: Entries, each axis -> a value or several.
        axes: Axis -> its points.

    Raises:
        SpecError: Names the entry.
    """
    for number, entry in enumerate(exclude):
        where = f"exclude.{number}"
        if not entry:
            raise SpecError("it names no axis", where=where, mend="exclude: [{learner: joint, seed: [1, 2]}]")
        for axis, wanted in entry.items():
            if axis not in axes:
                mend = did_you_mean(axis, axes) if axes else "exclude leaves out points of `axes`; there are no axes"
                raise SpecError(f"{axis!r} is not an axis of the recipe", where=where, mend=mend)
            for value in _several(wanted):
                if not any(_is_called(point, value) for point in axes[axis]):
                    mend = did_you_mean(str(value), [str(_called(point)) for point in axes[axis]])
                    raise SpecError(f"no point of the axis {axis} is {value!r}", where=f"{where}.{axis}", mend=mend)


def still_there(
    exclude: Sequence[Mapping[str, Any]], axes: Mapping[str, Sequence[Any]], before: Mapping[str, Sequence[Any]]
) -> tuple[Mapping[str, Any], ...]:
    """Return the entries without the points that a change of the axes has taken away.

    Args:
        exclude: Entries of a recipe.
        axes: Axes after the change.
        before: Axes as the file has them.
    """
    left: list[Mapping[str, Any]] = []
    for entry in exclude:
        there = {
            axis: [value for value in _several(wanted) if not _is_gone(value, axes.get(axis, ()), before.get(axis, ()))]
            for axis, wanted in entry.items()
        }
        left += [there] if all(there.values()) else []
    return tuple(left)


def _is_gone(value: Any, points: Sequence[Any], before: Sequence[Any]) -> bool:
    return any(_is_called(p, value) for p in before) and not any(_is_called(p, value) for p in points)


def is_excluded(point: Mapping[str, Any], exclude: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether an entry leaves a point out: all axes that it names have one of the values that it names.

    Args:
        point: Axis -> value.
        exclude: Entries.

    Example:
        >>> is_excluded({"learner": {"name": "sft", "as": "slow"}, "seed": 1}, [{"learner": "slow", "seed": [1, 2]}])
        True
        >>> is_excluded({"learner": "sft", "seed": 0}, [{"learner": "sft", "seed": [1, 2]}])
        False
    """
    return any(
        all(any(_is_called(point[axis], value) for value in _several(wanted)) for axis, wanted in entry.items())
        for entry in exclude
    )


def _several(wanted: Any) -> Sequence[Any]:
    return wanted if isinstance(wanted, (list, tuple)) else (wanted,)  # pyright: ignore[reportUnknownVariableType]  # what a file holds


def _called(point: Any) -> Any:
    """Return what a point is called: of a mapping its `as`, its name or its path; else the point itself."""
    if not isinstance(point, Mapping):
        return point
    return next((point[name] for name in NAMES if name in point), point)


def _is_called(point: Any, value: Any) -> bool:
    if type(point) is bool or type(value) is bool:  # 1 is True to Python, and not to a reader
        return point is value
    return point == value or _called(point) == value
