"""Cards in the folder where a command is called: they come before shipped ones of the same name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from clbench.core.errors import DataError
from clbench.core.notice import notice
from clbench.data.card import CardKind, list_cards
from clbench.data.cardfile import read_text

SUFFIXES = (".yaml", ".yml")
Sort = Literal["tasks", "streams", "exams", "recipe", "models", "tuned", "nothing"]
RUN_FIELDS = {"learner", "axes", "training", "stream", "learners"}


def sort_of(values: Mapping[str, Any]) -> Sort:
    """Return what a YAML file is by its fields: a kind of card, a recipe, a recipe of models, or nothing of ours."""
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
    """Tell a path of a card from a name."""
    return name.endswith(SUFFIXES) or "/" in name


def card_here(kind: CardKind, name: str) -> str:
    """Return the path of a card of that kind and name in the current folder, else the name as it is.

    That a shipped card of the same name is passed over is told as a notice.
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
