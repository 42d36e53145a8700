"""Generated worlds, made from their settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from clbench.core.keys import digest
from clbench.core.types import Example, Message
from clbench.data.worlds.spec import Item, Kind, Plan, Probe, WorldSpec, world_rng


@dataclass(frozen=True)
class World:
    """A generated world.

    Attributes:
        lesson, exam, dev: Examples; no prompt of the exam occurs in the lesson.
        probes: What was learnt, asked as taught, in other words, backwards, in two steps, and applied.
        documents: The knowledge as documents.
        labels: The closed set of answers; empty for free text.
        guess_rate: Expected score of guessing, in [0, 1].
    """

    lesson: tuple[Example, ...]
    exam: tuple[Example, ...]
    dev: tuple[Example, ...]
    documents: tuple[str, ...]
    labels: tuple[str, ...]
    guess_rate: float
    probes: Mapping[Probe, tuple[Example, ...]] = field(default_factory=dict)


def build(spec: WorldSpec) -> World:
    """Return the world of some settings; the same settings return the same object."""
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
    exam = _worded(plan.exam, labels, "exam", spec.documents)
    order = world_rng(spec, "exam order").permutation(len(exam))[: spec.exam_items]
    size = spec.document_sentences
    return World(
        lesson=_worded(plan.lesson, labels, "lesson", spec.documents),
        exam=tuple(exam[i] for i in sorted(order)),
        dev=_worded(plan.dev, labels, "dev", spec.documents),
        documents=tuple(" ".join(plan.sentences[i : i + size]) for i in range(0, len(plan.sentences), size)),
        labels=labels,
        guess_rate=1 / len(labels) if labels else 0.0,
        probes={name: _worded(parts, (), name, False) for name, parts in plan.probes.items()},
    )


def _worded(
    parts: Sequence[tuple[str, Sequence[Item]]], labels: tuple[str, ...], part: str, documents: bool
) -> tuple[Example, ...]:
    return tuple(
        Example(
            id=f"{part}-{digest([wording, item.key])[:12]}",
            prompt=(Message(role="user", content=wording.format_map(item.slots)),),
            targets=(item.answer,),
            choices=labels,
            group=item.group,
            document=item.document if documents else "",
        )
        for wording, items in parts
        for item in items
    )
