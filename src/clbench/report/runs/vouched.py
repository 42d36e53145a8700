"""Reasons why a result cannot be reproduced: it was made by changed code, or by several versions of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clbench.report.runs.groups import Group
from clbench.report.runs.load import RunRecord

CHANGED = "made from a working tree with changes"


def doubts(run: RunRecord) -> list[str]:
    """Return why nobody could make a result again exactly as it was; empty where its stages agree and are clean.

    Older results do not record which code made each stage; they only say which code wrote the result.
    """
    return [*_not_known(run), *unsound(run)]


def unsound(run: RunRecord) -> list[str]:
    """Return why a result is not ranked: it was made by changed code, or by several versions of it."""
    origins = _origins(run)
    if origins is None:
        git = run.provenance.get("git")
        return [CHANGED] if isinstance(git, Mapping) and git.get("dirty") else []
    versions = sorted({_code(origin) for origin in origins} - {""})
    dirty = any(isinstance(o.get("code"), Mapping) and o["code"].get("dirty") for o in origins)
    return [CHANGED] * dirty + [f"made of stages of {len(versions)} versions: {', '.join(versions)}"] * (
        len(versions) > 1
    )


def _not_known(run: RunRecord) -> list[str]:
    origins = _origins(run)
    if origins is not None:
        known = bool(origins) and all(map(_code, origins))
        return [] if known else ["some of its stages do not say which code made them"]
    git, packages = run.provenance.get("git"), run.provenance.get("packages")
    if git is None:
        known = isinstance(packages, Mapping) and packages.get("clbench")
        return [] if known else ["the version of clbench is not known"]
    known = isinstance(git, Mapping) and git.get("commit")
    return [] if known else ["the commit of clbench is not known"]


def _origins(run: RunRecord) -> list[Mapping[str, Any]] | None:
    """Return the origin of each stage of a result; None for an older record that has none."""
    stages = run.provenance.get("stages")
    if not isinstance(stages, list):
        return None
    each = [stage.get("origin") if isinstance(stage, Mapping) else None for stage in stages]
    return [origin if isinstance(origin, Mapping) else {} for origin in each]


def _code(origin: Mapping[str, Any]) -> str:
    """Return the version of the code as text; empty where it is not known."""
    packages, code = origin.get("packages"), origin.get("code")
    if not isinstance(packages, Mapping) or not packages:
        return ""
    commit = f" {str(code.get('commit', ''))[:10]}" if isinstance(code, Mapping) else ""
    others = ", ".join(f"{name} {packages[name]}" for name in sorted(packages) if name != "clbench")
    return f"clbench {packages.get('clbench', '?')}{commit}" + (f" ({others})" if others else "")


def out_of_rankings(groups: Sequence[Group]) -> dict[str, list[str]]:
    """Return label of a method -> why it is not ranked, for the methods that are not."""
    found = {g.label: list(dict.fromkeys(text for run in g.runs for text in unsound(run))) for g in groups}
    return {label: why for label, why in found.items() if why}
