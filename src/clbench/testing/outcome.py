"""What a check of a contract suite found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """What one check found: `problem` is empty if it held, `skipped` says why it does not apply."""

    check: str
    problem: str = ""
    skipped: str = ""
