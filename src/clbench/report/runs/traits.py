"""The traits of a run's learner: as the run recorded them, or as its plug-in says them today."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from clbench.core import plugins
from clbench.core.errors import UserError
from clbench.core.protocols import LearnerPlugin
from clbench.core.traits import LATER, Stores, Traits, read_traits

STORED_WORDS: dict[Stores | None, str] = {
    "none": "nothing of users' data",
    "derived": "numbers made of users' examples",
    "may_quote": "text that may quote users' examples",
    "examples": "users' examples",
    None: "not known",
}


def traits_of(learner: Mapping[str, Any], provenance: Mapping[str, Any] | None = None) -> Traits:
    """Return the traits of a learner.

    Args:
        learner: Its settings, `{name: ..., ...}`.
        provenance: Of a run of it. What is recorded there goes before what the plug-in says today. Older records hold
            at most what it stores, or lack traits that came later: those are then as the plug-in of this name says, if
            it ships or is installed. A user's own file is never opened.
    """
    written = (provenance or {}).get("learner")
    recorded = written if isinstance(written, Mapping) else {}
    if "family" in recorded:
        found, later = read_traits(recorded), [name for name in LATER if name not in recorded]
        today = vars(_of_plugin(learner)) if later else {}
        return replace(found, **{name: today[name] for name in later})
    stores = read_traits(recorded).stores
    today = _of_plugin(learner)
    return today if stores is None else replace(today, stores=stores)


def _of_plugin(learner: Mapping[str, Any]) -> Traits:
    """Ask the plug-in of a learner of the package or of an installed one; nothing else is imported or run."""
    try:
        plugin = plugins.load_known("learner", str(learner.get("name", "")), "PLUGIN")
    except (UserError, ImportError):  # it is not installed here
        return Traits()
    if not isinstance(plugin, LearnerPlugin):
        return Traits()
    parts = [p if isinstance(p, Mapping) else {"name": p} for p in learner.get("parts") or ()]
    try:
        if not plugins.all_known({**learner, "parts": parts}):
            return plugin.traits(None)
        settings = {k: v for k, v in {**learner, "parts": parts}.items() if k in plugin.config.model_fields}
        return plugin.traits(plugin.config.model_validate(settings))
    except (UserError, ValueError, ImportError):  # settings of an older version
        return plugin.traits(None)


def way_of(learner: Mapping[str, Any], provenance: Mapping[str, Any] | None = None) -> str:
    """Return where a learner puts what it is taught: "weights", "prompt", or "" where that is neither, or not known."""
    known = traits_of(learner, provenance)
    if known.trains in ("all", "part"):
        return "weights"
    return "prompt" if known.family == "in-context" else ""


def ways_of(members: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[str]:
    """Return the way of each (learner, provenance); empty where not both ways are among them."""
    ways = [way_of(*member) for member in members]
    return ways if {"weights", "prompt"} <= set(ways) else []
