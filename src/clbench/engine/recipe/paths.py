"""Paths of models and checkpoints in a recipe's file: they count from its folder, wherever the command is given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clbench.core.spec import FOLDERS, QLORA

WORDS = ("use", "ignore", QLORA)  # of `adapter`, that are not paths


def place_paths(values: dict[str, Any], folder: Path) -> None:
    """Write the paths of models and of checkpoints as they are seen from here, in place; `name` stays as it is.

    Args:
        values: Field -> value, as a recipe says.
        folder: That of the recipe's file.

    Example:
        >>> values = {"model": {"path": "m", "adapter": "use"}, "axes": {"model.path": ["/m", "~/m", "n"]}}
        >>> place_paths(values, Path("recipes"))
        >>> values["model"]["path"], values["axes"]["model.path"]
        ('recipes/m', ['/m', '~/m', 'recipes/n'])
        >>> folder = {"model": {"adapter": "./qlora"}}
        >>> place_paths(folder, Path())
        >>> folder["model"]["adapter"]
        './qlora'
    """
    if "model" in values:
        values["model"] = _model(values["model"], folder)
    if isinstance(judge := values.get("judge"), Mapping) and "model" in judge:
        values["judge"] = {**judge, "model": _model(judge["model"], folder)}
    if "learner" in values:
        values["learner"] = _learner(values["learner"], folder)
    axes: Any = values.get("axes")
    if isinstance(axes, Mapping):
        values["axes"] = {axis: _points(str(axis), points, folder) for axis, points in axes.items()}


def _points(axis: str, points: Any, folder: Path) -> Any:
    room, _, field = axis.partition(".")
    if axis == "learner" and isinstance(points, (list, tuple)):
        return [_learner(point, folder) for point in points]
    if room != "model" or not isinstance(points, (list, tuple)):
        return points
    return [_field(field, point, folder) if field else _model(point, folder) for point in points]


def _learner(value: Any, folder: Path) -> Any:
    """Return a learner with the paths of its checkpoints as they are seen from here."""
    if not isinstance(value, Mapping) or not isinstance(value.get(FOLDERS), (list, tuple)):
        return value
    return {**value, FOLDERS: [_from(folder, p) if isinstance(p, str) else p for p in value[FOLDERS]]}


def _model(value: Any, folder: Path) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {name: _field(str(name), part, folder) for name, part in value.items()}


def _field(name: str, value: Any, folder: Path) -> Any:
    if name == "template" and isinstance(value, Mapping):
        return {part: _field(f"template.{part}", inner, folder) for part, inner in value.items()}
    is_path = name in ("path", "template.file") or (name == "adapter" and value not in WORDS)
    return _from(folder, value) if is_path and isinstance(value, str) else value


def _from(folder: Path, path: str) -> str:
    if path.startswith("~") or Path(path).is_absolute():
        return path
    found = str(folder / path)
    return f"./{found}" if found in WORDS else found  # a folder of that name, where the path says `./qlora`
