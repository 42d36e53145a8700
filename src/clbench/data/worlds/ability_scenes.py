"""Scenes: a document and questions about it, for both pretraining conversations and exam items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from numpy.random import Generator

T = TypeVar("T")


@dataclass(frozen=True)
class Turn:
    """One question with its answer.

    Attributes:
        question: What is asked after the document.
        answer: The one right answer.
        key: What the question is about, free of wording; a key belongs to training or to the exam, never to both.
        choices: The closed set of answers; empty for free text.
        exam: False for forms that are only trained on.
    """

    question: str
    answer: str
    key: str
    choices: tuple[str, ...] = ()
    exam: bool = True


@dataclass(frozen=True)
class Scene:
    """A document (may be empty) and questions about it."""

    document: str
    turns: tuple[Turn, ...]


def pick(rng: Generator, items: Sequence[T]) -> T:
    """Return an item drawn at random."""
    return items[int(rng.integers(len(items)))]


def draw(rng: Generator, items: Sequence[T], num: int) -> list[T]:
    """Return `num` different items in random order (all of them if there are fewer)."""
    return [items[int(i)] for i in rng.permutation(len(items))[:num]]


def between(rng: Generator, low: int, high: int) -> int:
    """Return a whole number drawn from [low, high]."""
    return int(rng.integers(low, high + 1))
