"""Answers to questions with a closed set of answers: compared by identity, folded only where that merges no two."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import lru_cache

from clbench.core.types import Example

Fold = Callable[[str], str]


def identity(text: str) -> str:
    """Return what makes a label: its characters in form C, blanks at the ends left out and inside as one."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def named(example: Example, text: str, fold: Fold) -> str | None:
    """Return what a text stands for; None where that cannot be told, because several choices equal it when folded.

    It is a choice (as `identity` writes it) that it equals, else the only one that equals it when both are folded,
    else the folded text itself.
    """
    if identity(text) in identities(example.choices):
        return identity(text)
    folded = fold(text)
    same = _by_folded(example.choices, fold).get(folded, ())
    return folded if not same else same[0] if len(same) == 1 else None


@lru_cache(maxsize=64)
def identities(choices: tuple[str, ...]) -> frozenset[str]:
    """Return what makes each of the choices."""
    return frozenset(map(identity, choices))


@lru_cache(maxsize=64)
def _by_folded(choices: tuple[str, ...], fold: Fold) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for choice in sorted(identities(choices)):
        found.setdefault(fold(choice), []).append(choice)
    return found


def accepted(example: Example, said: str, fold: Fold) -> bool:
    """Tell whether an answer stands for what a target stands for."""
    answer = named(example, said, fold)
    return answer is not None and answer in {named(example, target, fold) for target in example.targets}
