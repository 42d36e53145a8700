"""Changes from the command line, `--set a.b.c=VALUE`: each takes effect, or is refused with what would.

A recipe may vary a field along an axis; the axis is what runs read. So a change of a field that an axis varies changes
the axis: the field itself replaces all its points by the one value, a field below it is set in every point.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from clbench.core.errors import SpecError
from clbench.data.tasks.card_file import read_value

NAMED = ("learner", "model")  # a point of these may be a name alone, short for {name: ...}
INSTEAD = {"model.path": "name", "model.name": "path"}  # a model has one of the two
AXES = "axes."


def apply_change(values: dict[str, Any], change: str) -> None:
    """Change one field of what a recipe says, in place.

    Args:
        values: Field -> value, as the file says.
        change: `a.b.c=VALUE`, VALUE in YAML. `axes.learner.lr=[...]` sets the axis `learner.lr`.

    Raises:
        SpecError: It is not a change, not YAML, or nothing would read it.
    """
    path, sign, text = change.partition("=")
    path = path.strip()
    if not sign or not all(path.split(".")):
        raise SpecError(
            f"{change!r} is not a change", where="--set", mend="write --set field.path=VALUE, such as seed=3"
        )
    value = _parsed(path, text)
    axes: Any = values.get("axes")
    if path.startswith(AXES):
        if axes is not None and not isinstance(axes, Mapping):
            raise SpecError(f"axes holds {axes!r}, no fields", where="--set", mend="--set axes={learner: [...]}")
        values["axes"] = {**(axes or {}), path.removeprefix(AXES): value}
        return
    axis = None
    if isinstance(axes, Mapping):
        _refuse_what_axes_place_over(path, value, axes)
        axis = _axis_over(path, axes)
    if axis is None:
        _place(values, path, value)
        if path in INSTEAD:
            values["model"].pop(INSTEAD[path], None)
    elif axis == path:
        values["axes"] = {**axes, axis: [value]}
    else:
        below = path.removeprefix(f"{axis}.")
        values["axes"] = {**axes, axis: _in_every_point(axis, axes[axis], below, value)}


def _parsed(path: str, text: str) -> Any:
    try:
        return read_value(text)
    except yaml.YAMLError:
        mend = "quote it: --set 'a=\"x: y\"'"
        raise SpecError(f"{text!r} is not a YAML value", where=f"--set {path}", mend=mend) from None


def _axis_over(path: str, axes: Mapping[str, Any]) -> str | None:
    """Return the axis that varies a field or one above it; the nearest, since that is placed last."""
    over = [axis for axis in axes if path == axis or path.startswith(f"{axis}.")]
    return max(over, key=len, default=None)


def _refuse_what_axes_place_over(path: str, value: Any, axes: Mapping[str, Any]) -> None:
    for axis in axes:
        below = axis.removeprefix(f"{path}.")
        if below != axis and isinstance(value, Mapping) and below.split(".")[0] in value:
            what = f"{path} cannot bring its own {below}: the axis {axis} gives it one in every run"
            raise SpecError(what, where="--set", mend=f"leave it out, and --set '{AXES}{axis}=[...]'")


def _in_every_point(axis: str, points: Any, below: str, value: Any) -> list[Any]:
    if below == "name":
        mend = f"--set '{axis}={{name: {value}}}' for this one alone, or --set '{AXES}{axis}=[...]'"
        raise SpecError(f"{axis} is an axis, and every point of it has a name", where="--set", mend=mend)
    if not isinstance(points, (list, tuple)):
        raise SpecError(f"{AXES}{axis} holds {points!r}, no list", where="--set", mend=f"--set '{AXES}{axis}=[...]'")
    changed: list[Any] = []
    for point in points:
        holder = {"point": {"name": point} if isinstance(point, str) and axis in NAMED else point}
        _place(holder, f"point.{below}", value)
        changed.append(holder["point"])
    return changed


def _place(values: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    place = values
    for depth, part in enumerate(parents):
        found: Any = place.get(part)
        found = {} if found is None else {"name": found} if isinstance(found, str) and part in NAMED else found
        if not isinstance(found, Mapping):
            so_far = ".".join(parents[: depth + 1])
            raise SpecError(f"{so_far} holds {found!r}, no fields", where="--set", mend="name a field of it")
        inner: dict[str, Any] = dict(found)
        place[part] = inner
        place = inner
    place[last] = value
