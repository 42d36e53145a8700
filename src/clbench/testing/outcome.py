"""The result of a check of a contract suite."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """The result of one check: `problem` is empty if it passed, `skipped` says why it does not apply."""

    check: str
    problem: str = ""
    skipped: str = ""
