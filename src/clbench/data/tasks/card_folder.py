"""Cards in the current folder: where a user names one, they come before shipped cards of the same name.

A card that names such a task is refused: which of the two it means would depend on the folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from clbench.core.errors import DataError, SpecError, did_you_mean, near_paths
from clbench.core.events import notice
from clbench.data.tasks.card import CARDS, CardKind, list_cards
from clbench.data.tasks.card_file import read_text

SUFFIXES = (".yaml", ".yml")
Sort = Literal["tasks", "streams", "exams", "recipe", "models", "tuned", "nothing"]
RUN_FIELDS = {"learner", "axes", "training", "stream", "learners"}


def sort_of(values: Mapping[str, Any]) -> Sort:
    """Return what a YAML file is by its fields: a kind of card, a recipe (of models), a tuned file, or nothing."""
    source = values.get("source")
    if isinstance(source, dict) and {"ability", "task", "harness"} & source.keys():
        return "exams"
    if source is not None:
        return "tasks"
    if {"rule", "settings"} <= values.keys():
        return "tuned"
    if {"tasks", "worlds", "order"} & values.keys():
        return "streams"
    if RUN_FIELDS & values.keys():
        return "recipe"
    return "models" if "models" in values else "nothing"


def is_path(name: str) -> bool:
    """Return whether a text is the path of a card, not its name."""
    return name.endswith(SUFFIXES) or "/" in name


def card_here(kind: CardKind, name: str) -> str:
    """Return the path of a card of that kind and name in the current folder, else the name as it is.

    A notice says so, and whether it hides a shipped card of that name.
    """
    if is_path(name):
        return name
    for suffix in SUFFIXES:
        path = Path(f"{name}{suffix}")
        try:
            if not path.is_file() or sort_of(read_text(path).values) != kind:
                continue
        except (DataError, OSError):
            continue
        passed = f", not the shipped {kind.removesuffix('s')} of that name" if name in list_cards(kind) else ""
        notice(f"{name!r} is the card {path} of this folder{passed}")
        return str(path)
    return name


def shipped_recipes() -> list[str]:
    """Return the names of the recipes that come with clbench, sorted."""
    return sorted(path.stem for path in (CARDS / "recipes").glob("*.yaml") if path.stem != "tuned")


def find_recipe(name_or_path: Path | str) -> Path:
    """Return the file of a recipe.

    Args:
        name_or_path: Path of a YAML file, or the name of a recipe that comes with clbench ("demo").

    Raises:
        SpecError: There is no such recipe; names similar ones.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    shipped = shipped_recipes()
    if path.parent == Path() and path.name in shipped:
        return CARDS / "recipes" / f"{path.name}.yaml"
    if path.is_dir():
        raise SpecError("this is a folder, not a recipe", where=str(path), mend="name the YAML file in it")
    if path.exists():  # a pipe
        return path
    if path.stem in shipped:
        mend = f"recipes come with clbench: write {path.stem} instead of {name_or_path}"
    elif path.parent == Path():
        mend = did_you_mean(str(path), [*shipped, *sorted(str(p) for p in Path().glob("[!.]*.yaml"))])
    else:
        mend = near_paths(path)
    raise SpecError(f"there is no recipe {str(path)!r}", where="SPEC", mend=mend)
