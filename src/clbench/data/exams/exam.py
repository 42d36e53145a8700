"""Exams: the stream's own tasks first, then fixed exams that watch what no lesson teaches."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from clbench.core.errors import AbsentError, DataError, UserError, did_you_mean
from clbench.core.events import notice
from clbench.core.kept import Form, code_digest, kept, kept_digests
from clbench.core.keys import digest
from clbench.core.scorers import adapt_to_language
from clbench.core.types import Ability, Decode, Exam, Example, ScorerSpec, Stream, Task
from clbench.data.tasks.card import (
    AbilitySource,
    Card,
    ExamCard,
    TaskSource,
    find_card,
    list_cards,
    load_exam_card,
    load_task_card,
)
from clbench.data.tasks.card_file import read_text
from clbench.data.tasks.card_folder import card_here, sort_of
from clbench.data.tasks.lm_eval_card import HarnessSource
from clbench.data.tasks.task import decode_of, open_task, smallest, stated_guess_rate


def open_exams(names: Sequence[str], stream: Stream, items: int | None, data: Path | None = None) -> tuple[Exam, ...]:
    """Return the columns of the matrix: the stream's tasks in the order of their first lessons, then the named exams.

    Args:
        names: Names of exam cards, paths of them, or names of suites; each exam is asked once.
        stream: Its tasks give the first columns.
        items: Most questions per exam, chosen by hash of id; None is all.
        data: Folder of the local data sets, for exams that ask a task's questions.

    Raises:
        DataError: There is no such exam or suite, or two columns have one name.
    """
    exams = _of_tasks(stream, items)
    for exam in open_named(names, items, data):
        if any(e.name == exam.name for e in exams):
            raise DataError(f"exam {exam.name!r} bears the name of another column", where="exams", mend="rename one")
        exams.append(exam)
    return tuple(exams)


def open_named(
    names: Sequence[str], items: int | None, data: Path | None, broken: dict[str, UserError] | None = None
) -> list[Exam]:
    """Return exams by name, each once.

    Members of a suite whose data are missing, or are not those that the card was written for, are left out with a
    notice.

    Args:
        names: Names of exam cards, paths of them, names of suites, or `harness:TASK`.
        items: Most questions per exam, chosen by hash of id; None is all.
        data: Folder of the local data sets.
        broken: If given, collects exams and names that do not open, name -> error, instead of raising.

    Raises:
        DataError: There is no such exam or suite, or nothing of it can be asked.
    """
    found: dict[str, Exam] = {}
    unlocked: list[str] = []
    for name in names:
        try:
            unlocked += [card.name for card in _open_into(found, name, (items, data), broken) if _without_lock(card)]
        except UserError as error:
            if broken is None:
                raise
            broken[name] = error
    if unlocked:
        notice(f"not checked whether their rows are the published ones, for want of a lock: {', '.join(unlocked)}")
    return list(found.values())


def _without_lock(card: ExamCard) -> bool:
    """Return whether nothing proves that a shipped card's rows are those it was written for."""
    return card.shipped and isinstance(card.source, HarnessSource) and card.source.rows is not None


def _open_into(
    found: dict[str, Exam], name: str, how: tuple[int | None, Path | None], broken: dict[str, UserError] | None
) -> list[ExamCard]:
    """Add the exams of a name to those found already; return the cards of the new ones."""
    cards = named(name)
    new_cards: list[ExamCard] = []
    missing: dict[str, UserError] = {}
    for card in cards:
        try:
            if card.name not in found:
                found[card.name] = open_exam(card, *how)
                new_cards.append(card)
        except UserError as error:
            missing[card.name] = error
    if len(missing) == len(cards) and (broken is None or len(cards) > 1):
        raise next(iter(missing.values()))
    if broken is not None:
        broken |= {n: e for n, e in missing.items() if len(cards) == 1 or not isinstance(e, AbsentError)}
        missing = {n: e for n, e in missing.items() if n not in broken}
    if missing:
        _tell_missing(name, missing)
    return new_cards


def _tell_missing(suite: str, missing: Mapping[str, UserError]) -> None:
    """Give a notice of the exams that a suite leaves out: absent ones together, the others each with its reason."""
    absent = [name for name, error in missing.items() if isinstance(error, AbsentError)]
    if absent:
        first = missing[absent[0]]
        why = f"the first: {first.what}; {first.mend}"
        notice(f"suite {suite!r} goes on without {len(absent)} exams: {', '.join(absent)} ({why})")
    for name, error in missing.items():
        if name not in absent:
            why = str(error).replace("\n  ", "; ")
            notice(f"suite {suite!r} goes on without exam {name!r}: {why}")


WORTH = 500  # questions from which on digesting them takes longer than reading what is kept
_EXAMPLES = TypeAdapter(tuple[Example, ...])
ABILITIES = Form[tuple[Example, ...]](
    "abilities", partial(_EXAMPLES.dump_json, exclude_defaults=True), _EXAMPLES.validate_json
)
FULL = "-full"  # SUITE-full: the same exams with all their questions
HARNESS = "harness:"  # harness:TASK, harness:TASK@fewshot=5: an lm_eval task without a card


def named(name: str) -> list[ExamCard]:
    """Return the exam cards that a name stands for: a card, a suite, a suite in full, a path, or `harness:TASK`.

    A task's card, shipped or the user's own, is an exam of the questions that its own exam asks.

    Raises:
        DataError: There is no such exam.
    """
    if name.startswith(HARNESS):
        return [_lm_eval_card(name.removeprefix(HARNESS))]
    name = card_here("exams", name)
    if name.endswith((".yaml", ".yml")) or "/" in name:
        return [_at(name)]
    shipped, tasks = list_cards("exams"), list_cards("tasks")
    if name in shipped:
        return [load_exam_card(name)]
    cards = [load_exam_card(n) for n in shipped]
    found = [c for c in cards if name in c.suites]
    if not found and name.endswith(FULL):
        found = [in_full(c) for c in cards if name.removesuffix(FULL) in c.suites]
    if not found and Path(f"{name}.yaml").is_file():
        found = [_at(f"{name}.yaml")]
    if not found and name in tasks:
        found = [_of_task(load_task_card(name))]
    if not found:
        known = {*shipped, *(s for c in cards for s in c.suites), *tasks}
        raise DataError(f"there is no exam or suite {name!r}", where="exams", mend=did_you_mean(name, known))
    return found


@lru_cache(maxsize=1)
def shipped_exams() -> frozenset[str]:
    """Return all names of exams that ship with clbench: cards, suites, suites in full, tasks."""
    shipped = list_cards("exams")
    suites = {suite for name in shipped for suite in load_exam_card(name).suites}
    return frozenset({*shipped, *suites, *(f"{suite}{FULL}" for suite in suites), *list_cards("tasks")})


def _at(path: str) -> ExamCard:
    """Return the exam card at a path, made of a task's card if that stands there."""
    return _of_task(load_task_card(path)) if _is_task(path) else load_exam_card(path)


def _is_task(path: str) -> bool:
    return sort_of(read_text(find_card("exams", path)).values) == "tasks"


def _of_task(card: Card) -> ExamCard:
    values = {"name": card.name, "source": {"task": card.name}}
    return ExamCard.model_validate(values, context={"path": card.path})


def in_full(card: ExamCard) -> ExamCard:
    """Return an exam with all its questions, under a name of its own."""
    if isinstance(card.source, AbilitySource) or card.source.items is None:
        return card
    source = card.source.model_copy(update={"items": None})
    return card.model_copy(update={"name": f"{card.name}{FULL}", "source": source})


def _lm_eval_card(text: str) -> ExamCard:
    task, _, settings = text.partition("@")
    values: dict[str, Any] = {"harness": task}
    for part in settings.split(",") if settings else ():
        key, _, value = part.partition("=")
        values[key] = int(value) if value.isdigit() else value
    try:
        source = HarnessSource.model_validate(values)
        return ExamCard(name=task, source=source)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = f"{HARNESS}{text}"
        mend = "harness:TASK@fewshot=5,metric=acc_norm,items=100"
        raise DataError(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}", where=where, mend=mend) from None


def _of_tasks(stream: Stream, items: int | None) -> list[Exam]:
    """Return the exams of a stream's tasks."""
    drafts = [_draft(task, stream) for task in stream.tasks]
    asked = [_asked_alone(draft, items) for draft in drafts]

    def make() -> list[str]:
        return [_digest_of(exam, exam.examples) for exam in asked]

    about = {
        "exams": [[task.digest, exam.decode, exam.needs] for task, exam in zip(stream.tasks, drafts, strict=True)],
        "items": items,
        "code": code_digest("core", "data"),
    }
    few = sum(len(exam.examples) for exam in asked) < WORTH
    digests = make() if few else kept_digests(about, make)
    found: list[Exam] = []
    for draft, exam, sealed in zip(drafts, asked, digests, strict=True):
        whole = exam.model_copy(update={"digest": sealed})
        if whole.growth:
            whole = exam_at(whole, 0).model_copy(update={"guess_rate": 1 / len(_choices(draft, 0))})
        found.append(whole)
    return found


def _draft(task: Task, stream: Stream) -> Exam:
    """Return the exam of a task with all its questions, not yet sealed."""
    return Exam(
        name=task.name,
        kind="task",
        examples=task.exam,
        decode=task.decode.model_copy(update={"task_id": task.name if stream.task_ids == "given" else None}),
        scorer=task.scorer,
        needs=needs_of(task.decode, task.exam),
        guess_rate=task.guess_rate,
        taught=next(k for k, r in enumerate(stream.plans, start=1) if task.name in r.teaches),
        growth=_growth(task, stream),
        digest="",
    )


def needs_of(decode: Decode, examples: Sequence[Example]) -> frozenset[Ability]:
    """Return the abilities that a model needs to be asked."""
    if decode.kind != "raw":
        return frozenset({decode.kind})
    return frozenset("text" if r.kind == "text" else "loglik" for e in examples for r in e.requests)


def _growth(task: Task, stream: Stream) -> tuple[tuple[int, str], ...]:
    if not task.part_of:
        return ()
    first = {label: k for k, r in enumerate(stream.plans, start=1) for label in r.new_labels.get(task.part_of, ())}
    return tuple((first[label], label) for label in task.exam[0].choices)


def exam_at(exam: Exam, lesson: int) -> Exam:
    """Return an exam as it is asked after a lesson (row `lesson`).

    Where the classes of one set arrive in increments, there is one label set, and it grows: the choices of a question
    are all labels of the set that are taught by row max(lesson, t), t being the first lesson of the exam's own classes.
    So row 0 and the rows before t ask with the labels of row t: a right answer is always among the choices, and
    forward transfer compares rows that were asked alike. In later rows the same questions get more choices. The
    exam's `guess_rate` is 1 / number of choices in row t. All other exams are the same in every row.
    """
    choices = _choices(exam, lesson)
    if not exam.growth or choices == exam.examples[0].choices:
        return exam
    return _digested(exam, tuple(e.model_copy(update={"choices": choices}) for e in exam.examples))


def _choices(exam: Exam, lesson: int) -> tuple[str, ...]:
    return tuple(label for first, label in exam.growth if first <= max(lesson, exam.taught or 0))


def open_exam(card: ExamCard, items: int | None = None, data: Path | None = None) -> Exam:
    """Return the exam of a card; raises `DataError` as `open_exams` does."""
    where = str(card.path)
    if card.kind == "task":
        raise DataError('kind "task" is for a stream\'s tasks', where=f"{where} kind", mend='for example "general"')
    examples, decode, scorer, guess_rate = _asked(card, items, data)
    return _sealed(
        Exam(
            name=card.name,
            kind=card.kind,
            ability=card.ability,
            examples=examples,
            decode=decode,
            scorer=scorer,
            needs=needs_of(decode, examples),
            guess_rate=stated_guess_rate(card.about, guess_rate, where),
            digest="",
        ),
        items,
    )


def _asked(
    card: ExamCard, items: int | None, data: Path | None
) -> tuple[tuple[Example, ...], Decode, ScorerSpec, float]:
    """Return an exam's questions, how they are asked and graded, and the guess rate."""
    if isinstance(card.source, HarnessSource):
        from clbench.data.exams.lm_eval_exam import DECODE, lm_eval_examples, scorer_of

        examples, guess_rate = lm_eval_examples(card, card.source, items, data)
        decode = DECODE if card.decode is None else card.decode.model_copy(update={"kind": "raw"})
        return examples, decode, card.scorer or scorer_of(card.source), guess_rate
    if isinstance(card.source, TaskSource):
        task = open_task(card.source.task, data, beside=card.path)
        examples = task.exam if card.source.items is None else smallest(task.exam, card.source.items, 0)
        return examples, card.decode or task.decode, _scorer(card, task), task.guess_rate
    examples = _ability(card.source.model_dump_json())
    labels = () if not all(e.choices for e in examples) else examples[0].choices
    scorer = card.scorer or ScorerSpec(name="label" if labels else "exact")
    guess_rate = sum(1.0 / len(e.choices) for e in examples) / len(examples) if labels else 0.0
    return examples, decode_of(card.decode, labels), scorer, guess_rate


def _scorer(card: ExamCard, task: Task) -> ScorerSpec:
    """Return the scorer of a task's exam, in the language that the exam's card names, else the task's."""
    if card.scorer is None:
        return task.scorer
    return adapt_to_language(card.scorer, {**task.about, **card.about}, str(card.path))


@lru_cache(maxsize=128)
def _ability(settings: str) -> tuple[Example, ...]:
    about = {"ability": settings, "code": code_digest("core", "data"), "python": platform.python_version()}
    return kept(ABILITIES, about, lambda: _generated(settings))


def _generated(settings: str) -> tuple[Example, ...]:
    from clbench.data.worlds.abilities import generate
    from clbench.data.worlds.ability_scenes import Cell

    source = AbilitySource.model_validate_json(settings)
    cell = Cell(source.form, None, source.language, source.wording)
    return tuple(generate(source.ability, source.items, source.seed, "exam", source.length, cell))


def _sealed(exam: Exam, items: int | None) -> Exam:
    """Return an exam with its chosen items, which may never be learnt, and its digest."""
    asked = _asked_alone(exam, items)
    return _digested(asked, asked.examples)


def _asked_alone(exam: Exam, items: int | None) -> Exam:
    """Return an exam with its chosen items, which may never be learnt."""
    chosen = exam.examples if items is None else smallest(exam.examples, items, 0)
    return exam.model_copy(update={"examples": tuple(e.model_copy(update={"eval_only": True}) for e in chosen)})


def _digested(exam: Exam, examples: tuple[Example, ...]) -> Exam:
    return exam.model_copy(update={"examples": examples, "digest": _digest_of(exam, examples)})


def _digest_of(exam: Exam, examples: tuple[Example, ...]) -> str:
    return digest({"examples": examples, "decode": exam.decode, "needs": exam.needs})
