"""Answers to questions with a closed set of answers: compared by identity, folded only where that merges no two."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import lru_cache, partial

from clbench.core.types import Example
from clbench.scoring._text import fold

Fold = Callable[[str], str]


@lru_cache(maxsize=8)
def folds(*, case_sensitive: bool, strip_punctuation: bool) -> tuple[Fold, ...]:
    """Return the ways to fold an answer, from the strictest to the loosest: with its case, then without."""
    loosest = partial(fold, case_sensitive=case_sensitive, strip_punctuation=strip_punctuation)
    if case_sensitive:
        return (loosest,)
    return (partial(fold, case_sensitive=True, strip_punctuation=strip_punctuation), loosest)


def identity(text: str) -> str:
    """Return the identity of a label: its characters in form C, no blanks at the ends, runs of blanks inside as one."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def named(example: Example, text: str, ways: tuple[Fold, ...]) -> str | None:
    """Return what a text stands for; None if several choices equal it when folded.

    That is the choice (as `identity` writes it) that it equals. Else it is the only choice that equals it when both
    are folded in the first of the ways that finds any. Else it is the text as the last way folds it.
    """
    if identity(text) in identities(example.choices):
        return identity(text)
    for way in ways:
        if same := _by_folded(example.choices, way).get(way(text), ()):
            return same[0] if len(same) == 1 else None
    return ways[-1](text)


@lru_cache(maxsize=64)
def identities(choices: tuple[str, ...]) -> frozenset[str]:
    """Return the identity of each of the choices."""
    return frozenset(map(identity, choices))


@lru_cache(maxsize=64)
def _by_folded(choices: tuple[str, ...], way: Fold) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for choice in sorted(identities(choices)):
        found.setdefault(way(choice), []).append(choice)
    return found


def accepted(example: Example, said: str, ways: tuple[Fold, ...]) -> bool:
    """Return whether an answer stands for what a target stands for."""
    answer = named(example, said, ways)
    return answer is not None and answer in {named(example, target, ways) for target in example.targets}
