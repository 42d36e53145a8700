"""Scenes: a document and questions about it, for both pretraining conversations and exam items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from numpy.random import Generator

from clbench.data.worlds.lexicon import Language

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
    """A document (may be empty) and questions about it.

    Attributes:
        document: What the first question stands after.
        turns: The questions.
        told: Questions or statements with their replies that stand before as earlier turns; nothing tells their
            replies, so none is learnt.
    """

    document: str
    turns: tuple[Turn, ...]
    told: tuple[Turn, ...] = ()


@dataclass(frozen=True)
class Cell:
    """What an exam asks of an ability whose questions come in several forms; None is any.

    Attributes:
        form: How the prompt shows what is asked.
        length: Facts that it shows.
        language: The language.
        wording: "taught" or "held-out": whether training holds the wording of the question.
    """

    form: str | None = None
    length: int | None = None
    language: Language | None = None
    wording: Literal["taught", "held-out"] | None = None

    def fits(self, other: Cell) -> bool:
        """Return whether another cell is of this kind."""
        mine = (self.form, self.length, self.language, self.wording)
        its = (other.form, other.length, other.language, other.wording)
        return all(a in (None, b) for a, b in zip(mine, its, strict=True))

    @property
    def name(self) -> str:
        """The group of its questions, such as "sentences 8 en taught"."""
        return f"{self.form} {self.length} {self.language} {self.wording}"


def pick(rng: Generator, items: Sequence[T]) -> T:
    """Return an item drawn at random."""
    return items[int(rng.integers(len(items)))]


def draw(rng: Generator, items: Sequence[T], num: int) -> list[T]:
    """Return `num` different items in random order (all of them if there are fewer)."""
    return [items[int(i)] for i in rng.permutation(len(items))[:num]]


def between(rng: Generator, low: int, high: int) -> int:
    """Return a whole number drawn from [low, high]."""
    return int(rng.integers(low, high + 1))
