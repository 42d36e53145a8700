"""What a learner says of itself, read from its source without importing it."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

LEARNERS = Path(__file__).parents[1] / "learners"


@dataclass(frozen=True)
class Facts:
    """Of one learner.

    Attributes:
        family: "bounds", "replay", "regularisation", "isolation", "light fine-tuning", "hybrid", "in-context", ...;
            empty for a learner of the user's own, of which nothing else is known either.
        stores_data: Whether it keeps users' examples; None if not known.
        needs_task: Whether it must be told which task a question belongs to; None if not known.
        uses_task: Whether it answers otherwise where it is told; None if not known.
    """

    family: str
    stores_data: bool | None
    needs_task: bool | None
    uses_task: bool | None


def facts(learner: Mapping[str, Any]) -> Facts:
    """Give the facts of a learner from its settings, `{name: ..., ...}`; those of `combine` are those of its parts."""
    name = str(learner.get("name", ""))
    found = _facts(name)
    parts = learner.get("parts")
    if name != "combine" or not isinstance(parts, (list, tuple)):
        return found
    each = [facts(part if isinstance(part, Mapping) else {"name": str(part)}) for part in parts]
    return Facts(
        found.family,
        _any([f.stores_data for f in each]),
        _any([f.needs_task for f in each]),
        _any([f.uses_task for f in each]),
    )


def _any(values: list[bool | None]) -> bool | None:
    return True if any(values) else None if None in values else False


@cache
def _facts(name: str) -> Facts:
    path = LEARNERS / f"{name}.py"
    if not name.isidentifier() or name.startswith("_") or not path.is_file():
        return Facts("", None, None, None)
    source = path.read_text(encoding="utf-8")
    text = ast.get_docstring(ast.parse(source)) or ""
    told = _section(text, "Told")
    needs = "needs_task=True" in source
    uses = needs or ("the task" in told and "does not use" not in told)
    return Facts(_section(text, "Family"), "stores users' examples" in _section(text, "Privacy"), needs, uses)


def _section(text: str, name: str) -> str:
    found = re.search(rf"^{name}:\s*(.*?)(?=^\w[\w ]*:|\Z)", text, re.MULTILINE | re.DOTALL)
    return " ".join(found[1].split()) if found else ""
