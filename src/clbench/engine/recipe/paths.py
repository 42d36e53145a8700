"""Paths in a recipe's file (models, checkpoints, cards, files of learners): they count from its folder.

So a recipe does the same wherever the command is given. Cards and files of learners that are not there are looked for
in the folder of the command, as they always were.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clbench.core.spec import FOLDERS, QLORA

CARDS = ("stream", "exams", "reported")
WORDS = ("use", "ignore", QLORA)  # of `adapter`, that are not paths


def place_paths(values: dict[str, Any], folder: Path) -> None:
    """Write the paths of a recipe as they are seen from here, in place; names stay as they are.

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
    for name in CARDS:
        if name in values:
            values[name] = _cards(values[name], folder)
    if isinstance(tuned := values.get("learners"), Mapping):  # of a recipe of `clbench tune`
        values["learners"] = {_code(name, folder): grid for name, grid in tuned.items()}
    axes: Any = values.get("axes")
    if isinstance(axes, Mapping):
        values["axes"] = {axis: _points(str(axis), points, folder) for axis, points in axes.items()}


def _points(axis: str, points: Any, folder: Path) -> Any:
    room, _, field = axis.partition(".")
    if axis == "learner" and isinstance(points, (list, tuple)):
        return [_learner(point, folder) for point in points]
    if axis in CARDS and isinstance(points, (list, tuple)):
        return [_cards(point, folder) for point in points]
    if room != "model" or not isinstance(points, (list, tuple)):
        return points
    return [_field(field, point, folder) if field else _model(point, folder) for point in points]


def _learner(value: Any, folder: Path) -> Any:
    """Return a learner with the paths of its file and of its checkpoints as they are seen from here."""
    if not isinstance(value, Mapping):
        return _code(value, folder)
    if "name" in value:
        value = {**value, "name": _code(value["name"], folder)}
    if not isinstance(value.get(FOLDERS), (list, tuple)):
        return value
    return {**value, FOLDERS: [_from(folder, p) if isinstance(p, str) else p for p in value[FOLDERS]]}


def _cards(value: Any, folder: Path) -> Any:
    """Return a card's path, or several, as seen from here, where a file lies there."""
    if isinstance(value, (list, tuple)):
        return [_cards(one, folder) for one in value]
    is_path = isinstance(value, str) and (value.endswith((".yaml", ".yml")) or "/" in value)
    return _from(folder, value) if is_path and (folder / value).is_file() else value


def _code(value: Any, folder: Path) -> Any:
    """Return a learner of a file, `my_file.py:Class`, as seen from here, where the file lies there."""
    file, ending, rest = value.partition(".py:") if isinstance(value, str) else ("", "", "")
    if not ending or not (folder / f"{file}.py").is_file():
        return value
    return f"{_from(folder, f'{file}.py')}:{rest}"


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
