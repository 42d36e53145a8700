"""The settings of a generated world, and its plan before it is put into words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from numpy.random import Generator
from pydantic import Field, model_validator

from clbench.core.keys import rng
from clbench.core.value import Value
from clbench.data.worlds.lexicon import Language, names

Kind = Literal["facts", "rules", "procedures", "laws"]


Form = Literal["classification", "generation", "qa"]


Probe = Literal["verbatim", "paraphrase", "reversal", "composition", "application"]


POOL = 400  # names of the common pool, more than any world needs


class WorldSpec(Value):
    """Settings of a world. The same settings give the same bytes in every process.

    Attributes:
        kind: What is to be learnt: facts, a rule system, a procedure (state machine), or an empirical law.
        form: How it is asked: choose a label, write a sentence or a trace, or answer in a word.
        language: The language of the texts.
        seed: The seed of the world.
        items: Facts, or cases taught.
        classes: Values, labels or states.
        exam_items: Questions of the exam.
        wordings: How many different wordings of each item a lesson holds, 1..6.
        document_sentences: Sentences per document.
        similarity: Share of names that come from a pool common to all worlds, in [0, 1]: names two worlds share
            mean something else in each.
        part: 1 is a world by itself. Each further part, of the same settings otherwise, builds on the part before, so
            that who knows that one gets most of it right: things that belong to the same people (facts), one rule more
            (rules), a bound that has moved (laws). Procedures have one part.
        documents: Examples carry the sentences that state them (`Example.document`). Questions, answers and ids stay.
        exam_wordings: In how many wordings the exam asks each item, 1..5. Wordings of one item are one group.
        asks: Of rules, procedures and laws the exam asks cases that were not taught, in taught wordings, or the taught
            cases in other words. Facts are always asked in other words.
    """

    kind: Kind
    form: Form = "classification"
    language: Language = "en"
    seed: int = Field(default=0, ge=0)
    items: int = Field(default=32, ge=4, le=200)
    classes: int = Field(default=4, ge=2, le=12)
    exam_items: int = Field(default=48, ge=1)
    wordings: int = Field(default=3, ge=1, le=6)
    document_sentences: int = Field(default=6, ge=1)
    similarity: float = Field(default=0.0, ge=0, le=1)
    part: int = Field(default=1, ge=1, le=4)
    documents: bool = False
    exam_wordings: int = Field(default=1, ge=1, le=5)
    asks: Literal["unseen", "taught"] = "unseen"
    absent_at_default: ClassVar[frozenset[str]] = frozenset({"part", "documents", "exam_wordings", "asks"})

    @model_validator(mode="after")
    def _has_parts(self) -> WorldSpec:
        if self.part > 1 and self.kind == "procedures":
            raise ValueError("procedures have one part; facts, rules and laws have four")
        return self


@dataclass(frozen=True)
class Item:
    """One question before it is put into words.

    Attributes:
        key: What is asked, free of wording.
        slots: Values for the templates' fields.
        answer: The one right answer.
        group: The fact, rule or law behind it.
        document: Taught, the sentences that state it, and no more than it says; asked, those that answer it.
    """

    key: str
    slots: Mapping[str, str]
    answer: str
    group: str
    document: str = ""


@dataclass(frozen=True)
class Plan:
    """A world before it is put into words.

    Attributes:
        lesson: Templates and the items taught in each of them.
        exam: The same for the exam; its items or its wordings do not occur in the lesson.
        dev: The same for choosing settings.
        probes: Probe -> the same.
        sentences: The knowledge itself, as sentences.
        labels: The closed answers, for classification.
    """

    lesson: Sequence[tuple[str, Sequence[Item]]]
    exam: Sequence[tuple[str, Sequence[Item]]]
    dev: Sequence[tuple[str, Sequence[Item]]]
    probes: Mapping[Probe, Sequence[tuple[str, Sequence[Item]]]]
    sentences: Sequence[str]
    labels: tuple[str, ...]


def world_rng(spec: WorldSpec, purpose: str) -> Generator:
    """Return the world's own generator for a purpose."""
    return rng(spec.seed, 0, f"world {spec.kind} {spec.language} {purpose}")


def world_names(spec: WorldSpec, num: int, purpose: str) -> list[str]:
    """Return `num` different names, `similarity` of them from the common pool."""
    pool = names(rng(0, 0, f"common names {spec.language}"), POOL, spec.language)
    shared = round(spec.similarity * num)
    own = [n for n in names(world_rng(spec, purpose), num + POOL, spec.language) if n not in set(pool)]
    return [*pool[:shared], *own[: num - shared]]


def split(items: Sequence[Item], num_held_out: int, generator: Generator) -> tuple[list[Item], list[Item]]:
    """Return items split at random into (taught, held out)."""
    order = generator.permutation(len(items)).tolist()
    held = set(order[:num_held_out])
    return [x for i, x in enumerate(items) if i not in held], [x for i, x in enumerate(items) if i in held]


def asked(wordings: Sequence[str], items: Sequence[Item], spec: WorldSpec) -> list[tuple[str, Sequence[Item]]]:
    """Return an exam part that asks the items in the first `exam_wordings` of the wordings."""
    return [(wording, items) for wording in wordings[: spec.exam_wordings]]
