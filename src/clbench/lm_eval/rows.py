"""Rows that an lm_eval task reads instead of fetching its data set, held here while the task is open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_held: dict[str, Mapping[str, Sequence[Mapping[str, Any]]]] = {}


def hold(name: str, splits: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Keep rows by split under a name."""
    _held[name] = splits


def drop(name: str) -> None:
    """Forget the rows of a name."""
    _held.pop(name, None)


def held(rows: str, **_: Any) -> dict[str, Any]:
    """Return the rows as the data set that the harness wants; it calls this function by name, with other settings."""
    from datasets import Dataset

    return {split: Dataset.from_list([dict(row) for row in found]) for split, found in _held[rows].items() if found}
