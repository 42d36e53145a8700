"""Exams: the stream's own tasks first, then fixed exams that watch what no lesson teaches."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from clbench.core.errors import DataError, did_you_mean
from clbench.core.keys import digest
from clbench.core.types import Exam, Example, ScorerSpec, Stream, Task
from clbench.data.card import AbilitySource, ExamCard, list_cards, load_exam_card
from clbench.data.task import chance_of, decode_of, open_task, smallest


def open_exams(names: Sequence[str], stream: Stream, items: int | None, data: Path | None = None) -> tuple[Exam, ...]:
    """Give the columns of the matrix: own tasks in order of first teaching, then the named exams.

    Args:
        names: Names of exam cards, paths of them, or names of suites; each exam is sat once.
        stream: Its tasks give the first columns.
        items: Most questions per exam, chosen by hash of id; None is all.
        data: Folder of the local data sets, for exams that ask a task's questions.

    Raises:
        DataError: No such exam or suite, or two columns of one name.
    """
    first: dict[str, int] = {}
    for step, task in enumerate(stream.tasks, start=1):
        first.setdefault(task.name, step)
    tasks = {t.name: t for t in stream.tasks}
    exams = [_own(tasks[name], step, items) for name, step in first.items()]
    for card in _expanded(names):
        if any(e.name == card.name for e in exams):
            raise DataError(f"exam {card.name!r} bears the name of another column", where=str(card.path))
        exams.append(open_exam(card, items, data))
    return tuple(exams)


def _expanded(names: Sequence[str]) -> list[ExamCard]:
    cards: dict[str, ExamCard] = {}
    for name in names:
        for card in _named(name):
            cards.setdefault(card.name, card)
    return list(cards.values())


def _named(name: str) -> list[ExamCard]:
    shipped = list_cards("exams")
    if name in shipped or name.endswith((".yaml", ".yml")) or "/" in name:
        return [load_exam_card(name)]
    cards = [load_exam_card(n) for n in shipped]
    found = [c for c in cards if name in c.suites]
    if not found:
        known = {*shipped, *(s for c in cards for s in c.suites)}
        raise DataError(f"there is no exam or suite {name!r}", where="exams", mend=did_you_mean(name, known))
    return found


def _own(task: Task, step: int, items: int | None) -> Exam:
    return _sealed(
        Exam(
            name=task.name,
            kind="own",
            examples=task.exam,
            decode=task.decode,
            scorer=task.scorer,
            needs=frozenset({task.decode.kind}),
            chance=task.chance,
            taught=step,
            digest="",
        ),
        items,
    )


def open_exam(card: ExamCard, items: int | None = None, data: Path | None = None) -> Exam:
    """Open one exam card; raises `DataError` as `open_exams` does."""
    where = str(card.path)
    if card.kind == "own":
        raise DataError('kind "own" is for a stream\'s tasks', where=f"{where} kind", mend='for example "general"')
    if isinstance(card.source, AbilitySource):
        examples = _ability(card.source.ability, card.source.items, card.source.seed)
        labels = () if not all(e.choices for e in examples) else examples[0].choices
        decode = decode_of(card.decode, labels)
        scorer = card.scorer or ScorerSpec(name="label" if labels else "exact")
        chance = sum(1.0 / len(e.choices) for e in examples) / len(examples) if labels else 0.0
    else:
        task = open_task(card.source.task, data, beside=card.path)
        examples, chance = task.exam, task.chance
        decode, scorer = card.decode or task.decode, card.scorer or task.scorer
    return _sealed(
        Exam(
            name=card.name,
            kind=card.kind,
            examples=examples,
            decode=decode,
            scorer=scorer,
            needs=frozenset({decode.kind}),
            chance=chance_of(card.about, chance, where),
            digest="",
        ),
        items,
    )


@lru_cache(maxsize=128)
def _ability(ability: str, items: int, seed: int) -> tuple[Example, ...]:
    from clbench.data.worlds.abilities import generate

    return tuple(generate(ability, items, seed, "exam"))


def _sealed(exam: Exam, items: int | None) -> Exam:
    """Choose the items, mark them as never to be learnt, and digest what is asked."""
    chosen = exam.examples if items is None else smallest(exam.examples, items, 0)
    examples = tuple(e.model_copy(update={"eval_only": True}) for e in chosen)
    sealed = digest({"examples": examples, "decode": exam.decode, "needs": exam.needs})
    return exam.model_copy(update={"examples": examples, "digest": sealed})
