"""Compare a stranger's result with the shipped cards that its spec names: stream, columns, questions, items in full."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from clbench.core import plugins
from clbench.core.errors import UserError
from clbench.core.events import notice_listener
from clbench.core.item_scores import ExampleItem, ExamScores, ShownAnswer, groups_of, guess_rate_at, guess_rates_of
from clbench.core.keys import canonical, digest
from clbench.core.matrix import Matrix
from clbench.core.protocols import Scorer
from clbench.core.spec import Machine, RunSpec
from clbench.core.types import Answer, Exam, ScorerSpec, Stream
from clbench.data.exams.exam import exam_at, open_exams, shipped_exams
from clbench.data.streams.stream import lessons, merge_lessons, open_stream
from clbench.data.streams.summary import stream_summary
from clbench.data.tasks.card import list_cards
from clbench.engine.ask import answers_key
from clbench.engine.grade import grade_answer
from clbench.engine.resolve import open_learner
from clbench.engine.result_items import LONGEST, choose_items, question, shorten
from clbench.engine.verify.claim import Claim, Compared
from clbench.engine.verify.records import known_scorer
from clbench.models import source
from clbench.models.place import is_shipped

CLOSE = 1e-3  # similarities are rounded to four digits
PROGRAMS = "code"  # the scorer that runs what was answered: a stranger's program is not run to verify a result


@dataclass(frozen=True)
class Opened:
    """What a spec names, as its cards have it, and what was said while they were opened."""

    stream: Stream
    exams: tuple[Exam, ...]
    said: tuple[str, ...]

    @cached_property
    def outline(self) -> dict[str, Any]:
        """The summary of the stream, as a record has it."""
        return stream_summary(self.stream).model_dump()

    @cached_property
    def bytes_by_lesson(self) -> tuple[int, ...]:
        """The size of each lesson as canonical JSON."""
        return tuple(len(canonical(lesson.examples).encode()) for lesson in lessons(self.stream))

    @cached_property
    def bytes_at_once(self) -> int:
        """The size of all lessons as one."""
        return len(canonical(merge_lessons(lessons(self.stream)).examples).encode())


class Cards:
    """Shipped streams and exams that have been opened, each once over all results that are held against them."""

    def __init__(self, data: Path | None) -> None:
        """Read local data sets from below the folder `data`."""
        self._data = data
        self._known: dict[str, Opened | UserError] = {}

    def of(self, spec: RunSpec) -> Opened:
        """Return what a spec names; its names must be those of shipped cards.

        Raises:
            UserError: A card, its data or a row is wrong, or not at hand.
        """
        about = canonical([spec.stream, spec.exams, spec.budget.items])
        if about not in self._known:
            self._known[about] = self._open(spec)
        found = self._known[about]
        if isinstance(found, UserError):
            raise found
        return found

    def _open(self, spec: RunSpec) -> Opened | UserError:
        said: list[str] = []
        token = notice_listener.set(said.append)
        try:
            stream = open_stream(spec.stream, self._data)
            exams = open_exams(tuple(dict.fromkeys(spec.exams)), stream, spec.budget.items, self._data)
        except UserError as error:
            return error
        finally:
            notice_listener.reset(token)
        return Opened(stream, exams, tuple(said))


def compared_with_cards(claim: Claim, cards: Cards) -> Compared:
    """Compare columns, questions, scorers, guess rates and items in full with the shipped cards that the spec names.

    A name that is not that of a shipped card is never opened: a stranger's spec must not choose which files are read.
    """
    spec = claim.spec
    if spec.stream not in list_cards("streams"):
        return Compared((), (f"stream {spec.stream!r} is not a shipped card: its questions are its author's own",))
    if strange := sorted(set(spec.exams) - shipped_exams()):
        return Compared((), (f"exams {', '.join(strange[:5])} are not shipped cards",))
    try:
        opened = cards.of(spec)
    except UserError as error:
        return Compared((), (f"the questions of {spec.stream!r} are not at hand ({error.what}): give --data",))
    stream, exams, said = opened.stream, opened.exams, [*opened.said]
    if absent := _absent(claim, stream, exams, said):
        return Compared((), (f"{absent} of {spec.stream!r} and its exams are not at hand: give --data", *said))
    problems = [*_against(claim, opened), *_bytes(claim, opened), *_kept(claim, stream)]
    if not is_shipped(spec.model):
        said.append(f"model {spec.model.name!r} is not a shipped one: whether row 0 is its own is not seen")
    elif spec.model.dtype == "float32":
        problems += _model(claim, exams)
    else:
        said.append(f"model {spec.model.name!r} ({spec.model.dtype}): whether row 0 is its own is not seen")
    return Compared(tuple(problems), tuple(said))


def _absent(claim: Claim, stream: Stream, exams: Sequence[Exam], said: Sequence[str]) -> str:
    """Return what the result has and this machine has not the data of: tasks and exams that were left out here."""
    gone = [name for name in stream.missing if name in claim.stream.tasks]
    if said:  # members of suites that were left out, and why
        gone += sorted(set(claim.matrix.exams) - {e.name for e in exams} - set(gone))
    return ", ".join(gone)


def _against(claim: Claim, opened: Opened) -> Iterator[str]:
    stream, exams = opened.stream, opened.exams
    mine, theirs = opened.outline, claim.stream.model_dump()
    for field in ("name", "tasks", "questions", "lessons", "task_ids", "dropped", "missing"):
        if theirs[field] != mine[field]:
            yield f"stream: its {field} are not those of the card {stream.name!r}"
    if not _alike(claim.stream.similarity, mine["similarity"]):
        yield f"stream: its similarity of tasks is not that of the card {stream.name!r}"
    if tuple(e.name for e in exams) != claim.matrix.exams:
        differ = sorted({e.name for e in exams} ^ set(claim.matrix.exams))
        yield f"the columns are not those that the spec asks for: {', '.join(differ) or 'another order'}"
        return
    for exam, column, exam_scores in zip(exams, claim.matrix.columns, claim.item_scores.exams, strict=False):
        said, due = column.model_dump(), Matrix.blank(1, [exam]).columns[0].model_dump()
        for field in ("kind", "ability", "taught", "guess_rate", "size"):
            if said[field] != due[field]:
                yield f"{column.name}: {field} is {said[field]!r}, by card and budget {due[field]!r}"
        yield from _questions(exam, exam_scores)
        yield from _in_full(exam, exam_scores, [item for item in claim.example_items.items if item.exam == exam.name])


def _alike(one: Sequence[Sequence[float]], two: Sequence[Sequence[float]]) -> bool:
    shapes = [[len(row) for row in rows] for rows in (one, two)]
    pairs = ((a, b) for r, s in zip(one, two, strict=False) for a, b in zip(r, s, strict=False))
    return shapes[0] == shapes[1] and all(abs(a - b) <= CLOSE for a, b in pairs)


def _questions(exam: Exam, exam_scores: ExamScores) -> Iterator[str]:
    if exam_scores.ids != tuple(e.id for e in exam.examples):
        yield f"{exam.name}: other items than the card's"
    if exam_scores.groups != groups_of(exam):
        yield f"{exam.name}: its groups of items are not the card's"
    if exam_scores.guess_rates and exam_scores.guess_rates != guess_rates_of(exam):
        yield f"{exam.name}: the guess rates of its items are not the card's"
    if exam_scores.digest != exam_at(exam, min(exam_scores.rows, default=0)).digest:
        yield f"{exam.name}: the digest of its questions is not the card's"
    if _of_card(exam_scores) != exam.scorer:
        yield f"{exam.name}: graded by {exam_scores.scorer.name}, by the card {exam.scorer.name} with its settings"
    elif exam_scores.version != (here := known_scorer(exam.scorer.name).version):
        scorer, version = exam_scores.scorer.name, exam_scores.version
        yield f"{exam.name}: graded by version {version} of {scorer}, here is version {here}"
    for lesson, row in exam_scores.rows.items():
        if row.questions != exam_at(exam, lesson).digest:
            yield f"{exam.name}, row {lesson}: other questions than the card's"
            return
        if row.guess_rate not in (None, guess_rate_at(exam_at(exam, lesson))):
            yield f"{exam.name}, row {lesson}: its guess rate is not the card's"
            return


def _in_full(exam: Exam, exam_scores: ExamScores, items: Sequence[ExampleItem]) -> Iterator[str]:
    """Compare the items that are shown in full with the card, and grade their answers again."""
    places = choose_items(exam)
    if [item.id for item in items] != [exam.examples[i].id for i in places]:
        yield f"examples: {exam.name} shows other items than those that its hash chooses"
        return
    scorer = None if _asks_a_model(exam_scores.scorer) else _scorer(exam)
    for item, place in zip(items, places, strict=True):
        example = exam.examples[place]
        if (item.question, item.expected) != (shorten(question(example)), example.targets[:3]):
            yield f"examples: {exam.name} {item.id}: its question, or what was expected, is not the card's"
        if item.answers.keys() != exam_scores.rows.keys():
            yield f"examples: {exam.name} {item.id}: its answers are not those of the rows"
        for lesson, said in item.answers.items():
            if scorer is not None and not _scores(scorer, exam_at(exam, lesson), place, said):
                yield f"examples: {exam.name} {item.id}, row {lesson}: its answer has another score"


def _of_card(exam_scores: ExamScores) -> ScorerSpec:
    """Return a recorded scorer as its card has it: a judge stands in a recipe."""
    if not _judged(exam_scores.scorer):
        return exam_scores.scorer
    settings = {name: value for name, value in exam_scores.scorer.settings.items() if name != "judge"}
    return exam_scores.scorer.model_copy(update={"settings": settings})


def _asks_a_model(scorer: ScorerSpec) -> bool:
    return _judged(scorer) and scorer.settings.get("judge") != {"by": "exact"}


def _judged(scorer: ScorerSpec) -> bool:
    """Return whether a scorer grades by rubrics; one that is not known here does not."""
    return scorer.name in plugins.shipped("scorer") and known_scorer(scorer.name).judged


def _scorer(exam: Exam) -> Scorer | None:
    """Return what grades answers as they are shown; None where they are not all that is graded, or would be run."""
    if exam.decode.kind == "raw" or exam.scorer.name == PROGRAMS:
        return None
    return known_scorer(exam.scorer.name).build(exam.scorer.settings)


def _scores(scorer: Scorer, exam: Exam, place: int, said: ShownAnswer) -> bool:
    if len(said.text) > LONGEST:  # its middle has been left out
        return True
    example = exam.examples[place]
    answer = Answer.model_validate(
        {"example_id": example.id, **said.model_dump(include={"text", "finish", "reasoning"})}
    )
    score = grade_answer(scorer, example, answer).score
    if score is None or said.score is None:
        return score is said.score
    return math.isclose(score, said.score, rel_tol=0, abs_tol=1e-9)


def _bytes(claim: Claim, opened: Opened) -> Iterator[str]:
    """Compare the size of what was taught, against which kept bytes are told."""
    if not plugins.all_known(claim.spec.learner):
        return
    plugin, _ = open_learner({"name": claim.spec.learner_name})
    given = (opened.bytes_at_once,) if plugin.teaches == "at_once" else opened.bytes_by_lesson
    due = sum(given)
    if claim.costs.stream_bytes != due:
        yield f"costs: {claim.costs.stream_bytes} bytes of the stream, the card's have {due}"
    if len(claim.costs.train_s_by_lesson) != len(given):
        yield f"costs: {len(claim.costs.train_s_by_lesson)} lessons, {claim.spec.learner_name} is given {len(given)}"


def _kept(claim: Claim, stream: Stream) -> Iterator[str]:
    for name, most in (("examples", stream.budget.examples), ("bytes", stream.budget.bytes)):
        kept = max(claim.costs.model_dump()[f"buffer_{name}_by_lesson"], default=0)
        if most is not None and kept > most:
            yield f"costs: {kept} {name} of examples kept, the card's budget is {most}"


def _model(claim: Claim, exams: Sequence[Exam]) -> Iterator[str]:
    """Compare what is said of a shipped model in float32, and the keys of row 0 with those of the untouched one.

    A learner that does not start as the base model, such as a bound that is told the answers, has a row 0 of its own.
    """
    model = source.settled(claim.spec.model)
    known: dict[str, Any] = {
        "identity": source.identity(model),
        "type": source.configuration(model).get("model_type", ""),
    }
    told = claim.provenance.get("model")
    if isinstance(told, Mapping) and {k: told.get(k) for k in known} != known:
        yield f"provenance: the model is not the shipped {model.name}"
    learner = claim.spec.learner
    if plugins.all_known(learner) and not open_learner({"name": claim.spec.learner_name})[0].starts_as_base:
        return
    base = digest([known["identity"], {}])
    for exam, exam_scores in zip(exams, claim.item_scores.exams, strict=False):
        row, asked = exam_scores.rows.get(0), exam_at(exam, 0)
        key_here = answers_key(base, asked, model, Machine(), claim.spec.exam_server)
        if row is not None and row.questions == asked.digest and row.answers_key != key_here:
            yield f"{exam_scores.exam}, row 0: its answers are not those of the untouched model"
