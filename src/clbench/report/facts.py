"""What a learner says of itself: its plug-in, its docstring, and what a run wrote down of it."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from clbench.core import plugins
from clbench.core.errors import UserError
from clbench.core.protocols import LEVELS, LearnerPlugin, Stores

LEARNERS = Path(__file__).parents[1] / "learners"
SAID: dict[Stores | None, str] = {
    "none": "nothing of users' data",
    "derived": "numbers made of users' examples",
    "may_quote": "text that may quote users' examples",
    "examples": "users' examples",
    None: "not known",
}


@dataclass(frozen=True)
class Facts:
    """Of one learner.

    Attributes:
        family: "bounds", "replay", "regularisation", "isolation", "light fine-tuning", "hybrid", "in-context", ...;
            empty for a learner of the user's own.
        stores: What it keeps of users' data beside the weights; None if not known.
        needs_task: Whether it must be told which task a question belongs to; None if not known.
        uses_task: Whether it answers otherwise where it is told; None if not known.
    """

    family: str
    stores: Stores | None
    needs_task: bool | None
    uses_task: bool | None

    @property
    def stores_data(self) -> bool | None:
        """Whether somebody could read users' examples in what it keeps; None if not known."""
        return None if self.stores is None else self.stores in ("may_quote", "examples")


def facts(learner: Mapping[str, Any], provenance: Mapping[str, Any] | None = None) -> Facts:
    """Give the facts of a learner; those of `combine` are those of its parts.

    Args:
        learner: Its settings, `{name: ..., ...}`.
        provenance: Of a run of it: what is written there of the data that it keeps goes before what its plug-in says
            today. Runs of a user's own file have no other source.
    """
    name = str(learner.get("name", ""))
    written = (provenance or {}).get("learner")
    stores = written.get("stores") if isinstance(written, Mapping) else None
    found = _facts(name, stores if stores in LEVELS else _stores(learner))
    parts = learner.get("parts")
    if name != "combine" or not isinstance(parts, (list, tuple)):
        return found
    each = [facts(part if isinstance(part, Mapping) else {"name": str(part)}) for part in parts]
    return Facts(found.family, found.stores, _any([f.needs_task for f in each]), _any([f.uses_task for f in each]))


def _any(values: list[bool | None]) -> bool | None:
    return True if any(values) else None if None in values else False


def _stores(learner: Mapping[str, Any]) -> Stores | None:
    """Ask the plug-in of a learner of the package or of an installed one; nothing else is imported or run."""
    try:
        plugin = plugins.load_known("learner", str(learner.get("name", "")), "PLUGIN")
        if not isinstance(plugin, LearnerPlugin):
            return None
        if not plugins.all_known(learner):
            return None
        parts = [p if isinstance(p, Mapping) else {"name": p} for p in learner.get("parts") or ()]
        settings = {k: v for k, v in {**learner, "parts": parts}.items() if k in plugin.config.model_fields}
        return plugin.stored(plugin.config.model_validate(settings))
    except (UserError, ValueError, ImportError):  # an older spec, or a plug-in that is not installed here
        return None


@cache
def _facts(name: str, stores: Stores | None) -> Facts:
    path = LEARNERS / f"{name}.py"
    if not name.isidentifier() or name.startswith("_") or not path.is_file():
        return Facts("", stores, None, None)
    source = path.read_text(encoding="utf-8")
    text = ast.get_docstring(ast.parse(source)) or ""
    told = _section(text, "Told")
    needs = "needs_task=True" in source
    uses = needs or ("the task" in told and "does not use" not in told)
    return Facts(_section(text, "Family"), stores, needs, uses)


def _section(text: str, name: str) -> str:
    found = re.search(rf"^{name}:\s*(.*?)(?=^\w[\w ]*:|\Z)", text, re.MULTILINE | re.DOTALL)
    return " ".join(found[1].split()) if found else ""
