"""What a generated world is, and how one is made from its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from numpy.random import Generator
from pydantic import Field

from clbench.core.keys import digest, rng
from clbench.core.types import Example, Frozen, Message
from clbench.data.worlds.lexicon import Language, names

Kind = Literal["facts", "rules", "procedures", "laws"]
Form = Literal["classification", "generation", "qa"]
Probe = Literal["verbatim", "paraphrase", "reversal", "composition", "application"]
POOL = 400  # names of the common pool, more than any world needs


class WorldSpec(Frozen):
    """Settings of a world. The same settings give the same bytes in every process.

    Attributes:
        kind: What is to be learnt: facts, a rule system, a procedure (state machine), or an empirical law.
        form: How it is asked: choose a label, write a sentence or a trace, or answer in a word.
        language: Of the surface.
        seed: Of the world.
        items: Facts, or cases taught.
        classes: Values, labels or states.
        exam_items: Questions of the exam.
        wordings: How many different wordings of each item a lesson holds, 1..3.
        document_sentences: Sentences per document.
        similarity: Share of names that come from a pool common to all worlds, in [0, 1]: names two worlds share
            mean something else in each.
    """

    kind: Kind
    form: Form = "classification"
    language: Language = "en"
    seed: int = Field(default=0, ge=0)
    items: int = Field(default=32, ge=4, le=200)
    classes: int = Field(default=4, ge=2, le=12)
    exam_items: int = Field(default=48, ge=1)
    wordings: int = Field(default=3, ge=1, le=3)
    document_sentences: int = Field(default=6, ge=1)
    similarity: float = Field(default=0.0, ge=0, le=1)


@dataclass(frozen=True)
class Item:
    """One question before it is worded.

    Attributes:
        key: What is asked, free of wording.
        slots: Values for the templates' fields.
        answer: The one right answer.
        group: Fact, rule or law it hangs on.
    """

    key: str
    slots: Mapping[str, str]
    answer: str
    group: str


@dataclass(frozen=True)
class Plan:
    """A world before it is worded.

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


@dataclass(frozen=True)
class World:
    """A generated world.

    Attributes:
        lesson, exam, dev: Examples; no prompt of the exam occurs in the lesson.
        probes: What was learnt, asked as taught, in other words, backwards, in two steps, and applied.
        documents: The knowledge as documents.
        labels: The closed answers, empty for free text.
        chance: Expected score of guessing, in [0, 1].
    """

    lesson: tuple[Example, ...]
    exam: tuple[Example, ...]
    dev: tuple[Example, ...]
    documents: tuple[str, ...]
    labels: tuple[str, ...]
    chance: float
    probes: Mapping[Probe, tuple[Example, ...]] = field(default_factory=dict)


def build(spec: WorldSpec) -> World:
    """Make a world from its settings; the same settings give the same object."""
    return _build(spec.model_dump_json())


@lru_cache(maxsize=128)
def _build(settings: str) -> World:
    spec = WorldSpec.model_validate_json(settings)
    from clbench.data.worlds import facts, laws, procedures, rules

    makers: dict[Kind, Callable[[WorldSpec], Plan]] = {
        "facts": facts.plan,
        "rules": rules.plan,
        "procedures": procedures.plan,
        "laws": laws.plan,
    }
    plan = makers[spec.kind](spec)
    labels = plan.labels if spec.form == "classification" else ()
    exam = _worded(plan.exam, labels, "exam")
    order = chance_of(spec, "exam order").permutation(len(exam))[: spec.exam_items]
    size = spec.document_sentences
    return World(
        lesson=_worded(plan.lesson, labels, "lesson"),
        exam=tuple(exam[i] for i in sorted(order)),
        dev=_worded(plan.dev, labels, "dev"),
        documents=tuple(" ".join(plan.sentences[i : i + size]) for i in range(0, len(plan.sentences), size)),
        labels=labels,
        chance=1 / len(labels) if labels else 0.0,
        probes={name: _worded(parts, (), name) for name, parts in plan.probes.items()},
    )


def chance_of(spec: WorldSpec, purpose: str) -> Generator:
    """Give the world's own generator for a purpose."""
    return rng(spec.seed, 0, f"world {spec.kind} {spec.language} {purpose}")


def world_names(spec: WorldSpec, num: int, purpose: str) -> list[str]:
    """Give `num` different names, `similarity` of them from the common pool."""
    pool = names(rng(0, 0, f"common names {spec.language}"), POOL, spec.language)
    shared = round(spec.similarity * num)
    own = [n for n in names(chance_of(spec, purpose), num + POOL, spec.language) if n not in set(pool)]
    return [*pool[:shared], *own[: num - shared]]


def split(items: Sequence[Item], num_held_out: int, generator: Generator) -> tuple[list[Item], list[Item]]:
    """Cut items into (taught, held out) at random."""
    order = generator.permutation(len(items)).tolist()
    held = set(order[:num_held_out])
    return [x for i, x in enumerate(items) if i not in held], [x for i, x in enumerate(items) if i in held]


def _worded(parts: Sequence[tuple[str, Sequence[Item]]], labels: tuple[str, ...], part: str) -> tuple[Example, ...]:
    return tuple(
        Example(
            id=f"{part}-{digest([wording, item.key])[:12]}",
            prompt=(Message(role="user", content=wording.format_map(item.slots)),),
            targets=(item.answer,),
            choices=labels,
            group=item.group,
        )
        for wording, items in parts
        for item in items
    )
